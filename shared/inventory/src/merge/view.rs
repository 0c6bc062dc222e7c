//! The layers of an image as a container runtime mounts them over each other: what stands at a path, and which files are
//! visible.
//!
//! A path of a layer is hidden by a layer above that has something else than a directory, or a whiteout, at it or at a
//! directory above it, or an opaque directory above it; and what is no directory also by a directory at it, as in
//! overlayfs: <https://docs.kernel.org/filesystems/overlayfs.html>.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};

use tidewatch_core::Digest;

use crate::inventory::{FileContent, LayerInventory};
use crate::limits::IMAGE_RESOLVED_BYTES;
use crate::path_set::PathHash;
use crate::paths::{Budget, Links, Resolution, Step, resolve, split};

/// The files of an image that readers have read.
pub(super) struct ImageView<'a> {
    /// The topmost first.
    layers: Vec<&'a LayerInventory>,
    /// Those that are visible.
    files: BTreeMap<&'a str, VisibleFile<'a>>,
    /// The links that are visible.
    links: BTreeMap<&'a str, VisibleLink<'a>>,
    /// What following links may still cost.
    budget: Cell<Budget>,
}

/// A file that a container sees, and the layer that it is in.
#[derive(Clone, Copy)]
pub(super) struct VisibleFile<'a> {
    pub(super) layer: Digest,
    /// How many layers are above that one.
    pub(super) depth: usize,
    pub(super) content: &'a FileContent,
}

/// A link that a container sees.
#[derive(Clone, Copy)]
struct VisibleLink<'a> {
    /// How many layers are above its own.
    depth: usize,
    target: &'a str,
}

/// What a container sees at a path.
#[derive(Clone, Copy)]
pub(super) enum Seen<'a> {
    File(VisibleFile<'a>),
    Link,
    Directory,
    /// A file that nobody reads, or a device.
    Other,
    Nothing,
}

/// A directory of the image, and the layers that it is merged from, by their numbers from the top.
#[derive(Clone, Debug)]
pub(super) struct MergedDirectory {
    hash: PathHash,
    layers: Vec<usize>,
}

/// What the layers above hide.
#[derive(Default)]
struct Cover {
    /// Paths at and below which nothing is seen.
    leaves: HashSet<PathHash>,
    /// Paths below which nothing is seen.
    opaque: HashSet<PathHash>,
    /// Paths at which only directories are seen.
    directories: HashSet<PathHash>,
}

impl Cover {
    fn add(&mut self, layer: &LayerInventory) {
        self.leaves.extend(layer.leaves.hashes().chain(layer.whiteouts.hashes()));
        self.opaque.extend(layer.opaque.hashes());
        self.directories.extend(layer.directories.hashes());
    }

    /// Whether a file or link at `path` is hidden.
    fn hides(&self, path: &str) -> bool {
        let mut above = None;
        for hash in PathHash::ancestors(path) {
            if above.is_some_and(|above| self.opaque.contains(&above)) || self.leaves.contains(&hash) {
                return true;
            }
            above = Some(hash);
        }
        above.is_some_and(|hash| self.directories.contains(&hash))
    }
}

impl<'a> ImageView<'a> {
    /// Mounts `layers`, the base first.
    pub(super) fn mount(layers: impl IntoIterator<Item = &'a LayerInventory>) -> Self {
        let mut layers: Vec<&LayerInventory> = layers.into_iter().collect();
        layers.reverse();
        let mut cover = Cover::default();
        let (mut files, mut links) = (BTreeMap::new(), BTreeMap::new());
        for (number, layer) in layers.iter().enumerate() {
            for (path, content) in layer.files.iter().filter(|(path, _)| !cover.hides(path)) {
                files.insert(path.as_str(), VisibleFile { layer: layer.layer, depth: number, content });
            }
            for (path, target) in layer.links.iter().filter(|(path, _)| !cover.hides(path)) {
                links.insert(path.as_str(), VisibleLink { depth: number, target });
            }
            if number + 1 < layers.len() {
                cover.add(layer);
            }
        }
        Self { layers, files, links, budget: Cell::new(Budget::new(IMAGE_RESOLVED_BYTES)) }
    }

    /// The files that were read and are visible, with their paths, in order.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'a str, VisibleFile<'a>)> + '_ {
        self.files.iter().map(|(path, file)| (*path, *file))
    }

    /// The links that are visible, each with how many layers are above its own.
    pub(super) fn links(&self) -> impl Iterator<Item = (&'a str, usize)> + '_ {
        self.links.iter().map(|(path, link)| (*path, link.depth))
    }

    /// What stands at `path` itself.
    pub(super) fn look_up(&self, path: &str) -> Seen<'a> {
        if let Some(file) = self.files.get(path) {
            return Seen::File(*file);
        }
        if self.links.contains_key(path) {
            return Seen::Link;
        }
        let (directory, name) = split(path);
        let parts = directory.split('/').filter(|part| !part.is_empty());
        let mut merged = self.root();
        for part in parts {
            match self.step(&merged, part, "") {
                Step::Enter(below) => merged = below,
                Step::Link(_) | Step::Missing => return Seen::Nothing,
            }
        }
        if name.is_empty() { Seen::Directory } else { self.seen(&merged, name).0 }
    }

    /// What stands at `name` in a directory, other than a link or a file that was read; of a directory, what it is merged
    /// from.
    fn seen(&self, directory: &MergedDirectory, name: &str) -> (Seen<'a>, MergedDirectory) {
        let mut below = MergedDirectory { hash: directory.hash.join(name), layers: Vec::new() };
        let hash = below.hash;
        for number in &directory.layers {
            let Some(layer) = self.layers.get(*number) else { continue };
            if layer.directories.has(hash) {
                below.layers.push(*number);
                if layer.opaque.has(hash) {
                    break;
                }
            } else if layer.leaves.has(hash) {
                let seen = if below.layers.is_empty() { Seen::Other } else { Seen::Directory };
                return (seen, below);
            } else if layer.whiteouts.has(hash) {
                break;
            }
        }
        let seen = if below.layers.is_empty() { Seen::Nothing } else { Seen::Directory };
        (seen, below)
    }

    /// Where `path` leads.
    pub(super) fn resolve(&self, path: &str) -> Resolution {
        let mut budget = self.budget.get();
        let resolution = resolve(path, &mut budget, self);
        self.budget.set(budget);
        resolution
    }

    /// The file that is read when `path` is opened.
    pub(super) fn open(&self, path: &str) -> Option<VisibleFile<'a>> {
        if let Some(file) = self.files.get(path) {
            return Some(*file);
        }
        match self.resolve(path) {
            Resolution::Path(real) => self.files.get(real.as_str()).copied(),
            Resolution::Missing | Resolution::Loop | Resolution::TooFar => None,
        }
    }

    #[cfg(test)]
    pub(super) fn limit(&self, bytes: u64) {
        self.budget.set(Budget::new(bytes));
    }
}

impl Links for ImageView<'_> {
    type Directory = MergedDirectory;

    fn root(&self) -> MergedDirectory {
        let is_opaque = |layer: &&LayerInventory| layer.opaque.has(PathHash::ROOT);
        let end = self.layers.iter().position(is_opaque).map_or(self.layers.len(), |position| position + 1);
        MergedDirectory { hash: PathHash::ROOT, layers: (0..end).collect() }
    }

    /// `path` may be empty where no link is to be followed.
    fn step(&self, directory: &MergedDirectory, name: &str, path: &str) -> Step<'_, MergedDirectory> {
        if let Some(link) = self.links.get(path) {
            return Step::Link(link.target);
        }
        match self.seen(directory, name) {
            (Seen::Directory, below) => Step::Enter(below),
            _ => Step::Missing,
        }
    }
}
