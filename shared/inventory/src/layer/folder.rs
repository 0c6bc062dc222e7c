//! Reads a folder of files as if it were the only layer of an image: whoever walks it hands in its entries one by one.

use std::io::{self, Read};

use tidewatch_core::Digest;

use super::entries::LayerEntries;
use super::{LayerError, inventory};
use crate::archive::{ArchiveEntry, EntryKind, EntrySink as _};
use crate::inventory::LayerInventory;
use crate::limits::Limits;

/// Bytes that are read of a file at a time.
const PIECE: usize = 64 << 10;

/// Takes the entries of a folder, in any order, each path once. Paths are relative to the folder.
pub struct FolderReader {
    layer: Digest,
    entries: LayerEntries,
    stopped: Option<String>,
}

impl FolderReader {
    /// A reader within `limits` that gives the inventory the digest `layer`: a folder has none of its own.
    pub fn new(layer: Digest, limits: Limits) -> Self {
        Self { layer, entries: LayerEntries::new(limits), stopped: None }
    }

    /// A directory.
    pub fn directory(&mut self, path: &[u8]) {
        self.entry(path, EntryKind::Directory, 0);
    }

    /// A symbolic link to `target`, which stands as the link has it: an absolute one leads from the folder on.
    pub fn symlink(&mut self, path: &[u8], target: &[u8]) {
        self.entry(path, EntryKind::Symlink(target.to_owned()), 0);
    }

    /// A file of `size` bytes, of which as many are read from `content` as its reader wants. When `content` fails or ends
    /// early, the file is one that is cut off, and the error is given back.
    pub fn file(&mut self, path: &[u8], size: u64, content: &mut dyn Read) -> io::Result<()> {
        if !self.entry(path, EntryKind::File, size) {
            return Ok(());
        }
        let mut buffer = vec![0; PIECE];
        let mut left = size;
        let result = loop {
            let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            if most == 0 {
                break Ok(());
            }
            match content.read(buffer.get_mut(..most).unwrap_or_default()) {
                Ok(0) => break Ok(()),
                Ok(count) => {
                    self.entries.content(buffer.get(..count).unwrap_or_default());
                    left -= count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.entries.content_end(left == 0);
        result
    }

    /// Something of the folder could not be read, because of `reason`, a lower-case fragment that names it.
    pub fn problem(&mut self, reason: impl Into<String>) {
        self.entries.add_problem(reason.into());
    }

    /// There are no more entries: gives what the folder holds.
    pub fn finish(self) -> Result<LayerInventory, LayerError> {
        let stopped =
            self.stopped.map(|limit| format!("stopped reading the folder: it has more than {limit}"));
        inventory(self.layer, self.entries, stopped)
    }

    /// Whether a limit is reached: what comes now is left out.
    pub const fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// Takes an entry; says whether its content is wanted.
    fn entry(&mut self, path: &[u8], kind: EntryKind, size: u64) -> bool {
        if self.stopped.is_none() {
            self.stopped = self.entries.check_limits().err();
        }
        self.stopped.is_none() && self.entries.entry(ArchiveEntry { path: path.to_owned(), kind, size })
    }
}
