//! The entries of one layer, taken one by one into its tree, within the limits of a layer.

use std::borrow::Cow;
use std::io;

use super::open_file::{OpenFile, SMALLEST_PROGRAM, TakenFile};
use super::tree::{Directory, Finished, Found, Tree};
use super::waiting::WaitingFiles;
use crate::archive::{ArchiveEntry, EntryKind, EntrySink};
use crate::inventory::FileContent;
use crate::limits::Limits;
use crate::paths::{self, Budget, Resolution, clean, join, resolve, split, text};
use crate::readers::{Access, Evidence, Reader, SCANNERS, reader_for, reader_of_companion};
use crate::reading::Problems;

/// Begins the name of a whiteout.
const WHITEOUT: &str = ".wh.";

/// What is left of the name of an opaque whiteout after [`WHITEOUT`].
const OPAQUE: &str = ".wh..opq";

/// Takes the entries of one layer.
pub(super) struct LayerEntries {
    limits: Limits,
    tree: Tree,
    /// The directory of the last entry: the next one is mostly in it too.
    last: Option<Located>,
    open: Option<OpenFile>,
    waiting: WaitingFiles,
    entries: u64,
    kept_bytes: usize,
    packages: usize,
    budget: Budget,
    problems: Problems,
    failure: Option<io::Error>,
}

/// A directory of the archive, and where it really is.
struct Located {
    /// Its path in the archive.
    path: String,
    /// The same, by the links of the layer.
    real: String,
    directory: Directory,
}

impl LayerEntries {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            tree: Tree::new(),
            last: None,
            open: None,
            waiting: WaitingFiles::default(),
            entries: 0,
            kept_bytes: 0,
            packages: 0,
            budget: Budget::new(limits.resolved_bytes),
            problems: Problems::default(),
            failure: None,
        }
    }

    /// An error, in words, once there is more than the limits allow.
    pub(super) fn check_limits(&self) -> Result<(), String> {
        if self.entries > self.limits.entries {
            return Err(format!("{} entries", self.limits.entries));
        }
        if self.tree.kept() > self.limits.kept_entries {
            return Err(format!("{} links and files that are read", self.limits.kept_entries));
        }
        if self.kept_bytes > self.limits.kept_bytes {
            return Err(format!("{} bytes in files that are read", self.limits.kept_bytes));
        }
        if self.budget.is_spent() {
            return Err(format!("{} bytes of paths on the way to its entries", self.limits.resolved_bytes));
        }
        Ok(())
    }

    /// What the layer holds, and what went wrong; an error is one of the temporary folder.
    pub(super) fn finish(mut self) -> io::Result<(Finished, Vec<String>)> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let room = self.limits.packages.saturating_sub(self.packages);
        for (number, mut content) in self.waiting.read(room) {
            let kept = self.kept_bytes.saturating_add(content.bytes());
            if kept > self.limits.kept_bytes {
                let reason = format!("says more than is kept of a layer ({} bytes)", self.limits.kept_bytes);
                content = FileContent { problems: vec![reason], ..FileContent::default() };
            } else {
                self.kept_bytes = kept;
            }
            self.tree.set_content(number, content);
        }
        Ok((self.tree.finish(), self.problems.into_reasons()))
    }

    /// Whether the rest of the content that is coming by matters.
    pub(super) fn wants_more(&self) -> bool {
        self.open.as_ref().is_some_and(OpenFile::wants_more)
    }

    /// Finds, or makes, the directory at `path` of the archive, where it really is by the links of this layer. `None` when
    /// they lead in a circle or too far.
    fn locate(&mut self, path: &str) -> Option<&Located> {
        if self.last.as_ref().is_none_or(|last| last.path != path) {
            let Resolution::Path(real) = resolve(path, &mut self.budget, &self.tree) else { return None };
            let parts = real.split('/').filter(|part| !part.is_empty());
            let directory =
                parts.fold(Tree::root_directory(), |parent, name| self.tree.make_directory(parent, name));
            self.last = Some(Located { path: path.to_owned(), real, directory });
        }
        self.last.as_ref()
    }

    /// A directory may be elsewhere now, or be gone.
    fn forget_last(&mut self) {
        self.last = None;
    }

    /// A whiteout in `directory`: `name` is what follows [`WHITEOUT`].
    fn whiteout(&mut self, directory: Directory, name: &str) {
        match name {
            OPAQUE => self.tree.hide_below(directory),
            // Other names that begin so are bookkeeping of AUFS.
            "" | "." | ".." => {}
            name if name.starts_with(WHITEOUT) => {}
            name => self.tree.hide(directory, name),
        }
    }

    fn put_other(&mut self, directory: Directory, name: &str) {
        if self.tree.put_other(directory, name) {
            self.forget_last();
        }
    }

    /// Puts a file that was read from `bytes` bytes.
    fn put_file(&mut self, directory: Directory, name: &str, path: &str, content: FileContent, bytes: usize) {
        let kept = path.len().saturating_add(content.bytes()).saturating_add(bytes);
        self.kept_bytes = self.kept_bytes.saturating_add(kept);
        self.packages += content.packages.len();
        if self.tree.put_file(directory, name, path.to_owned(), content, bytes) {
            self.forget_last();
        }
    }

    /// Begins a file; says whether its content is wanted.
    fn begin_file(&mut self, directory: Directory, name: &str, path: &str, size: u64) -> bool {
        let reader = reader_for(path);
        let companion_of = if reader.is_none() { reader_of_companion(path) } else { None };
        if reader.is_none() && companion_of.is_none() && size < SMALLEST_PROGRAM {
            self.put_other(directory, name);
            return false;
        }
        if let Some(reader) = reader.or(companion_of)
            && !matches!(reader.access, Access::Whole(_))
            && let Some(reason) = self.too_much(reader, size)
        {
            self.put_file(directory, name, path, unread(reader, reason), 0);
            return false;
        }
        let (name, path) = (name.to_owned(), path.to_owned());
        if companion_of.is_some() {
            self.open = Some(OpenFile::companion(directory, name, path, size));
            return true;
        }
        self.open = Some(OpenFile::new(directory, name, path, size, reader, &self.limits));
        true
    }

    /// Why a file of `size` bytes is not read at any place.
    fn too_much(&self, reader: &Reader, size: u64) -> Option<String> {
        let most = reader.file_bytes.min(self.limits.spilled_bytes);
        if size > most {
            return Some(format!("has {size} bytes, more than the {most} that are read"));
        }
        if !matches!(reader.access, Access::RandomWith { .. }) {
            return None;
        }
        let is_full = self.waiting.is_full() || self.waiting.bytes().saturating_add(size) > most;
        is_full.then(|| {
            format!("is one of more databases, or of larger ones, than a layer may have ({most} bytes)")
        })
    }

    /// Puts a file that is not read yet, and gives its number.
    fn put_waiting(&mut self, directory: Directory, name: &str, path: &str, reader: &Reader) -> u32 {
        let content = FileContent { reader: reader.id.to_owned(), ..FileContent::default() };
        self.put_file(directory, name, path, content, 0);
        self.tree.last_file()
    }

    /// Puts a file that was taken to its end. An error is one of the temporary folder.
    fn put_taken(
        &mut self,
        directory: Directory,
        name: &str,
        path: String,
        taken: TakenFile,
    ) -> io::Result<()> {
        match taken {
            TakenFile::Unread => self.put_other(directory, name),
            TakenFile::Read(content, bytes) => self.put_file(directory, name, &path, content, bytes),
            TakenFile::Waits(reader, contents) => {
                let number = self.put_waiting(directory, name, &path, reader);
                self.waiting.add(number, path, reader, contents)?;
            }
            TakenFile::Companion(contents) => {
                let Some(reader) = reader_of_companion(&path) else { return Ok(()) };
                let number = self.put_waiting(directory, name, &path, reader);
                self.waiting.add_companion(number, path, contents)?;
            }
        }
        Ok(())
    }

    fn symlink(&mut self, directory: Directory, name: &str, path: &str, target: &[u8]) {
        self.forget_last();
        if target.len() > self.limits.path_bytes {
            self.problems.add(|| format!("holds {path}, a link with a target of {} bytes", target.len()));
            self.put_other(directory, name);
            return;
        }
        self.kept_bytes = self.kept_bytes.saturating_add(path.len() + target.len());
        self.tree.put_link(directory, name, path.to_owned(), text(target));
    }

    /// A hard link: what its target has now. Contents that nobody wanted when they came by are gone.
    fn hard_link(&mut self, directory: Directory, name: &str, path: &str, target: &[u8]) {
        let target = clean(&text(target));
        let (target_directory, target_name) = split(&target);
        let real = resolve(target_directory, &mut self.budget, &self.tree);
        let found = match &real {
            Resolution::Path(real) => self.tree.find_path(real, target_name),
            Resolution::Missing | Resolution::Loop | Resolution::TooFar => Found::Other,
        };
        let reader = reader_for(path);
        let mut waits = None;
        let (content, bytes) = match (found, reader) {
            (Found::Link(link), _) => {
                let link = link.to_owned();
                return self.symlink(directory, name, path, link.as_bytes());
            }
            // A program is one wherever it is; other files are what their paths say.
            (Found::File(content, bytes, number), reader)
                if reader.is_none_or(|reader| reader.id == content.reader)
                    && (reader.is_some() || is_program(content)) =>
            {
                if content.packages.len() > self.room_for_packages() {
                    let reason =
                        format!("is a hard link to {target}, whose packages are over the limit of the layer");
                    let reader = content.reader.clone();
                    (FileContent { reader, problems: vec![reason], ..FileContent::default() }, 0)
                } else {
                    waits = self.waiting.has(number).then_some(number);
                    (content.clone(), bytes)
                }
            }
            (_, None) if reader_of_companion(path).is_some() => {
                let reason = format!("is a hard link to {target}, which is not read with it");
                let reader = reader_of_companion(path).map_or("", |reader| reader.id).to_owned();
                (FileContent { reader, problems: vec![reason], ..FileContent::default() }, 0)
            }
            (_, None) => return self.put_other(directory, name),
            // What asks for packages, or says something about them, is no evidence of any.
            (_, Some(Reader { evidence: Evidence::LockFile(_) | Evidence::About, .. })) => {
                return self.put_other(directory, name);
            }
            (_, Some(reader)) => {
                let reason = format!("is a hard link to {target}, whose content was not kept");
                (unread(reader, reason), 0)
            }
        };
        self.put_file(directory, name, path, content, bytes);
        if let Some(number) = waits {
            self.waiting.add_link(number, self.tree.last_file());
        }
    }

    /// How many more packages the layer may have.
    const fn room_for_packages(&self) -> usize {
        self.limits.packages.saturating_sub(self.packages)
    }

    /// Places an entry; says whether its content is wanted.
    fn place(&mut self, directory: Directory, name: &str, path: &str, kind: EntryKind, size: u64) -> bool {
        match kind {
            EntryKind::File => return self.begin_file(directory, name, path, size),
            EntryKind::SparseFile => match reader_for(path) {
                Some(reader) => {
                    let reason = "is stored as a sparse file, which is not read".to_owned();
                    self.put_file(directory, name, path, unread(reader, reason), 0);
                }
                None => self.put_other(directory, name),
            },
            EntryKind::Directory => {
                if self.tree.make_directory_at(directory, name) {
                    self.forget_last();
                }
            }
            EntryKind::Symlink(target) => self.symlink(directory, name, path, &target),
            EntryKind::HardLink(target) => self.hard_link(directory, name, path, &target),
            EntryKind::Special => self.put_other(directory, name),
            EntryKind::Unknown(flag) => {
                self.problems
                    .add(|| format!("holds {path}, an entry of the unknown type {:?}", char::from(flag)));
            }
        }
        false
    }
}

impl EntrySink for LayerEntries {
    fn entry(&mut self, entry: ArchiveEntry) -> bool {
        self.entries += 1;
        if entry.path.len() > self.limits.path_bytes {
            self.problems.add(|| format!("holds a path of {} bytes", entry.path.len()));
            return false;
        }
        let path = paths::of_archive(&entry.path);
        let (directory_path, name) = split(&path);
        if name.is_empty() {
            return false;
        }
        let Some(located) = self.locate(directory_path) else {
            self.problems.add(|| format!("holds {path}, whose links lead in a circle or too far"));
            return false;
        };
        let directory = located.directory;
        let real = if located.real == directory_path {
            Cow::Borrowed(&*path)
        } else {
            Cow::Owned(join(&located.real, name))
        };
        if let Some(name) = name.strip_prefix(WHITEOUT) {
            self.whiteout(directory, name);
            return false;
        }
        self.place(directory, name, &real, entry.kind, entry.size)
    }

    fn content(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.open else { return };
        if let Err(failure) = file.push(bytes) {
            self.failure.get_or_insert(failure);
            self.open = None;
        }
    }

    fn content_end(&mut self, complete: bool) {
        let Some(file) = self.open.take() else { return };
        let (directory, name, path) = (file.directory, file.name.clone(), file.path.clone());
        let room = self.limits.kept_bytes.saturating_sub(self.kept_bytes);
        let taken = if file.kept_bytes() > room {
            file.unread("is over the limit of all files that are read".to_owned())
        } else {
            file.finish(complete, self.room_for_packages())
        };
        if let Err(failure) = self.put_taken(directory, &name, path, taken) {
            self.failure.get_or_insert(failure);
        }
    }
}

/// Whether a file was read because of its first bytes.
fn is_program(content: &FileContent) -> bool {
    SCANNERS.iter().any(|scanner| scanner.id == content.reader)
}

/// A file that could not be read at all.
fn unread(reader: &Reader, reason: String) -> FileContent {
    FileContent { reader: reader.id.to_owned(), problems: vec![reason], ..FileContent::default() }
}
