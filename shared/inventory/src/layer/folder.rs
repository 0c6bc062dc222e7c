//! Reads a folder as if it were the only layer of an image: whoever walks it gives each thing in it, and only files that
//! a reader wants are read.

use std::io::Read;

use sha2::{Digest as _, Sha256};
use tidewatch_core::Digest;
use tidewatch_core::problem::Problem;

use super::entries::LayerEntries;
use super::{LayerError, inventory};
use crate::archive::{ArchiveEntry, EntryKind, EntrySink as _};
use crate::inventory::LayerInventory;
use crate::limits::Limits;
use crate::paths::text;

/// Bytes of a file that are read at once.
const CHUNK: usize = 64 << 10;

/// The beginning of the name of a whiteout. In a folder, nothing is below it that could be hidden.
const WHITEOUT: &[u8] = b".wh.";

/// Reads one folder. Paths are relative to it, with slashes, as bytes; a directory comes before what is in it.
pub struct FolderReader {
    entries: LayerEntries,
    hasher: Sha256,
    problems: Vec<Problem>,
    /// A limit was reached: the rest is not looked at.
    stopped: bool,
}

impl FolderReader {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            entries: LayerEntries::new(limits),
            hasher: Sha256::new(),
            problems: Vec::new(),
            stopped: false,
        }
    }

    /// There is a directory at `path`.
    pub fn directory(&mut self, path: &[u8]) {
        self.entry(path, EntryKind::Directory, 0, b"d");
    }

    /// There is a symbolic link at `path` that points to `target`.
    pub fn symlink(&mut self, path: &[u8], target: &[u8]) {
        self.entry(path, EntryKind::Symlink(target.to_vec()), 0, target);
    }

    /// There is a file of `size` bytes at `path`, whose bytes `content` has. It is read as far as a reader wants it.
    pub fn file(&mut self, path: &[u8], size: u64, content: &mut dyn Read) {
        if !self.entry(path, EntryKind::File, size, &size.to_le_bytes()) {
            return;
        }
        let mut left = size;
        let mut chunk = vec![0; CHUNK];
        while left > 0 && self.entries.wants_more() {
            let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            match content.read(chunk.get_mut(..most).unwrap_or_default()) {
                Ok(0) => break,
                Ok(read) => {
                    let bytes = chunk.get(..read).unwrap_or_default();
                    self.hasher.update(bytes);
                    self.entries.content(bytes);
                    left = left.saturating_sub(read as u64);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.problem(path, &format!("failed to read it to its end: {error}"));
                    break;
                }
            }
        }
        self.entries.content_end(left == 0);
        self.check_limits();
    }

    /// What is at `path` cannot be read, for a `reason`: a lower-case fragment.
    pub fn problem(&mut self, path: &[u8], reason: &str) {
        self.problems.push(Problem::new(text(path), reason));
    }

    /// There is nothing more: gives what the folder holds. The digest of the layer is one of what was looked at.
    pub fn finish(self) -> Result<LayerInventory, LayerError> {
        let layer = Digest::from_bytes(self.hasher.finalize().into());
        let mut inventory = inventory(layer, self.entries, None)?;
        for problem in &mut inventory.problems {
            "the folder".clone_into(&mut problem.subject);
        }
        inventory.problems.extend(self.problems);
        Ok(inventory)
    }

    /// Takes an entry; says whether its content is wanted.
    fn entry(&mut self, path: &[u8], kind: EntryKind, size: u64, what: &[u8]) -> bool {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        if self.stopped || name.starts_with(WHITEOUT) {
            return false;
        }
        for part in [path, what] {
            self.hasher.update((part.len() as u64).to_le_bytes());
            self.hasher.update(part);
        }
        let wanted = self.entries.entry(ArchiveEntry { path: path.to_vec(), kind, size });
        self.check_limits();
        wanted && !self.stopped
    }

    fn check_limits(&mut self) {
        if let Err(limit) = self.entries.check_limits()
            && !self.stopped
        {
            self.stopped = true;
            self.problem(b"the folder", &format!("stopped reading it: it has more than {limit}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::layer::LayerReader;

    const DATABASE: &[u8] = b"P:musl\nV:1.2-r0\nA:x86_64\n\n";

    /// A file that may not be opened.
    struct Forbidden;

    impl Read for Forbidden {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }

    fn read(content: &mut dyn Read, size: usize) -> LayerInventory {
        let mut reader = LayerReader::of_folder(Limits::default());
        for directory in ["lib", "lib/apk", "lib/apk/db"] {
            reader.directory(directory.as_bytes());
        }
        // Nobody wants it, so it is not read.
        reader.file(b"lib/other", 7, &mut Forbidden);
        // No program begins so: it is not read on.
        reader.file(b"lib/text", 1 << 20, &mut io::Read::chain(&*"x".repeat(CHUNK).into_bytes(), Forbidden));
        reader.file(b"lib/apk/db/.wh.installed", 0, &mut io::empty());
        reader.file(b"lib/apk/db/installed", size as u64, content);
        reader.finish().unwrap()
    }

    fn packages(inventory: &LayerInventory) -> usize {
        inventory.files["lib/apk/db/installed"].packages.len()
    }

    #[test]
    fn only_what_a_reader_wants_is_read_and_a_name_of_a_whiteout_hides_nothing() {
        let inventory = read(&mut &DATABASE[..], DATABASE.len());
        assert_eq!((packages(&inventory), inventory.problems), (1, vec![]));
    }

    #[test]
    fn a_wanted_file_that_cannot_be_read_is_a_problem() {
        let inventory = read(&mut Forbidden, DATABASE.len());
        assert_eq!(packages(&inventory), 0);
        let problem = &inventory.problems[0];
        assert_eq!(problem.subject, "lib/apk/db/installed");
        assert!(problem.reason.starts_with("failed to read it to its end"), "{problem}");
    }

    #[test]
    fn the_digest_is_that_of_what_was_looked_at() {
        let digest = |bytes: &[u8]| read(&mut &bytes[..], bytes.len()).layer;
        assert_eq!(digest(DATABASE), digest(DATABASE));
        assert_ne!(digest(DATABASE), digest(b"P:zlib\nV:1.2-r0\nA:x86_64\n\n"));
    }
}
