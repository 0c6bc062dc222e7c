//! What can be wrong with a database of rpm. Made for each page and record that is wrong, it holds numbers and no text as
//! far as it can: only the first of many are written out.

use std::io;

use super::RECORD_BYTES;
use crate::contents::Contents;
use crate::reading::TooLong;

/// What is wrong with a database, or with a package in it: a fragment that follows the name of the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    /// The temporary file that holds it failed.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is nothing that can be read.
    #[error("{0}")]
    Unsupported(&'static str),
    /// It ends before it should.
    #[error("ends before byte {0}, up to which it should go")]
    CutOff(u64),
    /// It leads to a page that it does not have.
    #[error("leads to page {0}, which it does not have")]
    NoPage(u32),
    /// It leads to a page that was read before.
    #[error("leads to page {0} more than once")]
    PageAgain(u32),
    /// A page is not what it has to be.
    #[error("has a page {page} {reason}")]
    Page {
        /// Number of the page.
        page: u32,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A slot of NDB is not what it has to be.
    #[error("has a slot {slot} {reason}")]
    Slot {
        /// Number of the slot, from the start of the file.
        slot: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The log beside it cannot be used.
    #[error("has a write-ahead log that was not read: it {0}")]
    Log(&'static str),
    /// A record has more bytes than are read.
    #[error("holds a record of {0} bytes, of which none may have more than {RECORD_BYTES}")]
    LargeRecord(u64),
    /// Its records together have more bytes than it has.
    #[error("has records that lie in one another")]
    Overlap,
    /// A record is not what it has to be.
    #[error("holds a record {0}")]
    Record(&'static str),
    /// A field of a header is not what it has to be.
    #[error("holds a package header whose {0} does not lie in it")]
    Field(&'static str),
    /// A value is too long.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// A package has no name.
    #[error("holds a package header without a name")]
    NoName,
    /// A package has no version or release.
    #[error("names no {1} of {0}")]
    NoVersion(String, &'static str),
    /// Its packages have more files than are kept.
    #[error("names more than {0} files of its packages: it is not known who owns the others")]
    ManyFiles(usize),
}

/// Exactly `length` bytes of `contents` from `offset` on.
pub(super) fn bytes_at(contents: &Contents, offset: u64, length: usize) -> Result<Vec<u8>, Damage> {
    contents.bytes_at(offset, length).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Damage::CutOff(offset.saturating_add(length as u64)),
        _ => Damage::Io(error),
    })
}
