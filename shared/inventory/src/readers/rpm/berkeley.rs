//! The form of Berkeley DB: a hash, whose buckets are chains of pages, with long records in chains of their own. It has
//! the byte order of the machine that wrote it.
//!
//! Format: <https://github.com/rpm-software-management/rpm/blob/rpm-4.20.x/lib/backend/bdb_ro.c> and, of Berkeley DB itself,
//! <https://github.com/berkeleydb/libdb/blob/master/src/dbinc/db_page.h>.

use std::ops::ControlFlow;

use super::bytes::Order;
use super::damage::{Damage, bytes_at};
use super::extent::Extent;
use super::{Take, give};
use crate::contents::Contents;

/// What a hash has at byte 12.
pub(super) const HASH_MAGIC: u32 = 0x0006_1561;

/// What a b-tree has there.
pub(super) const BTREE_MAGIC: u32 = 0x0005_3162;

/// Bytes of the page about the database.
const META_BYTES: usize = 512;

/// Bytes of a page before its entries: place in the log, number, the pages before and after it, the number of entries,
/// the beginning of free space, level, and type.
const PAGE_HEADER_BYTES: usize = 26;

/// Types of pages: nothing yet, two of a hash, and a part of a long record.
const INVALID: u8 = 0;
const HASH_UNSORTED: u8 = 2;
const HASH: u8 = 13;
const OVERFLOW: u8 = 7;

/// Types of entries: bytes in the page, and bytes in a chain of pages.
const KEY_DATA: u8 = 1;
const OFF_PAGE: u8 = 3;

/// Of the records one is no package: the highest number of a package so far.
const COUNTER: [u8; 4] = [0; 4];

struct Database<'a> {
    contents: &'a Contents,
    order: Order,
    page_bytes: usize,
    last_bucket: u32,
    /// How far the pages of the buckets lie behind their numbers, for each doubling of the buckets.
    spares: [u32; 32],
    extent: Extent,
}

/// A page and its number.
struct Page {
    number: u32,
    bytes: Vec<u8>,
    order: Order,
}

/// Gives each record of the database, whose numbers have the order `order`, to `take`.
pub(super) fn read(contents: &Contents, order: Order, take: &mut Take<'_>) -> ControlFlow<()> {
    let mut database = match Database::open(contents, order) {
        Ok(database) => database,
        Err(damage) => return take(Err(damage)),
    };
    for bucket in 0..=database.last_bucket {
        // A bucket's page is its number, and all pages that were put between those of buckets before it.
        let doublings = (u32::BITS - bucket.leading_zeros()) as usize;
        let spare = database.spares.get(doublings).copied().unwrap_or_default();
        let mut next = bucket.saturating_add(spare);
        loop {
            let page = match database.page(next) {
                Ok(page) => page,
                Err(damage) => {
                    take(Err(damage))?;
                    break;
                }
            };
            database.records(&page, take)?;
            next = page.next();
            if next == 0 {
                break;
            }
        }
    }
    ControlFlow::Continue(())
}

impl<'a> Database<'a> {
    fn open(contents: &'a Contents, order: Order) -> Result<Self, Damage> {
        let meta = bytes_at(contents, 0, META_BYTES)?;
        let field = |at| order.u32(&meta, at).unwrap_or_default();
        let byte = |at: usize| meta.get(at).copied().unwrap_or_default();
        // What rpm has used since 2002, and what it can still read.
        if !(8..=10).contains(&field(16)) {
            return Err(Damage::Unsupported("is a hash of Berkeley DB of another version than 8 to 10"));
        }
        if byte(24) != 0 || byte(26) != 0 {
            return Err(Damage::Unsupported(
                "is a hash of Berkeley DB with encryption, checksums or partitions",
            ));
        }
        let page_bytes = match field(20) {
            bytes @ 512..=65_536 if bytes.is_power_of_two() => bytes as usize,
            _ => return Err(Damage::Unsupported("is a hash of Berkeley DB without a size of pages")),
        };
        let pages = contents.length().div_ceil(page_bytes as u64);
        let last_page = u32::try_from(pages.saturating_sub(1)).unwrap_or(u32::MAX);
        let last_bucket = field(72);
        if last_bucket > last_page {
            return Err(Damage::NoPage(last_bucket));
        }
        let spares = std::array::from_fn(|doubling| field(96 + 4 * doubling));
        let extent = Extent::new(1, last_page, page_bytes);
        Ok(Self { contents, order, page_bytes, last_bucket, spares, extent })
    }

    fn page(&mut self, number: u32) -> Result<Page, Damage> {
        self.extent.page(number)?;
        let bytes = bytes_at(self.contents, u64::from(number) * self.page_bytes as u64, self.page_bytes)?;
        let page = Page { number, bytes, order: self.order };
        // A bucket in which nothing was put yet is a page of zeros.
        if page.u32(8) != number && !(page.u32(8) == 0 && page.page_type() == INVALID) {
            return Err(page.damage("that has the number of another"));
        }
        Ok(page)
    }

    /// Gives the records of a page of a bucket: its entries are keys and values by turns, from its end on.
    fn records(&mut self, page: &Page, take: &mut Take<'_>) -> ControlFlow<()> {
        match page.page_type() {
            HASH | HASH_UNSORTED => {}
            INVALID => return ControlFlow::Continue(()),
            _ => return take(Err(page.damage("that belongs to no bucket"))),
        }
        let mut end = self.page_bytes;
        for pair in 0..page.entries() / 2 {
            let (Some(key), Some(value)) = (page.place(2 * pair), page.place(2 * pair + 1)) else {
                return take(Err(page.damage("with more entries than fit in it")));
            };
            let is_counter = page.bytes.get(key..end).is_some_and(|key| {
                key.split_first().is_some_and(|(kind, key)| *kind == KEY_DATA && key == COUNTER)
            });
            if !is_counter {
                give(take, self.value(page, value, key))?;
            }
            end = value;
        }
        ControlFlow::Continue(())
    }

    /// The value that lies from `start` to `end` in a page, or where that leads.
    fn value(&mut self, page: &Page, start: usize, end: usize) -> Result<Vec<u8>, Damage> {
        let damage = || page.damage("with an entry that does not lie in it");
        let entry = page.bytes.get(start..end).ok_or_else(damage)?;
        let (kind, bytes) = entry.split_first().ok_or_else(damage)?;
        match *kind {
            KEY_DATA => {
                self.extent.record(bytes.len() as u64)?;
                Ok(bytes.to_vec())
            }
            OFF_PAGE => {
                let (first, length) = (self.order.u32(entry, 4), self.order.u32(entry, 8));
                self.chain(first.ok_or_else(damage)?, length.ok_or_else(damage)?)
            }
            _ => Err(page.damage("with an entry of a kind that rpm does not write")),
        }
    }

    /// The `length` bytes of the chain that begins with the page `first`.
    fn chain(&mut self, first: u32, length: u32) -> Result<Vec<u8>, Damage> {
        let length = self.extent.record(u64::from(length))?;
        let (mut bytes, mut next) = (Vec::new(), first);
        while bytes.len() < length {
            let page = self.page(next)?;
            let end = PAGE_HEADER_BYTES + usize::from(page.u16(22));
            let part =
                page.bytes.get(PAGE_HEADER_BYTES..end).filter(|part| part.len() <= length - bytes.len());
            match part {
                Some(part) if page.page_type() == OVERFLOW => bytes.extend_from_slice(part),
                _ => return Err(page.damage("that is no part of a record")),
            }
            next = page.next();
        }
        Ok(bytes)
    }
}

impl Page {
    fn damage(&self, reason: &'static str) -> Damage {
        Damage::Page { page: self.number, reason }
    }

    fn u16(&self, at: usize) -> u16 {
        self.order.u16(&self.bytes, at).unwrap_or_default()
    }

    fn u32(&self, at: usize) -> u32 {
        self.order.u32(&self.bytes, at).unwrap_or_default()
    }

    fn page_type(&self) -> u8 {
        self.bytes.get(25).copied().unwrap_or_default()
    }

    /// The page after it in its chain; 0 after the last.
    fn next(&self) -> u32 {
        self.u32(16)
    }

    fn entries(&self) -> usize {
        usize::from(self.u16(20))
    }

    /// Where the entry `number` begins; `None` when there is no room for it to be listed.
    fn place(&self, number: usize) -> Option<usize> {
        self.order.u16(&self.bytes, PAGE_HEADER_BYTES + 2 * number).map(usize::from)
    }
}
