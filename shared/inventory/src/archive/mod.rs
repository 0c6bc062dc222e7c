//! The tar archive of a layer, walked in push style: bytes come in as they are decompressed, entries go out, and only
//! contents that are asked for are handed on.
//!
//! Global PAX headers are skipped: Go's `archive/tar`, with which container runtimes unpack, does not apply them either.

mod header;
mod pax;
#[cfg(test)]
mod tests;

use header::{BLOCK_BYTES, Header, until_nul};
use pax::PaxRecords;

/// The most bytes of a PAX header or a GNU long name.
const META_BYTES: u64 = 1 << 20;

/// An archive that cannot be read on. What came before is as it was read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// A header block is none.
    #[error("failed to read a tar header: its checksum is wrong")]
    Checksum,
    /// A number in a header is none, negative or too large.
    #[error("failed to read a tar header: its {0} is no number that can be used")]
    Number(&'static str),
    /// A PAX header is damaged.
    #[error("failed to read a PAX header: a record is damaged")]
    PaxRecord,
    /// A PAX header or a long name is over the limit.
    #[error("failed to read a PAX header or long name: it has {0} bytes")]
    MetaTooLarge(u64),
    /// A single block of zeros stands between entries.
    #[error("failed to read a tar header: a lone block of zeros stands before it")]
    LoneZeroBlock,
    /// The archive ends within a header or an entry.
    #[error("failed to read the archive to its end: it is cut off")]
    Truncated,
}

/// An entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ArchiveEntry {
    /// Its path as it stands.
    pub(crate) path: Vec<u8>,
    /// What it is.
    pub(crate) kind: EntryKind,
    /// Bytes of its content in the archive.
    pub(crate) size: u64,
}

/// What an entry of an archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    /// A file whose content is stored without its holes.
    SparseFile,
    Directory,
    /// A symbolic link, with its target.
    Symlink(Vec<u8>),
    /// A hard link, with the path in the archive that it links to.
    HardLink(Vec<u8>),
    /// A device or a named pipe.
    Special,
    /// A type that runtimes refuse.
    Unknown(u8),
}

/// Takes the entries of an archive.
pub(crate) trait EntrySink {
    /// Takes an entry; says whether its content is wanted, which only a [`EntryKind::File`] has.
    fn entry(&mut self, entry: ArchiveEntry) -> bool;
    /// Takes the next bytes of a wanted content.
    fn content(&mut self, bytes: &[u8]);
    /// A wanted content is at its end; when not `complete`, because the archive is.
    fn content_end(&mut self, complete: bool);
}

/// Walks an archive.
pub(crate) struct Walker {
    state: State,
    block: [u8; BLOCK_BYTES],
    filled: usize,
    /// The block before was all zeros.
    after_zero_block: bool,
    next: Overrides,
}

enum State {
    Header,
    /// Within the content of a header that says more about the next entry.
    Meta {
        kind: MetaKind,
        bytes: Vec<u8>,
        remaining: u64,
        padding: u64,
    },
    /// Before the rest of the map of an old GNU sparse file.
    SparseMap {
        size: u64,
    },
    Content {
        remaining: u64,
        padding: u64,
        wanted: bool,
    },
    Padding(u64),
    Ended,
}

#[derive(Clone, Copy)]
enum MetaKind {
    Pax,
    LongPath,
    LongLink,
}

/// What headers before an entry say about it.
#[derive(Default)]
struct Overrides {
    pax: PaxRecords,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Walker {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Header,
            block: [0; BLOCK_BYTES],
            filled: 0,
            after_zero_block: false,
            next: Overrides::default(),
        }
    }

    /// Takes the next bytes of the archive. After an error only [`Walker::abort`] may follow.
    pub(crate) fn push(&mut self, mut bytes: &[u8], sink: &mut impl EntrySink) -> Result<(), ArchiveError> {
        while !bytes.is_empty() {
            bytes = self.step(bytes, sink)?;
        }
        Ok(())
    }

    /// The archive has no more bytes. Like Go, takes an archive without its end blocks or last padding as complete.
    pub(crate) fn finish(mut self, sink: &mut impl EntrySink) -> Result<(), ArchiveError> {
        let complete = match &self.state {
            State::Header => self.filled == 0,
            State::Meta { .. } | State::SparseMap { .. } | State::Content { .. } => false,
            State::Padding(_) | State::Ended => true,
        };
        self.abort(sink);
        if complete { Ok(()) } else { Err(ArchiveError::Truncated) }
    }

    /// The archive cannot be read on: ends a content that is not complete.
    pub(crate) fn abort(&mut self, sink: &mut impl EntrySink) {
        if let State::Content { wanted: true, .. } = self.state {
            sink.content_end(false);
        }
        self.state = State::Ended;
    }

    /// Takes some of `bytes`, at least one; gives the rest.
    fn step<'a>(&mut self, bytes: &'a [u8], sink: &mut impl EntrySink) -> Result<&'a [u8], ArchiveError> {
        match &mut self.state {
            State::Ended => Ok(&[]),
            State::Header | State::SparseMap { .. } => {
                let (part, rest) = take(bytes, (BLOCK_BYTES - self.filled) as u64);
                if let Some(space) = self.block.get_mut(self.filled..self.filled + part.len()) {
                    space.copy_from_slice(part);
                }
                self.filled += part.len();
                if self.filled == BLOCK_BYTES {
                    self.filled = 0;
                    self.block_complete(sink)?;
                }
                Ok(rest)
            }
            State::Padding(remaining) => {
                let (part, rest) = take(bytes, *remaining);
                *remaining -= part.len() as u64;
                if *remaining == 0 {
                    self.state = State::Header;
                }
                Ok(rest)
            }
            State::Content { remaining, padding, wanted } => {
                let (part, rest) = take(bytes, *remaining);
                *remaining -= part.len() as u64;
                if *wanted {
                    sink.content(part);
                }
                if *remaining == 0 {
                    if *wanted {
                        sink.content_end(true);
                    }
                    self.state = padded(*padding);
                }
                Ok(rest)
            }
            State::Meta { kind, bytes: meta, remaining, padding } => {
                let (part, rest) = take(bytes, *remaining);
                *remaining -= part.len() as u64;
                meta.extend_from_slice(part);
                if *remaining == 0 {
                    let (kind, meta) = (*kind, std::mem::take(meta));
                    self.state = padded(*padding);
                    self.next.add(kind, &meta)?;
                }
                Ok(rest)
            }
        }
    }

    fn block_complete(&mut self, sink: &mut impl EntrySink) -> Result<(), ArchiveError> {
        if let State::SparseMap { size } = self.state {
            // The last byte but seven says whether another block of the map follows.
            if self.block[504] == 0 {
                self.state = content(size, false);
            }
            return Ok(());
        }
        let block = self.block;
        let header = Header(&block);
        if header.is_zero() {
            if self.after_zero_block {
                self.state = State::Ended;
            }
            self.after_zero_block = true;
            return Ok(());
        }
        header.verify()?;
        if self.after_zero_block {
            return Err(ArchiveError::LoneZeroBlock);
        }
        let size = header.size()?;
        match header.type_flag() {
            b'x' => self.begin_meta(MetaKind::Pax, size),
            b'L' => self.begin_meta(MetaKind::LongPath, size),
            b'K' => self.begin_meta(MetaKind::LongLink, size),
            b'g' => {
                self.state = content(size, false);
                Ok(())
            }
            _ => {
                self.begin_entry(&header, size, sink);
                Ok(())
            }
        }
    }

    fn begin_meta(&mut self, kind: MetaKind, size: u64) -> Result<(), ArchiveError> {
        if size > META_BYTES {
            return Err(ArchiveError::MetaTooLarge(size));
        }
        if size == 0 {
            return self.next.add(kind, &[]);
        }
        self.state = State::Meta { kind, bytes: Vec::new(), remaining: size, padding: padding(size) };
        Ok(())
    }

    fn begin_entry(&mut self, header: &Header<'_>, size: u64, sink: &mut impl EntrySink) {
        let next = std::mem::take(&mut self.next);
        let sparse_path = if next.pax.sparse { next.pax.sparse_path } else { None };
        let path = next.long_path.or(sparse_path).or(next.pax.path).unwrap_or_else(|| header.path());
        let link = || next.long_link.or(next.pax.link).unwrap_or_else(|| header.link());
        let kind = match header.type_flag() {
            0 if path.ends_with(b"/") => EntryKind::Directory,
            b'S' => EntryKind::SparseFile,
            0 | b'0' | b'7' if next.pax.sparse => EntryKind::SparseFile,
            0 | b'0' | b'7' => EntryKind::File,
            b'1' => EntryKind::HardLink(link()),
            b'2' => EntryKind::Symlink(link()),
            b'3' | b'4' | b'6' => EntryKind::Special,
            b'5' => EntryKind::Directory,
            other => EntryKind::Unknown(other),
        };
        // Links, directories and devices have no content, whatever their size says.
        let has_content = matches!(kind, EntryKind::File | EntryKind::SparseFile | EntryKind::Unknown(_));
        let size = if has_content { next.pax.size.unwrap_or(size) } else { 0 };
        let is_file = kind == EntryKind::File;
        let map_continues = header.type_flag() == b'S' && header.sparse_map_continues();
        let wanted = sink.entry(ArchiveEntry { path, kind, size }) && is_file;
        if wanted && size == 0 {
            sink.content_end(true);
        }
        self.state = if map_continues { State::SparseMap { size } } else { content(size, wanted) };
    }
}

impl Overrides {
    fn add(&mut self, kind: MetaKind, bytes: &[u8]) -> Result<(), ArchiveError> {
        let name = || Some(until_nul(bytes).to_vec()).filter(|name| !name.is_empty());
        match kind {
            MetaKind::Pax => self.pax = PaxRecords::read(bytes)?,
            MetaKind::LongPath => self.long_path = name(),
            MetaKind::LongLink => self.long_link = name(),
        }
        Ok(())
    }
}

/// The state at the beginning of a content of `size` bytes.
const fn content(size: u64, wanted: bool) -> State {
    if size == 0 { State::Header } else { State::Content { remaining: size, padding: padding(size), wanted } }
}

/// The state at the end of a content.
const fn padded(padding: u64) -> State {
    if padding == 0 { State::Header } else { State::Padding(padding) }
}

/// Bytes that fill a content of `size` bytes up to a block.
const fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK_BYTES as u64
}

/// At most `count` of `bytes`, and the rest.
fn take(bytes: &[u8], count: u64) -> (&[u8], &[u8]) {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len());
    bytes.split_at(count)
}
