//! What one layer holds, as a tree of its links and of the paths that matter, built entry by entry as a runtime unpacks the archive: a
//! later entry replaces an earlier one, parents that are missing are made, and links in a path are followed.
//!
//! Whiteouts are kept apart from what the layer itself has, because they hide only what lies below:
//! <https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts>.

use std::collections::BTreeMap;

use crate::archive::{ArchiveEntry, EntryKind, EntrySink};
use crate::contents::Contents;
use crate::inventory::{Entry, FileContent};
use crate::limits::Limits;
use crate::paths::{Budget, Resolution, Step, clean, join, remove_below, resolve, split, text};
use crate::readers::{Access, Reader, reader_for};
use crate::reading::{InputFile, Problems, RandomFile};

/// Begins the name of a whiteout.
const WHITEOUT: &str = ".wh.";

/// What is left of the name of an opaque whiteout after [`WHITEOUT`].
const OPAQUE: &str = ".wh..opq";

/// The tree of one layer.
pub(super) struct LayerTree {
    limits: Limits,
    nodes: BTreeMap<String, Node>,
    open: Option<OpenFile>,
    entries: u64,
    kept_bytes: usize,
    packages: usize,
    budget: Budget,
    problems: Problems,
}

/// What the layer has, and what it hides, at a path.
#[derive(Default)]
struct Node {
    /// What it has itself; `None` where there is only a whiteout.
    entry: Option<Entry>,
    /// Nothing of the lower layers is seen: there is a whiteout of the path, or an opaque one in it.
    hides: bool,
    /// Bytes of the file that `entry` was read from.
    bytes: usize,
}

/// A file whose content is being taken.
struct OpenFile {
    path: String,
    reader: &'static Reader,
    bytes: Vec<u8>,
    /// Bytes in the archive.
    size: u64,
}

impl LayerTree {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            nodes: BTreeMap::new(),
            open: None,
            entries: 0,
            kept_bytes: 0,
            packages: 0,
            budget: Budget::new(limits.resolved_bytes),
            problems: Problems::default(),
        }
    }

    /// An error, in words, once there is more than the limits allow.
    pub(super) fn check_limits(&self) -> Result<(), String> {
        if self.entries > self.limits.entries {
            return Err(format!("{} entries", self.limits.entries));
        }
        if self.nodes.len() > self.limits.kept_entries {
            return Err(format!("{} links and entries at paths that matter", self.limits.kept_entries));
        }
        if self.kept_bytes > self.limits.kept_bytes {
            return Err(format!("{} bytes in files that are read", self.limits.kept_bytes));
        }
        if self.budget.is_spent() {
            return Err(format!("{} bytes of paths on the way to its entries", self.limits.resolved_bytes));
        }
        Ok(())
    }

    /// The entries of the inventory, and what went wrong.
    pub(super) fn finish(self) -> (BTreeMap<String, Entry>, Vec<String>) {
        let nodes = self.nodes.into_iter();
        let entries = nodes.map(|(path, node)| {
            let entry = match node.entry {
                Some(Entry::Directory { .. }) => Entry::Directory { opaque: node.hides },
                Some(entry) => entry,
                // Every layer has a root.
                None if path.is_empty() => Entry::Directory { opaque: true },
                None => Entry::Whiteout,
            };
            (path, entry)
        });
        (entries.collect(), self.problems.into_reasons())
    }

    /// What the layer itself has at `path`.
    fn entry_at(&self, path: &str) -> Option<&Entry> {
        self.nodes.get(path)?.entry.as_ref()
    }

    /// Where `path` really is, by the links of this layer; `None` when they lead in a circle or too far.
    fn real(&mut self, path: &str) -> Option<String> {
        let nodes = &self.nodes;
        let resolution = resolve(path, &mut self.budget, |candidate| {
            match nodes.get(candidate).and_then(|node| node.entry.as_ref()) {
                Some(Entry::Symlink { target }) => Step::Link(target),
                _ => Step::Enter,
            }
        });
        match resolution {
            Resolution::Path(path) => Some(path),
            Resolution::Missing | Resolution::Unknown(_) | Resolution::Loop | Resolution::TooFar => None,
        }
    }

    /// Makes the directory at `path`, where it really is, and those above it, as far as they matter.
    fn enter(&mut self, path: &str) {
        let ends = path.match_indices('/').map(|(position, _)| position).chain([path.len()]);
        for directory in ends.filter_map(|end| path.get(..end)) {
            self.make_directory(directory);
        }
    }

    fn make_directory(&mut self, path: &str) {
        if !path.is_empty() && !matches!(self.entry_at(path), Some(Entry::Directory { .. })) {
            self.put(path.to_owned(), Entry::Directory { opaque: false }, 0);
        }
    }

    /// Puts `entry` in place of whatever was at and below `path`. At a path that does not matter only links are kept:
    /// later entries may lead through them.
    fn put(&mut self, path: String, entry: Entry, bytes: usize) {
        remove_below(&mut self.nodes, &path);
        let problems: usize = match &entry {
            Entry::File(content) => content.problems.iter().map(String::len).sum(),
            _ => 0,
        };
        self.kept_bytes = self.kept_bytes.saturating_add(path.len() + problems).saturating_add(bytes);
        let node = self.nodes.entry(path).or_default();
        (node.entry, node.bytes) = (Some(entry), bytes);
    }

    fn hide(&mut self, path: String) {
        {
            self.kept_bytes = self.kept_bytes.saturating_add(path.len());
            self.nodes.entry(path).or_default().hides = true;
        }
    }

    /// A whiteout in `directory`: `name` is what follows [`WHITEOUT`].
    fn whiteout(&mut self, directory: String, name: &str) {
        match name {
            OPAQUE => self.hide(directory),
            // Other names that begin so are bookkeeping of AUFS.
            "" | "." | ".." => {}
            name if name.starts_with(WHITEOUT) => {}
            name => self.hide(join(&directory, name)),
        }
    }

    /// Begins a file; says whether its content is wanted.
    fn begin_file(&mut self, path: String, size: u64) -> bool {
        let Some(reader) = reader_for(&path) else {
            self.put(path, Entry::Other, 0);
            return false;
        };
        self.open = Some(OpenFile { path, reader, bytes: Vec::new(), size });
        true
    }

    fn symlink(&mut self, path: String, target: &[u8]) {
        if target.len() > self.limits.path_bytes {
            self.problems.add(|| format!("holds {path}, a link with a target of {} bytes", target.len()));
            self.put(path, Entry::Other, 0);
        } else {
            self.put(path, Entry::Symlink { target: text(target) }, target.len());
        }
    }

    /// A hard link: what its target has now. Contents that nobody wanted when they came by are gone.
    fn hard_link(&mut self, path: String, target: &[u8]) {
        let target = clean(&text(target));
        let (directory, name) = split(&target);
        let real = self.real(directory);
        let node = real.and_then(|directory| self.nodes.get(&join(&directory, name)));
        let (found, bytes) = node.map_or((None, 0), |node| (node.entry.as_ref(), node.bytes));
        let (entry, bytes) = match (found, reader_for(&path)) {
            (Some(entry @ Entry::Symlink { .. }), _) => (entry.clone(), bytes),
            (Some(Entry::File(content)), Some(reader)) if content.reader == reader.id => {
                if content.packages.len() > self.room_for_packages() {
                    let reason =
                        format!("is a hard link to {target}, whose packages are over the limit of the layer");
                    (Entry::File(unread(reader, reason)), 0)
                } else {
                    (Entry::File(content.clone()), bytes)
                }
            }
            (_, None) => (Entry::Other, 0),
            (_, Some(reader)) => {
                let reason = format!("is a hard link to {target}, whose content was not kept");
                (Entry::File(unread(reader, reason)), 0)
            }
        };
        if let Entry::File(content) = &entry {
            self.packages += content.packages.len();
        }
        self.put(path, entry, bytes);
    }

    /// How many more packages the layer may have.
    const fn room_for_packages(&self) -> usize {
        self.limits.packages.saturating_sub(self.packages)
    }

    fn place(&mut self, path: String, kind: EntryKind, size: u64) -> bool {
        match kind {
            EntryKind::File => return self.begin_file(path, size),
            EntryKind::SparseFile => {
                let entry = reader_for(&path).map_or(Entry::Other, |reader| {
                    Entry::File(unread(reader, "is stored as a sparse file, which is not read".to_owned()))
                });
                self.put(path, entry, 0);
            }
            // Directories that do not matter are not kept, but they replace links.
            EntryKind::Directory => self.make_directory(&path),
            EntryKind::Symlink(target) => self.symlink(path, &target),
            EntryKind::HardLink(target) => self.hard_link(path, &target),
            EntryKind::Special => self.put(path, Entry::Other, 0),
            EntryKind::Unknown(flag) => {
                self.problems
                    .add(|| format!("holds {path}, an entry of the unknown type {:?}", char::from(flag)));
            }
        }
        false
    }
}

impl EntrySink for LayerTree {
    fn entry(&mut self, entry: ArchiveEntry) -> bool {
        self.entries += 1;
        if entry.path.len() > self.limits.path_bytes {
            self.problems.add(|| format!("holds a path of {} bytes", entry.path.len()));
            return false;
        }
        let path = clean(&text(&entry.path));
        let (directory, name) = split(&path);
        if name.is_empty() {
            return false;
        }
        let Some(directory) = self.real(directory) else {
            self.problems.add(|| format!("holds {path}, whose links lead in a circle or too far"));
            return false;
        };
        self.enter(&directory);
        if let Some(name) = name.strip_prefix(WHITEOUT) {
            self.whiteout(directory, name);
            return false;
        }
        self.place(join(&directory, name), entry.kind, entry.size)
    }

    fn content(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.open else { return };
        let room = usize::try_from(file.reader.file_bytes)
            .unwrap_or(usize::MAX)
            .min(self.limits.file_bytes)
            .saturating_sub(file.bytes.len());
        file.bytes.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }

    fn content_end(&mut self, complete: bool) {
        let Some(OpenFile { path, reader, bytes, size }) = self.open.take() else { return };
        if self.kept_bytes.saturating_add(bytes.len()) > self.limits.kept_bytes {
            let content = unread(reader, "is over the limit of all files that are read".to_owned());
            self.put(path, Entry::File(content), bytes.len());
            return;
        }
        let is_whole = u64::try_from(bytes.len()) == Ok(size);
        let packages = self.room_for_packages();
        let size_read = bytes.len();
        let reading = match reader.access {
            Access::Whole(read) => {
                read(&InputFile { path: &path, bytes: &bytes, complete: is_whole, packages })
            }
            Access::Random(read) => {
                read(&RandomFile { path: &path, contents: &Contents::from(bytes), packages })
            }
            Access::RandomWith { read, .. } => {
                read(&RandomFile { path: &path, contents: &Contents::from(bytes), packages }, None)
            }
        };
        self.packages += reading.packages.len();
        let mut problems = reading.problems.into_reasons();
        if !complete {
            problems.push(format!("is cut off after {} of {size} bytes", size_read));
        } else if !is_whole {
            problems.push(format!("has {size} bytes, of which the first {} were read", size_read));
        }
        let content = FileContent {
            reader: reader.id.to_owned(),
            packages: reading.packages,
            distribution: reading.distribution,
            problems,
        };
        self.put(path, Entry::File(content), size_read);
    }
}

/// A file that could not be read at all.
fn unread(reader: &Reader, reason: String) -> FileContent {
    FileContent { reader: reader.id.to_owned(), problems: vec![reason], ..FileContent::default() }
}
