//! ZIP archives, read at random and in bounded memory: the central directory comes by entry by entry, and of the members
//! only what is asked for is inflated. ZIP64, comments, and bytes before the archive (a script, a program) are understood.
//! Everything that is read costs of an [`Allowance`], which an archive shares with those inside it.
//!
//! Specification: <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>.

mod directory;
mod fields;
mod member;
#[cfg(test)]
pub(crate) mod tests;

use std::io;

pub(crate) use directory::Member;

use crate::contents::Contents;
use fields::Fields;

/// Bytes of the end record without its comment.
const END_BYTES: u64 = 22;

/// The longest comment of an archive: its length has 16 bits.
const COMMENT_BYTES: u64 = u16::MAX as u64;

/// Bytes at the end where the end record is looked for first: comments are rare, and most of them short.
const TAIL_BYTES: u64 = 1024;

const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";

/// Bytes of the ZIP64 locator, and of the ZIP64 end record without what may be added to it.
const LOCATOR_64_BYTES: u64 = 20;
const END_64_BYTES: u64 = 56;

/// Why an archive, or a member of one, cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ZipError {
    /// It has no end record.
    #[error("is no ZIP archive")]
    NotZip,
    /// A record is not what or where it has to be.
    #[error("is a damaged ZIP archive: {0}")]
    Damaged(&'static str),
    /// The member is encrypted.
    #[error("is encrypted")]
    Encrypted,
    /// The member is compressed by a method other than those of Java archives, stored and deflated.
    #[error("is compressed by method {0}, which is not read")]
    Method(u16),
    /// The member has more bytes than whoever asks for it can use.
    #[error("has more than {0} bytes")]
    TooLarge(u64),
    /// The archive, with those inside it, has used up its [`Allowance`].
    #[error("holds more {0} than a ZIP archive of its size may")]
    Allowance(&'static str),
    /// The file, or a temporary one, could not be read or written.
    #[error("failed to be read: {0}")]
    Io(#[from] io::Error),
}

/// What reading an archive, and all archives inside it, may still cost. It grows with the length of the outermost one, so
/// that neither one file nor many small ones cost more than a few times their bytes, however they are nested, and
/// whatever entries lie in the same bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    entries: u64,
    bytes: u64,
    is_spent: bool,
}

impl Allowance {
    /// Entries that every archive may have, and the bytes for each one beyond them. The records of an entry have at least
    /// 76 bytes without its name; those of an archive inside a compressed one need less.
    const ENTRIES: u64 = 1024;
    const BYTES_PER_ENTRY: u64 = 8;

    /// The most entries, whatever the length.
    const MOST_ENTRIES: u64 = 2_000_000;

    /// Bytes that may be unpacked of every archive, and how many for each of its own. What matters in an archive is text,
    /// which compresses well but is little, and archives, which do not compress again.
    const BYTES: u64 = 1 << 20;
    const EXPANSION: u64 = 16;

    /// The most bytes, whatever the length.
    const MOST_BYTES: u64 = 8 << 30;

    /// What an outermost archive of `length` bytes may cost.
    pub(crate) fn for_length(length: u64) -> Self {
        Self {
            entries: (Self::ENTRIES + length / Self::BYTES_PER_ENTRY).min(Self::MOST_ENTRIES),
            bytes: Self::BYTES.saturating_add(length.saturating_mul(Self::EXPANSION)).min(Self::MOST_BYTES),
            is_spent: false,
        }
    }

    /// Whether more was asked for than there was, so that nothing can be read any more.
    pub(crate) const fn is_spent(self) -> bool {
        self.is_spent
    }

    /// Takes one entry.
    fn spend_entry(&mut self) -> Result<(), ZipError> {
        self.entries = self.take(self.entries, 1, "entries")?;
        Ok(())
    }

    /// Takes `bytes` bytes, which were unpacked or are to be read.
    pub(crate) fn spend_bytes(&mut self, bytes: u64) -> Result<(), ZipError> {
        self.bytes = self.take(self.bytes, bytes, "bytes")?;
        Ok(())
    }

    /// What is left of `from`; nothing of anything when there is not as much.
    fn take(&mut self, from: u64, count: u64, what: &'static str) -> Result<u64, ZipError> {
        self.is_spent |= from < count;
        if self.is_spent { Err(ZipError::Allowance(what)) } else { Ok(from - count) }
    }
}

/// A part of [`Contents`]: a file, or a member that lies in it uncompressed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    contents: &'a Contents,
    start: u64,
    length: u64,
}

impl<'a> Window<'a> {
    /// All of `contents`.
    pub(crate) const fn all(contents: &'a Contents) -> Self {
        Self { contents, start: 0, length: contents.length() }
    }

    /// How many bytes it has.
    pub(crate) const fn length(self) -> u64 {
        self.length
    }

    /// The part of it from `offset` on, of `length` bytes; `None` when it has not as many.
    fn part(self, offset: u64, length: u64) -> Option<Self> {
        let end = offset.checked_add(length)?;
        let start = self.start.checked_add(offset)?;
        (end <= self.length).then_some(Self { start, length, ..self })
    }

    /// Fills `buffer` with the bytes from `offset` on; how many there were, less than asked for only at the end.
    pub(crate) fn read_at(self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let buffer = buffer.get_mut(..count).unwrap_or_default();
        self.contents.read_at(self.start.saturating_add(offset), buffer)
    }

    /// The `length` bytes from `offset` on; `what` names them where they are missing.
    fn bytes_at(self, offset: u64, length: u64, what: &'static str) -> Result<Vec<u8>, ZipError> {
        let part = self.part(offset, length).ok_or(ZipError::Damaged(what))?;
        let length = usize::try_from(length).map_err(|_| ZipError::Damaged(what))?;
        Ok(part.contents.bytes_at(part.start, length)?)
    }
}

/// An archive, whose end record was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Archive<'a> {
    window: Window<'a>,
    /// Bytes before the archive that its offsets do not count.
    before: u64,
    /// The central directory, in the window.
    directory: Window<'a>,
}

/// What an end record says.
struct End {
    directory_bytes: u64,
    directory_offset: u64,
    /// Where the central directory should end: at the first end record.
    position: u64,
}

impl<'a> Archive<'a> {
    /// The archive that ends where `window` does.
    pub(crate) fn open(window: Window<'a>) -> Result<Self, ZipError> {
        let end = find_end(window)?;
        // What is before the archive shifts the directory against its offset; some tools correct the offset, as it says
        // where the directory is, and some do not.
        let directory = end
            .position
            .checked_sub(end.directory_bytes)
            .ok_or(ZipError::Damaged("its central directory is larger than itself"))?;
        let before = directory
            .checked_sub(end.directory_offset)
            .ok_or(ZipError::Damaged("its central directory is not where it has to be"))?;
        let directory = window
            .part(directory, end.directory_bytes)
            .ok_or(ZipError::Damaged("its central directory is not where it has to be"))?;
        Ok(Self { window, before, directory })
    }

    /// The entries, in their order.
    pub(crate) fn entries(&self) -> directory::Entries<'a> {
        directory::Entries::new(self.directory)
    }
}

/// Finds the end record, and that of ZIP64 before it. One whose comment ends where the file does goes before one that other
/// bytes follow: tools that pad archives exist, and Java, Go and unzip read them.
fn find_end(window: Window<'_>) -> Result<End, ZipError> {
    for (tail, is_last) in
        [(TAIL_BYTES, true), (END_BYTES + COMMENT_BYTES, true), (END_BYTES + COMMENT_BYTES, false)]
    {
        let start = window.length.saturating_sub(tail);
        let bytes = window.bytes_at(start, window.length - start, "its end is missing")?;
        let mut positions = memchr::memmem::rfind_iter(&bytes, &END);
        let position = positions.find(|at| {
            let left = bytes.get(*at..).and_then(after_end);
            left == Some(0) || !is_last && left.is_some()
        });
        if let Some(position) = position {
            let record = bytes.get(position..).unwrap_or_default();
            return end(window, start + position as u64, record);
        }
    }
    Err(ZipError::NotZip)
}

/// How many bytes follow the end record, with its comment, that `bytes` begin with; `None` when it is cut off.
fn after_end(bytes: &[u8]) -> Option<u64> {
    let comment = Fields::at(bytes, 20)?.u16()?;
    (bytes.len() as u64).checked_sub(END_BYTES + u64::from(comment))
}

/// Reads the end record at `position`.
fn end(window: Window<'_>, position: u64, record: &[u8]) -> Result<End, ZipError> {
    const DAMAGED: ZipError = ZipError::Damaged("its end is cut off");
    let mut fields = Fields::at(record, 8).ok_or(DAMAGED)?;
    let (_, entries) = (fields.u16().ok_or(DAMAGED)?, fields.u16().ok_or(DAMAGED)?);
    let directory_bytes = fields.u32().ok_or(DAMAGED)?;
    let directory_offset = fields.u32().ok_or(DAMAGED)?;
    let is_64 = entries == u16::MAX || directory_bytes == u32::MAX || directory_offset == u32::MAX;
    let end_64 = if is_64 { end_64(window, position)? } else { None };
    Ok(end_64.unwrap_or(End {
        directory_bytes: directory_bytes.into(),
        directory_offset: directory_offset.into(),
        position,
    }))
}

/// The end record of ZIP64, by its locator right before the end record at `position`; `None` when there is none, because
/// an archive may have 65,535 entries without it.
fn end_64(window: Window<'_>, position: u64) -> Result<Option<End>, ZipError> {
    const DAMAGED: ZipError = ZipError::Damaged("its ZIP64 end is not where it has to be");
    let Some(locator) = position.checked_sub(LOCATOR_64_BYTES) else { return Ok(None) };
    let bytes = window.bytes_at(locator, LOCATOR_64_BYTES, "its ZIP64 end is missing")?;
    if !bytes.starts_with(&LOCATOR_64) {
        return Ok(None);
    }
    let stated = Fields::at(&bytes, 8).and_then(|mut fields| fields.u64()).ok_or(DAMAGED)?;
    // The offset does not count what is before the archive; the record mostly stands right before its locator.
    for position in [locator.checked_sub(END_64_BYTES), Some(stated)].into_iter().flatten() {
        let Ok(record) = window.bytes_at(position, END_64_BYTES, "") else { continue };
        if !record.starts_with(&END_64) {
            continue;
        }
        let mut fields = Fields::at(&record, 40).ok_or(DAMAGED)?;
        let directory_bytes = fields.u64().ok_or(DAMAGED)?;
        let directory_offset = fields.u64().ok_or(DAMAGED)?;
        return Ok(Some(End { directory_bytes, directory_offset, position }));
    }
    Err(DAMAGED)
}
