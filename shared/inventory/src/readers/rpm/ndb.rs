//! NDB, SUSE's form of the database: pages of slots, each of which leads to the record of one package, with its length
//! and a checksum.
//!
//! Format: <https://github.com/rpm-software-management/rpm/blob/rpm-4.20.x/lib/backend/ndb/rpmpkg.c>.

use std::ops::ControlFlow;

use super::bytes::Order;
use super::damage::{Damage, bytes_at};
use super::extent::Extent;
use super::{Take, give};
use crate::contents::Contents;

/// Begins the file.
pub(super) const MAGIC: &[u8] = b"RpmP";

/// The only version of the format.
const VERSION: u32 = 0;

const PAGE_BYTES: usize = 4096;
const HEADER_BYTES: usize = 32;

/// Bytes of a slot: its magic, the number of the package, the block where its record begins, and the number of blocks.
const SLOT_BYTES: usize = 16;
const SLOT_MAGIC: &[u8] = b"Slot";

/// The unit of places and lengths.
const BLOCK_BYTES: usize = 16;

/// Before a record: magic, number of the package, time, and length.
const HEAD_BYTES: usize = 16;
const HEAD_MAGIC: &[u8] = b"BlbS";

/// After a record, at the end of its last block: checksum, length, and magic.
const TAIL_BYTES: usize = 12;
const TAIL_MAGIC: &[u8] = b"BlbE";

/// Where a record is.
struct Slot {
    number: u64,
    package: u32,
    block: u32,
    blocks: u32,
}

/// Gives each record of the database to `take`.
pub(super) fn read(contents: &Contents, take: &mut Take<'_>) -> ControlFlow<()> {
    let pages = match slot_pages(contents) {
        Ok(pages) => pages,
        Err(damage) => return take(Err(damage)),
    };
    let last = u32::try_from(contents.length() / PAGE_BYTES as u64).unwrap_or(u32::MAX);
    let mut extent = Extent::new(0, last, PAGE_BYTES);
    for page in 0..pages {
        let start = u64::from(page) * PAGE_BYTES as u64;
        let slots = match bytes_at(contents, start, PAGE_BYTES) {
            Ok(slots) => slots,
            Err(damage) => return take(Err(damage)),
        };
        // The first two slots of the file are its header.
        let skipped = if page == 0 { HEADER_BYTES / SLOT_BYTES } else { 0 };
        for (place, bytes) in slots.chunks_exact(SLOT_BYTES).enumerate().skip(skipped) {
            let number = start / SLOT_BYTES as u64 + place as u64;
            match Slot::of(bytes, number) {
                Ok(Slot { block: 0, .. }) => {}
                Ok(slot) => give(take, slot.record(contents, pages, &mut extent))?,
                Err(damage) => take(Err(damage))?,
            }
        }
    }
    ControlFlow::Continue(())
}

/// How many pages of slots there are.
fn slot_pages(contents: &Contents) -> Result<u32, Damage> {
    let header = bytes_at(contents, 0, HEADER_BYTES)?;
    match (Order::Little.u32(&header, 4), Order::Little.u32(&header, 12)) {
        (Some(VERSION), Some(pages @ 1..)) => Ok(pages),
        (Some(VERSION), _) => Err(Damage::Unsupported("is an NDB database without slots")),
        _ => Err(Damage::Unsupported("is an NDB database of another version than 0")),
    }
}

impl Slot {
    /// The slot with the number `number` in the file.
    fn of(bytes: &[u8], number: u64) -> Result<Self, Damage> {
        let field = |at| Order::Little.u32(bytes, at).unwrap_or_default();
        if bytes.starts_with(SLOT_MAGIC) {
            Ok(Self { number, package: field(4), block: field(8), blocks: field(12) })
        } else {
            Err(Damage::Slot { slot: number, reason: "that is no slot" })
        }
    }

    /// The record that the slot leads to.
    fn record(&self, contents: &Contents, pages: u32, extent: &mut Extent) -> Result<Vec<u8>, Damage> {
        let damage = |reason| Damage::Slot { slot: self.number, reason };
        let field = |bytes: &[u8], at| Order::Little.u32(bytes, at).unwrap_or_default();
        let start = u64::from(self.block) * BLOCK_BYTES as u64;
        if self.package == 0 || start < u64::from(pages) * PAGE_BYTES as u64 {
            return Err(damage("that leads to no record"));
        }
        let blocks = extent.record(u64::from(self.blocks) * BLOCK_BYTES as u64)?;
        let mut bytes = bytes_at(contents, start, blocks)?;
        let length = field(&bytes, 12) as usize;
        let is_head = bytes.starts_with(HEAD_MAGIC) && field(&bytes, 4) == self.package;
        if !is_head
            || (HEAD_BYTES + TAIL_BYTES).saturating_add(length).div_ceil(BLOCK_BYTES) * BLOCK_BYTES != blocks
        {
            return Err(damage("that leads to no record of its package"));
        }
        let Some((checked, tail)) = bytes.split_last_chunk::<TAIL_BYTES>() else {
            return Err(damage("that leads to no record of its package"));
        };
        if field(tail, 4) as usize != length || !tail.ends_with(TAIL_MAGIC) {
            return Err(damage("whose record does not end where it should"));
        }
        if field(tail, 0) != adler32(checked) {
            return Err(damage("whose record does not match its checksum"));
        }
        bytes.truncate(HEAD_BYTES + length);
        bytes.drain(..HEAD_BYTES);
        Ok(bytes)
    }
}

/// The checksum Adler-32: <https://www.rfc-editor.org/rfc/rfc1950#section-9>.
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    // As many bytes as the second sum can take without a remainder.
    let sums = bytes.chunks(5552).fold((1, 0), |sums, chunk| {
        let (first, second) = chunk.iter().fold(sums, |(first, second), byte| {
            let first = first + u32::from(*byte);
            (first, second + first)
        });
        (first % MODULUS, second % MODULUS)
    });
    sums.1 << 16 | sums.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_adler_32() {
        assert_eq!(adler32(b""), 1);
        // The example of <https://en.wikipedia.org/wiki/Adler-32>.
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
        // 1 + 10,000 × 255 = 2,550,001, and 10,000 + 255 × (1 + 2 + … + 10,000) = 12,751,285,000, both modulo 65,521.
        let sum = adler32(&[255; 10_000]);
        assert_eq!((sum >> 16, sum & 0xffff), (46_627, 60_203));
    }
}
