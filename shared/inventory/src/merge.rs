//! Merges the inventories of an image's layers as a container runtime mounts the layers over each other: the upper hides
//! the lower by whiteouts, opaque directories, and whatever else stands at the same path.
//!
//! Specification: <https://github.com/opencontainers/image-spec/blob/main/layer.md#applying-changesets>; where a layer
//! has a directory and a lower one has a link or a file, the directory hides it, as in overlayfs.

use std::collections::{BTreeMap, BTreeSet};

use tidewatch_core::Digest;
use tidewatch_core::package::{Distribution, Location, Package};
use tidewatch_core::problem::Problem;

use crate::inventory::{Entry, FileContent, ImageInventory, LayerInventory};
use crate::paths::{PathPattern, Resolution, Step, remove_below, resolve};
use crate::readers::{READERS, Reader, concerns, reader_for};

/// The inventory of the image whose layers are `layers`, the base first.
pub fn merge<'a>(layers: impl IntoIterator<Item = &'a LayerInventory>) -> ImageInventory {
    let mut tree = ImageTree::default();
    let mut problems = BTreeSet::new();
    for layer in layers {
        problems.extend(layer.problems.iter().cloned());
        tree.mount(layer);
    }
    problems.extend(tree.file_problems());
    problems.extend(tree.link_problems());
    ImageInventory {
        distribution: tree.distribution().cloned(),
        packages: tree.packages(),
        problems: problems.into_iter().collect(),
    }
}

/// What a container sees at the paths that matter.
#[derive(Default)]
struct ImageTree<'a> {
    nodes: BTreeMap<&'a str, Node<'a>>,
}

/// What stands at a path, and the layer that put it there.
struct Node<'a> {
    layer: Digest,
    entry: &'a Entry,
}

impl<'a> ImageTree<'a> {
    /// Puts a layer on top. The entries come in the order of their paths: directories before what is in them.
    fn mount(&mut self, layer: &'a LayerInventory) {
        for (path, entry) in &layer.entries {
            let continues = matches!(entry, Entry::Directory { opaque: false })
                && matches!(self.entry(path), Some(Entry::Directory { .. }));
            if continues {
                continue;
            }
            remove_below(&mut self.nodes, path);
            self.nodes.remove(path.as_str());
            if !path.is_empty() && *entry != Entry::Whiteout {
                self.nodes.insert(path, Node { layer: layer.layer, entry });
            }
        }
    }

    fn entry(&self, path: &str) -> Option<&'a Entry> {
        self.nodes.get(path).map(|node| node.entry)
    }

    /// The files that were read, with their paths and layers.
    fn files(&self) -> impl Iterator<Item = (&'a str, Digest, &'a FileContent)> {
        self.nodes.iter().filter_map(|(path, node)| match node.entry {
            Entry::File(content) => Some((*path, node.layer, content)),
            _ => None,
        })
    }

    /// Where `path` leads. What stands at a path that concerns no reader is not known.
    fn resolve(&self, path: &str) -> Resolution {
        resolve(path, |candidate| match self.entry(candidate) {
            Some(Entry::Directory { .. }) => Step::Enter,
            Some(Entry::Symlink { target }) => Step::Link(target),
            Some(_) => Step::Missing,
            None if concerns(candidate) => Step::Missing,
            None => Step::Unknown,
        })
    }

    /// The distribution that the first readable file names.
    fn distribution(&self) -> Option<&'a Distribution> {
        let places = READERS.iter().flat_map(|reader| reader.paths).map(PathPattern::place);
        places
            .filter_map(|place| match self.resolve(place) {
                Resolution::Path(path) => self.entry(&path),
                _ => None,
            })
            .find_map(|entry| match entry {
                Entry::File(content) => content.distribution.as_ref(),
                _ => None,
            })
    }

    /// Every package once, with all its locations.
    fn packages(&self) -> Vec<Package> {
        let mut packages: BTreeMap<&Package, BTreeSet<Location>> = BTreeMap::new();
        for (path, layer, content) in self.files() {
            for package in &content.packages {
                packages.entry(package).or_default().insert(Location { layer, path: path.to_owned() });
            }
        }
        packages
            .into_iter()
            .map(|(package, locations)| Package {
                locations: locations.into_iter().collect(),
                ..package.clone()
            })
            .collect()
    }

    /// Problems of the files that are visible.
    fn file_problems(&self) -> impl Iterator<Item = Problem> {
        self.files().flat_map(|(path, _, content)| {
            content.problems.iter().map(move |reason| Problem::new(path, reason))
        })
    }

    /// Paths that links lead to places whose content was not read. What they hold is unknown, which is not nothing.
    fn link_problems(&self) -> impl Iterator<Item = Problem> {
        let places =
            READERS.iter().flat_map(|reader| reader.paths.iter().map(move |pattern| (reader, *pattern)));
        let links = self.nodes.iter().filter(|(_, node)| matches!(node.entry, Entry::Symlink { .. }));
        let linked = links.filter_map(|(path, _)| Some((*path, reader_for(path)?, false)));
        places
            .map(|(reader, pattern)| {
                (pattern.place(), reader, matches!(pattern, PathPattern::FilesIn { .. }))
            })
            .chain(linked)
            .filter_map(|(path, reader, is_directory)| {
                let reason = match self.resolve(path) {
                    Resolution::Path(real) if real == path => return None,
                    Resolution::Path(real) if is_directory => self.directory_problem(reader, &real)?,
                    Resolution::Path(real) => self.file_problem(reader, &real)?,
                    Resolution::Unknown(at) => format!("leads to {at}, which is not read"),
                    Resolution::Missing | Resolution::Loop => return None,
                };
                Some(Problem::new(path, reason))
            })
    }

    /// Why what a link to the file `real` leads to was not read by `reader`.
    fn file_problem(&self, reader: &Reader, real: &str) -> Option<String> {
        match self.entry(real)? {
            Entry::File(content) if content.reader == reader.id => None,
            Entry::File(content) => Some(format!("leads to {real}, which is read as {}", content.reader)),
            Entry::Other => Some(format!("leads to {real}, which is not read")),
            Entry::Directory { .. } | Entry::Symlink { .. } | Entry::Whiteout => None,
        }
    }

    /// Why what a link to the directory `real` leads to was not read by `reader`.
    fn directory_problem(&self, reader: &Reader, real: &str) -> Option<String> {
        let is_read = reader
            .paths
            .iter()
            .any(|pattern| matches!(pattern, PathPattern::FilesIn { directory, .. } if *directory == real));
        let exists = matches!(self.entry(real)?, Entry::Directory { .. });
        (exists && !is_read).then(|| format!("leads to {real}, whose files are not read"))
    }
}
