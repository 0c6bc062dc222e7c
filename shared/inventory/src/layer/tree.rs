//! What one layer has at each path, built entry by entry as a runtime unpacks the archive: a later entry replaces an
//! earlier one, with all that was below it, parents that are missing are made, and links in a path are followed.
//!
//! Paths are kept by their hashes; only those of links and of files that were read are kept in words. What is in a
//! directory belongs to that directory, not to its path: when another takes its place, it is gone without a search.
//! Whiteouts are kept apart from what the layer itself has, because they hide only what lies below:
//! <https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts>.

use std::collections::HashMap;

use crate::inventory::FileContent;
use crate::path_set::{PathHash, PathSet};
use crate::paths::{Links, Step};

/// Number of the root.
const ROOT: u32 = 0;

/// The number of a directory that is not there.
const NONE: u32 = u32::MAX;

/// The tree of one layer.
pub(super) struct Tree {
    slots: HashMap<PathHash, Slot>,
    directories: Vec<DirectoryState>,
    files: Vec<Option<ReadFile>>,
    links: Vec<Option<Link>>,
    /// Nothing of the lower layers is seen at all.
    root_is_opaque: bool,
}

/// A directory of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    hash: PathHash,
    number: u32,
}

/// What the layer has, and what it hides, at a path; as long as the directory that it stands in is there.
#[derive(Clone, Copy)]
struct Slot {
    directory: u32,
    entry: Entry,
    /// Nothing of the lower layers is seen: there is a whiteout of the path, or an opaque one in it.
    hides: bool,
}

/// What the layer itself has at a path.
#[derive(Clone, Copy)]
enum Entry {
    /// Nothing: there is only a whiteout.
    Nothing,
    /// The directory of this number.
    Directory(u32),
    /// The link of this number.
    Link(u32),
    /// The file of this number, which was read.
    File(u32),
    /// Anything else.
    Other,
}

struct DirectoryState {
    parent: u32,
    replaced: bool,
}

struct Link {
    path: String,
    target: String,
}

/// A file that was read.
struct ReadFile {
    path: String,
    content: FileContent,
    bytes: usize,
}

/// What there is at a path, for a hard link to it.
pub(super) enum Found<'a> {
    /// A link, with its target.
    Link(&'a str),
    /// A file that was read, with the bytes that it was read from, and its number.
    File(&'a FileContent, usize, u32),
    /// Anything else, or nothing.
    Other,
}

/// All that a finished tree holds.
#[derive(Default)]
pub(super) struct Finished {
    pub(super) files: Vec<(String, FileContent)>,
    pub(super) links: Vec<(String, String)>,
    pub(super) leaves: PathSet,
    pub(super) directories: PathSet,
    pub(super) opaque: PathSet,
    pub(super) whiteouts: PathSet,
}

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            slots: HashMap::new(),
            directories: vec![DirectoryState { parent: ROOT, replaced: false }],
            files: Vec::new(),
            links: Vec::new(),
            root_is_opaque: false,
        }
    }

    /// How many links and files that were read there are, or have been.
    pub(super) const fn kept(&self) -> usize {
        self.files.len() + self.links.len()
    }

    pub(super) const fn root_directory() -> Directory {
        Directory { hash: PathHash::ROOT, number: ROOT }
    }

    fn slot(&self, directory: Directory, name: &str) -> (PathHash, Option<Slot>) {
        let hash = directory.hash.join(name);
        (hash, self.slots.get(&hash).copied().filter(|slot| slot.directory == directory.number))
    }

    /// The directory `name` in `directory`, made where there is none; whatever else was there is gone.
    pub(super) fn make_directory(&mut self, directory: Directory, name: &str) -> Directory {
        self.directory(directory, name).0
    }

    /// The same; says whether a link was there.
    pub(super) fn make_directory_at(&mut self, directory: Directory, name: &str) -> bool {
        self.directory(directory, name).1
    }

    fn directory(&mut self, directory: Directory, name: &str) -> (Directory, bool) {
        let (hash, slot) = self.slot(directory, name);
        if let Some(Slot { entry: Entry::Directory(number), .. }) = slot {
            return (Directory { hash, number }, false);
        }
        let number = number_of(self.directories.len());
        self.directories.push(DirectoryState { parent: directory.number, replaced: false });
        let leads_elsewhere = self.put(directory, name, Entry::Directory(number));
        (Directory { hash, number }, leads_elsewhere)
    }

    /// Puts a symbolic link at `path`.
    pub(super) fn put_link(&mut self, directory: Directory, name: &str, path: String, target: String) {
        let number = number_of(self.links.len());
        self.links.push(Some(Link { path, target }));
        self.put(directory, name, Entry::Link(number));
    }

    /// The number of the file that was put last.
    pub(super) fn last_file(&self) -> u32 {
        number_of(self.files.len().saturating_sub(1))
    }

    /// Says what is in the file of this number, if it is still there.
    pub(super) fn set_content(&mut self, number: u32, content: FileContent) {
        if let Some(Some(file)) = self.files.get_mut(number as usize) {
            let reader = std::mem::take(&mut file.content.reader);
            file.content = FileContent { reader, ..content };
        }
    }

    /// Puts a file that was read from `bytes` bytes.
    pub(super) fn put_file(
        &mut self,
        directory: Directory,
        name: &str,
        path: String,
        content: FileContent,
        bytes: usize,
    ) -> bool {
        let number = number_of(self.files.len());
        self.files.push(Some(ReadFile { path, content, bytes }));
        self.put(directory, name, Entry::File(number))
    }

    /// Puts what nobody reads.
    pub(super) fn put_other(&mut self, directory: Directory, name: &str) -> bool {
        self.put(directory, name, Entry::Other)
    }

    /// Puts `entry` in place of whatever was at and below the path. Says whether that was a directory or a link: paths may
    /// lead elsewhere now.
    fn put(&mut self, directory: Directory, name: &str, entry: Entry) -> bool {
        let (hash, before) = self.slot(directory, name);
        match before.map(|slot| slot.entry) {
            Some(Entry::Directory(number)) => {
                if let Some(state) = self.directories.get_mut(number as usize) {
                    state.replaced = true;
                }
            }
            Some(Entry::File(number)) => self.files[number as usize] = None,
            Some(Entry::Link(number)) => self.links[number as usize] = None,
            Some(Entry::Nothing | Entry::Other) | None => {}
        }
        let hides = before.is_some_and(|slot| slot.hides);
        self.slots.insert(hash, Slot { directory: directory.number, entry, hides });
        matches!(before.map(|slot| slot.entry), Some(Entry::Directory(_) | Entry::Link(_)))
    }

    /// A whiteout of `name` in `directory`.
    pub(super) fn hide(&mut self, directory: Directory, name: &str) {
        let (hash, slot) = self.slot(directory, name);
        let entry = slot.map_or(Entry::Nothing, |slot| slot.entry);
        self.slots.insert(hash, Slot { directory: directory.number, entry, hides: true });
    }

    /// An opaque whiteout in `directory`.
    pub(super) fn hide_below(&mut self, directory: Directory) {
        if directory.number == ROOT {
            self.root_is_opaque = true;
        } else if let Some(slot) = self.slots.get_mut(&directory.hash) {
            slot.hides = true;
        }
    }

    /// What there is at `name` in `directory`.
    fn find(&self, directory: Directory, name: &str) -> Found<'_> {
        match self.slot(directory, name).1.map(|slot| slot.entry) {
            Some(Entry::Link(number)) => {
                self.link(number).map_or(Found::Other, |link| Found::Link(&link.target))
            }
            Some(Entry::File(number)) => match self.files.get(number as usize) {
                Some(Some(file)) => Found::File(&file.content, file.bytes, number),
                _ => Found::Other,
            },
            _ => Found::Other,
        }
    }

    /// What there is at `name` in the directory at `path`, a path without links.
    pub(super) fn find_path(&self, path: &str, name: &str) -> Found<'_> {
        let mut directory = Self::root_directory();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            match self.slot(directory, part) {
                (hash, Some(Slot { entry: Entry::Directory(number), .. })) => {
                    directory = Directory { hash, number };
                }
                _ => return Found::Other,
            }
        }
        self.find(directory, name)
    }

    fn link(&self, number: u32) -> Option<&Link> {
        self.links.get(number as usize)?.as_ref()
    }

    /// What is there at the end.
    pub(super) fn finish(mut self) -> Finished {
        let mut is_there: Vec<bool> = Vec::with_capacity(self.directories.len());
        for (number, state) in self.directories.iter().enumerate() {
            // A directory is made after the one that it stands in.
            let in_place = number == 0 || is_there.get(state.parent as usize) == Some(&true);
            is_there.push(in_place && !state.replaced);
        }
        let slots = std::mem::take(&mut self.slots);
        let slots: Vec<(PathHash, Slot)> = slots
            .into_iter()
            .filter(|(_, slot)| is_there.get(slot.directory as usize) == Some(&true))
            .collect();
        let select = |wanted: fn(&Slot) -> bool| -> PathSet {
            slots.iter().filter(|(_, slot)| wanted(slot)).map(|(hash, _)| *hash).collect()
        };
        let leaves = select(|slot| matches!(slot.entry, Entry::Link(_) | Entry::File(_) | Entry::Other));
        let directories = select(|slot| matches!(slot.entry, Entry::Directory(_)));
        let opaque: PathSet = select(|slot| slot.hides && matches!(slot.entry, Entry::Directory(_)))
            .hashes()
            .chain(self.root_is_opaque.then_some(PathHash::ROOT))
            .collect();
        let whiteouts = select(|slot| matches!(slot.entry, Entry::Nothing));
        let mut finished = Finished { leaves, directories, opaque, whiteouts, ..Finished::default() };
        for (_, slot) in slots {
            match slot.entry {
                Entry::File(number) => {
                    let file = self.files.get_mut(number as usize).and_then(Option::take);
                    finished.files.extend(file.map(|file| (file.path, file.content)));
                }
                Entry::Link(number) => {
                    let link = self.links.get_mut(number as usize).and_then(Option::take);
                    finished.links.extend(link.map(|link| (link.path, link.target)));
                }
                Entry::Nothing | Entry::Directory(_) | Entry::Other => {}
            }
        }
        finished
    }
}

/// There are never as many: the entries of a layer are limited.
fn number_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(NONE)
}

impl Links for Tree {
    type Directory = Directory;

    fn root(&self) -> Directory {
        Self::root_directory()
    }

    /// What is no link is a directory, or is to become one.
    fn step(&self, directory: &Directory, name: &str, _path: &str) -> Step<'_, Directory> {
        let (hash, slot) = self.slot(*directory, name);
        match slot.map(|slot| slot.entry) {
            Some(Entry::Directory(number)) => Step::Enter(Directory { hash, number }),
            Some(Entry::Link(number)) => {
                self.link(number).map_or(Step::Missing, |link| Step::Link(&link.target))
            }
            _ => Step::Enter(Directory { hash, number: NONE }),
        }
    }
}
