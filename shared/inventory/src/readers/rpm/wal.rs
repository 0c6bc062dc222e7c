//! The write-ahead log of an SQLite database: pages that were written and not yet put into the database, which every
//! reader of it must see. An image has one when it was taken while something had the database open, or when that died.
//!
//! Format: <https://www.sqlite.org/fileformat2.html#walformat>.

use super::bytes::Order;
use super::damage::{Damage, bytes_at};
use super::sqlite::page_bytes;
use crate::contents::Contents;

/// Begins the log; the last bit says that the checksums are those of numbers with the highest byte first.
const MAGIC: u32 = 0x377f_0682;

/// The only version of the format.
const VERSION: u32 = 3_007_000;

/// Bytes of the log before the first frame.
const HEADER_BYTES: usize = 32;

/// Bytes of a frame before the page: its number, the pages of the database when the frame ends a transaction, the salts
/// of the log, and a checksum of everything so far.
const FRAME_BYTES: usize = 24;

/// What a log has of a database.
#[derive(Debug)]
pub(super) struct Wal<'a> {
    /// Its bytes.
    pub(super) contents: &'a Contents,
    /// Bytes of a page.
    pub(super) page_bytes: usize,
    /// How many pages the database has.
    pub(super) pages: u32,
    /// Numbers of pages, each with that of a frame, sorted: of several frames of a page the last is what it is.
    frames: Vec<(u32, u32)>,
}

impl<'a> Wal<'a> {
    /// The log `contents`; `None` when it holds nothing that counts: it has no bytes, or no transaction that has ended.
    /// Frames after the last that did are of one that did not, or of an older log that this one has written over.
    pub(super) fn open(contents: &'a Contents) -> Result<Option<Self>, Damage> {
        if contents.length() == 0 {
            return Ok(None);
        }
        let mut header = [0; HEADER_BYTES];
        contents.read_at(0, &mut header)?;
        let field = |at| Order::Big.u32(&header, at).unwrap_or_default();
        if field(0) & !1 != MAGIC || field(4) != VERSION {
            return Err(Damage::Log("is no log of SQLite"));
        }
        let page_bytes = page_bytes(field(8)).ok_or(Damage::Log("has no size of pages"))?;
        let mut sums =
            Checksum { order: if field(0) & 1 == 1 { Order::Big } else { Order::Little }, sums: (0, 0) };
        sums.add(&header[..24]);
        if sums.sums != (field(24), field(28)) {
            return Err(Damage::Log("does not match its checksum"));
        }
        let mut wal = Self { contents, page_bytes, pages: 0, frames: Vec::new() };
        let ended = wal.read_frames(&header[16..24], sums)?;
        wal.frames.truncate(ended);
        wal.frames.sort_unstable();
        Ok(Some(wal).filter(|wal| !wal.frames.is_empty()))
    }

    /// Reads frames up to the first that does not belong to the log, and gives how many are of transactions that ended.
    fn read_frames(&mut self, salts: &[u8], mut sums: Checksum) -> Result<usize, Damage> {
        let (length, mut ended) = (FRAME_BYTES + self.page_bytes, 0);
        for number in 0.. {
            let frame = match bytes_at(self.contents, self.place(number), length) {
                Ok(frame) => frame,
                Err(Damage::CutOff(_)) => break,
                Err(damage) => return Err(damage),
            };
            let field = |at| Order::Big.u32(&frame, at).unwrap_or_default();
            let (page, pages) = (field(0), field(4));
            sums.add(&frame[..8]);
            sums.add(&frame[FRAME_BYTES..]);
            if page == 0 || frame[8..16] != *salts || sums.sums != (field(16), field(20)) {
                break;
            }
            self.frames.push((page, number));
            if pages > 0 {
                (ended, self.pages) = (self.frames.len(), pages);
            }
        }
        Ok(ended)
    }

    /// Where the frame `number` begins.
    const fn place(&self, number: u32) -> u64 {
        HEADER_BYTES as u64 + number as u64 * (FRAME_BYTES + self.page_bytes) as u64
    }

    /// Where in the log the page `number` is; `None` when it is not there.
    pub(super) fn page(&self, number: u32) -> Option<u64> {
        let after = self.frames.partition_point(|(page, _)| *page <= number);
        let (page, frame) = self.frames.get(after.checked_sub(1)?)?;
        (*page == number).then(|| self.place(*frame) + FRAME_BYTES as u64)
    }
}

/// The checksum of everything in the log so far.
struct Checksum {
    order: Order,
    sums: (u32, u32),
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks_exact(8) {
            let number = |at| self.order.u32(pair, at).unwrap_or_default();
            let first = self.sums.0.wrapping_add(number(0)).wrapping_add(self.sums.1);
            let second = self.sums.1.wrapping_add(number(4)).wrapping_add(first);
            self.sums = (first, second);
        }
    }
}
