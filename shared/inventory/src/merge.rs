//! Merges the inventories of an image's layers as a container runtime mounts the layers over each other: the upper hides
//! the lower by whiteouts, opaque directories, and whatever else stands at the same path.
//!
//! Specification: <https://github.com/opencontainers/image-spec/blob/main/layer.md#applying-changesets>; where a layer
//! has a directory and a lower one has a link or a file, the directory hides it, as in overlayfs.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use tidewatch_core::Digest;
use tidewatch_core::package::{Distribution, Location, Package};
use tidewatch_core::problem::Problem;

use crate::inventory::{Entry, FileContent, ImageInventory, LayerInventory};
use crate::limits::{IMAGE_PACKAGES, IMAGE_RESOLVED_BYTES};
use crate::paths::{Budget, Resolution, Step, remove_below, resolve};
use crate::pattern::Place;
use crate::readers::{READERS, Reader, reader_for};

/// The inventory of the image whose layers are `layers`, the base first. It has at most [`IMAGE_PACKAGES`] packages; that
/// there are more is one of its problems.
pub fn merge<'a>(layers: impl IntoIterator<Item = &'a LayerInventory>) -> ImageInventory {
    let mut tree = ImageTree::new();
    let mut problems = BTreeSet::new();
    for layer in layers {
        problems.extend(layer.problems.iter().cloned());
        tree.mount(layer);
    }
    // Before other links may have spent the budget.
    let distribution = tree.distribution().cloned();
    problems.extend(tree.file_problems());
    problems.extend(tree.link_problems());
    problems.extend(tree.package_problem());
    let problems = problems.into_iter().collect();
    ImageInventory { distribution, packages: tree.packages(), owned: Vec::new(), problems }
}

/// What a container sees at the paths that matter.
struct ImageTree<'a> {
    nodes: BTreeMap<&'a str, Node<'a>>,
    /// What following links may still cost.
    budget: Cell<Budget>,
}

/// What stands at a path, and the layer that put it there.
struct Node<'a> {
    layer: Digest,
    entry: &'a Entry,
}

impl<'a> ImageTree<'a> {
    const fn new() -> Self {
        Self { nodes: BTreeMap::new(), budget: Cell::new(Budget::new(IMAGE_RESOLVED_BYTES)) }
    }

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
        let mut budget = self.budget.get();
        let resolution = resolve(path, &mut budget, |candidate| match self.entry(candidate) {
            Some(Entry::Directory { .. }) => Step::Enter,
            Some(Entry::Symlink { target }) => Step::Link(target),
            Some(_) => Step::Missing,
            None => Step::Missing,
        });
        self.budget.set(budget);
        resolution
    }

    /// The distribution that the first readable file names.
    fn distribution(&self) -> Option<&'a Distribution> {
        let places = READERS.iter().flat_map(|reader| reader.paths).filter_map(|path| path.place());
        places
            .filter_map(|place| match place {
                Place::File(path) => Some(path),
                Place::Directory(_) => None,
            })
            .filter_map(|place| match self.resolve(place) {
                Resolution::Path(path) => self.entry(&path),
                _ => None,
            })
            .find_map(|entry| match entry {
                Entry::File(content) => content.distribution.as_ref(),
                _ => None,
            })
    }

    /// What the files that are visible say is installed.
    fn installed(&self) -> impl Iterator<Item = (&'a str, Digest, &'a Package)> {
        self.files().flat_map(|(path, layer, content)| {
            content.packages.iter().map(move |package| (path, layer, package))
        })
    }

    /// Every package once, with all its locations, up to the limit.
    fn packages(&self) -> Vec<Package> {
        let mut packages: BTreeMap<&Package, BTreeSet<Location>> = BTreeMap::new();
        for (path, layer, package) in self.installed().take(IMAGE_PACKAGES) {
            packages.entry(package).or_default().insert(Location { layer, path: path.to_owned() });
        }
        packages
            .into_iter()
            .map(|(package, locations)| Package {
                locations: locations.into_iter().collect(),
                ..package.clone()
            })
            .collect()
    }

    /// That there are more packages than the limit.
    fn package_problem(&self) -> Option<Problem> {
        let (path, _, package) = self.installed().nth(IMAGE_PACKAGES)?;
        let reason = format!(
            "left out {} and what comes after it: the image has more than {IMAGE_PACKAGES} packages",
            package.name
        );
        Some(Problem::new(path, reason))
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
            .filter_map(|(reader, pattern)| match pattern.place()? {
                Place::File(path) => Some((path, reader, false)),
                Place::Directory(path) => Some((path, reader, true)),
            })
            .chain(linked)
            .filter_map(|(path, reader, is_directory)| {
                let reason = match self.resolve(path) {
                    Resolution::Path(real) if real == path => return None,
                    Resolution::Path(real) if is_directory => self.directory_problem(reader, &real)?,
                    Resolution::Path(real) => self.file_problem(reader, &real)?,
                    Resolution::TooFar => "leads through more links than are followed".to_owned(),
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
        let is_read = reader.paths.iter().any(|pattern| {
            pattern
                .place()
                .is_some_and(|place| matches!(place, Place::Directory(directory) if directory == real))
        });
        let exists = matches!(self.entry(real)?, Entry::Directory { .. });
        (exists && !is_read).then(|| format!("leads to {real}, whose files are not read"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::READER_VERSION;

    #[test]
    fn links_that_lead_further_than_an_image_may_ask_for_are_a_problem() {
        let link = "var/lib/dpkg/status.d/x";
        let directory = |path: &str| (path.to_owned(), Entry::Directory { opaque: false });
        let mut entries: BTreeMap<_, _> =
            ["var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/status.d"].map(directory).into();
        entries.insert(link.to_owned(), Entry::Symlink { target: "../status.d/".repeat(300) });
        let layer = Digest::of(b"");
        let inventory = LayerInventory { reader_version: READER_VERSION, layer, entries, problems: vec![] };
        let mut tree = ImageTree::new();
        tree.mount(&inventory);
        assert!(tree.link_problems().next().is_none());
        tree.budget.set(Budget::new(5000));
        let problems: Vec<Problem> = tree.link_problems().collect();
        assert_eq!(problems, [Problem::new(link, "leads through more links than are followed")]);
    }
}
