//! The form of SQLite: the column `blob` of the table `Packages`. What is read here is no more than that: the pages of one
//! table's tree, and the chains of pages where a long row goes on. SQLite itself is C code that trusts its file too much
//! for one that an image brings along.
//!
//! Format: <https://www.sqlite.org/fileformat2.html>.

use std::ops::ControlFlow;

use super::bytes::Order::Big;
use super::damage::{Damage, bytes_at};
use super::extent::Extent;
use super::wal::Wal;
use super::{READER, Take, give};
use crate::contents::Contents;

/// Begins the file.
pub(super) const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Bytes of the header of the file, in its first page.
const HEADER_BYTES: usize = 100;

/// Types of the pages of a table.
const LEAF: u8 = 13;
const INTERIOR: u8 = 5;

/// The table of all tables, and what it says of each: type, name, name of the table, first page, text.
const SCHEMA_PAGE: u32 = 1;

/// The table of packages.
const TABLE: &[u8] = b"Packages";

/// A database, with what its log has of it.
struct Database<'a> {
    contents: &'a Contents,
    wal: Option<Wal<'a>>,
    page_bytes: usize,
    /// Bytes of a page before those that are reserved for extensions.
    usable_bytes: usize,
    extent: Extent,
}

/// A page of a table.
struct Page {
    number: u32,
    bytes: Vec<u8>,
}

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'a> {
    Integer(i64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
    /// Nothing, or a number that is no integer.
    Other,
}

/// Gives each record of the database to `take`; `wal` is the log beside it.
pub(super) fn read(contents: &Contents, wal: Option<&Contents>, take: &mut Take<'_>) -> ControlFlow<()> {
    // Without a log that cannot be used the database is what it was before.
    let wal = match wal.map(Wal::open).transpose() {
        Ok(wal) => wal.flatten(),
        Err(damage) => {
            take(Err(damage))?;
            None
        }
    };
    let mut database = match Database::open(contents, wal) {
        Ok(database) => database,
        Err(damage) => return take(Err(damage)),
    };
    let mut root = None;
    database.rows(SCHEMA_PAGE, &mut |row| match row.and_then(table) {
        Ok(page) => {
            root = root.or(page);
            ControlFlow::Continue(())
        }
        Err(damage) => take(Err(damage)),
    })?;
    match root {
        Some(page) => database.rows(page, &mut |row| take(row.and_then(blob))),
        None => take(Err(Damage::Unsupported("is an SQLite database without a table Packages"))),
    }
}

/// The first page of the table of packages, from its row of the schema.
fn table(row: &[u8]) -> Result<Option<u32>, Damage> {
    let is_it = column(row, 0)? == Value::Text(b"table")
        && matches!(column(row, 1)?, Value::Text(name) if name.eq_ignore_ascii_case(TABLE));
    match column(row, 3)? {
        Value::Integer(page) if is_it => Ok(u32::try_from(page).ok()),
        _ => Ok(None),
    }
}

/// The record, from a row of the table of packages: its number, which is that of the row, and the bytes.
fn blob(row: &[u8]) -> Result<&[u8], Damage> {
    match column(row, 1)? {
        Value::Blob(bytes) => Ok(bytes),
        _ => Err(Damage::Record("that has no bytes where its package should be")),
    }
}

impl<'a> Database<'a> {
    fn open(contents: &'a Contents, wal: Option<Wal<'a>>) -> Result<Self, Damage> {
        let offset = wal.as_ref().and_then(|wal| wal.page(SCHEMA_PAGE));
        let header = match (&wal, offset) {
            (Some(wal), Some(offset)) => bytes_at(wal.contents, offset, HEADER_BYTES)?,
            _ => bytes_at(contents, 0, HEADER_BYTES)?,
        };
        let byte = |at: usize| header.get(at).copied().unwrap_or_default();
        let page_bytes = page_bytes(Big.u16(&header, 16).map_or(0, u32::from));
        let page_bytes =
            page_bytes.ok_or(Damage::Unsupported("is an SQLite database without a size of pages"))?;
        let usable_bytes = page_bytes - usize::from(byte(20));
        if !header.starts_with(MAGIC) || !matches!(byte(19), 1 | 2) || usable_bytes < 480 {
            return Err(Damage::Unsupported("is an SQLite database of a version that is not known"));
        }
        if Big.u32(&header, 56) != Some(1) {
            return Err(Damage::Unsupported("is an SQLite database whose texts are not in UTF-8"));
        }
        if wal.as_ref().is_some_and(|wal| wal.page_bytes != page_bytes) {
            return Err(Damage::Log("has pages of another size"));
        }
        let pages = contents.length().div_ceil(page_bytes as u64);
        // A log that claims more pages than a database may have is no reason to make room for them.
        let pages =
            wal.as_ref().map_or(pages, |wal| u64::from(wal.pages).min(READER.file_bytes / page_bytes as u64));
        let extent = Extent::new(1, u32::try_from(pages).unwrap_or(u32::MAX), page_bytes);
        Ok(Self { contents, wal, page_bytes, usable_bytes, extent })
    }

    /// The page `number`, which must have been taken from the extent.
    fn page(&self, number: u32) -> Result<Page, Damage> {
        let logged = self.wal.as_ref().and_then(|wal| Some((wal.contents, wal.page(number)?)));
        let in_file = u64::from(number.saturating_sub(1)) * self.page_bytes as u64;
        let (contents, offset) = logged.unwrap_or((self.contents, in_file));
        let mut bytes = bytes_at(contents, offset, self.page_bytes)?;
        bytes.truncate(self.usable_bytes);
        Ok(Page { number, bytes })
    }

    /// Gives each row of the table whose tree begins with the page `root` to `take`, in order.
    fn rows(&mut self, root: u32, take: &mut Take<'_>) -> ControlFlow<()> {
        // Pages are taken from the extent before they are put here, which bounds how many there are.
        let mut next = Vec::new();
        match self.extent.page(root) {
            Ok(()) => next.push(root),
            Err(damage) => take(Err(damage))?,
        }
        while let Some(number) = next.pop() {
            let page = match self.page(number) {
                Ok(page) => page,
                Err(damage) => {
                    take(Err(damage))?;
                    continue;
                }
            };
            match page.table_type() {
                Some(INTERIOR) => {
                    let first = next.len();
                    for child in page.children() {
                        match child.and_then(|child| self.extent.page(child).map(|()| child)) {
                            Ok(child) => next.push(child),
                            Err(damage) => take(Err(damage))?,
                        }
                    }
                    next.get_mut(first..).unwrap_or_default().reverse();
                }
                Some(LEAF) => {
                    for cell in page.cells() {
                        give(take, cell.and_then(|cell| self.row(&page, cell)))?;
                    }
                }
                _ => take(Err(page.damage("that belongs to no table")))?,
            }
        }
        ControlFlow::Continue(())
    }

    /// The row whose cell begins at `at` in a leaf.
    fn row(&mut self, page: &Page, at: usize) -> Result<Vec<u8>, Damage> {
        let damage = || page.damage("with a row that does not lie in it");
        let cell = page.bytes.get(at..).ok_or_else(damage)?;
        let (length, cell) = varint(cell).ok_or_else(damage)?;
        // The number of the row follows.
        let (_, cell) = varint(cell).ok_or_else(damage)?;
        let length = self.extent.record(length)?;
        let (local, rest) = cell.split_at_checked(self.local_bytes(length)).ok_or_else(damage)?;
        let mut row = local.to_vec();
        let mut next = Big.u32(rest, 0);
        while row.len() < length {
            let number = next.ok_or_else(damage)?;
            self.extent.page(number)?;
            let page = self.page(number)?;
            let (link, bytes) = page.bytes.split_at_checked(4).unwrap_or_default();
            next = Big.u32(link, 0);
            let wanted = length - row.len();
            row.extend_from_slice(bytes.get(..wanted).unwrap_or(bytes));
        }
        Ok(row)
    }

    /// How many bytes of a row of `length` bytes lie in its leaf: <https://www.sqlite.org/fileformat2.html#b_tree_pages>.
    fn local_bytes(&self, length: usize) -> usize {
        let usable = self.usable_bytes;
        if length <= usable - 35 {
            return length;
        }
        let least = (usable - 12) * 32 / 255 - 23;
        let most_of_last = least + (length - least) % (usable - 4);
        if most_of_last <= usable - 35 { most_of_last } else { least }
    }
}

/// The bytes of a page, from how the header says it; `None` when that is no such size.
pub(super) fn page_bytes(field: u32) -> Option<usize> {
    match field {
        1 => Some(65_536),
        512..=65_536 if field.is_power_of_two() => usize::try_from(field).ok(),
        _ => None,
    }
}

impl Page {
    fn damage(&self, reason: &'static str) -> Damage {
        Damage::Page { page: self.number, reason }
    }

    /// Where the page's own header begins.
    const fn start(&self) -> usize {
        if self.number == SCHEMA_PAGE { HEADER_BYTES } else { 0 }
    }

    fn table_type(&self) -> Option<u8> {
        self.bytes.get(self.start()).copied()
    }

    /// Where the cells begin; `header` is the length of the page's header, which the list of them follows.
    fn places(&self, header: usize) -> impl Iterator<Item = Result<usize, Damage>> + '_ {
        let count = usize::from(Big.u16(&self.bytes, self.start() + 3).unwrap_or_default());
        let list = self.bytes.get(self.start() + header..).unwrap_or_default();
        let places = list.chunks_exact(2).take(count).filter_map(|place| Big.u16(place, 0));
        let damage = (list.len() / 2 < count).then(|| Err(self.damage("with more cells than fit in it")));
        places.map(|place| Ok(usize::from(place))).chain(damage)
    }

    /// Where the rows of a leaf begin.
    fn cells(&self) -> impl Iterator<Item = Result<usize, Damage>> + '_ {
        self.places(8)
    }

    /// The pages below an interior one, in order.
    fn children(&self) -> impl Iterator<Item = Result<u32, Damage>> + '_ {
        let cells = self.places(12).map(Some).chain([None]);
        cells.map(|cell| {
            let place = cell.unwrap_or(Ok(self.start() + 8))?;
            Big.u32(&self.bytes, place)
                .ok_or_else(|| self.damage("with a page below it that does not lie in it"))
        })
    }
}

/// A number of up to nine bytes, and what follows it: <https://www.sqlite.org/fileformat2.html#varint>.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (position, byte) in bytes.iter().take(9).enumerate() {
        let rest = bytes.get(position + 1..)?;
        if position == 8 {
            return Some((number << 8 | u64::from(*byte), rest));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, rest));
        }
    }
    None
}

/// The column `wanted` of a row, from 0: <https://www.sqlite.org/fileformat2.html#record_format>.
fn column(row: &[u8], wanted: usize) -> Result<Value<'_>, Damage> {
    let damage = || Damage::Record("that is no row of a table");
    let (header_bytes, _) = varint(row).ok_or_else(damage)?;
    let header_bytes = usize::try_from(header_bytes).map_err(|_| damage())?;
    let (header, mut values) = row.split_at_checked(header_bytes).ok_or_else(damage)?;
    let (_, mut types) = varint(header).ok_or_else(damage)?;
    for _ in 0..wanted {
        let (value_type, rest) = varint(types).ok_or_else(damage)?;
        types = rest;
        let length = value_bytes(value_type).ok_or_else(damage)?;
        values = values.get(length..).ok_or_else(damage)?;
    }
    let (value_type, _) = varint(types).ok_or_else(damage)?;
    let value = value_bytes(value_type).and_then(|length| values.get(..length)).ok_or_else(damage)?;
    Ok(match value_type {
        1..=6 => Value::Integer(integer(value)),
        8 => Value::Integer(0),
        9 => Value::Integer(1),
        12.. if value_type % 2 == 0 => Value::Blob(value),
        12.. => Value::Text(value),
        _ => Value::Other,
    })
}

/// How many bytes a value of the type `value_type` has; `None` for the types that no file has.
fn value_bytes(value_type: u64) -> Option<usize> {
    let bytes = match value_type {
        0 | 8 | 9 => 0,
        1..=4 => value_type,
        5 => 6,
        6 | 7 => 8,
        12.. => (value_type - 12) / 2,
        10 | 11 => return None,
    };
    usize::try_from(bytes).ok()
}

/// A number of up to eight bytes with a sign.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    bytes.iter().fold(if negative { -1 } else { 0 }, |number, byte| number << 8 | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_as_many_bytes_as_it_needs_and_no_more_than_nine() {
        for (bytes, number) in [
            (&[0x00][..], 0),
            (&[0x7f], 127),
            (&[0x81, 0x00], 128),
            (&[0xff, 0x7f], 16_383),
            (&[0xff; 9], u64::MAX),
        ] {
            let followed = [bytes, &[42]].concat();
            assert_eq!(varint(&followed), Some((number, &[42][..])));
            assert_eq!(varint(&bytes[..bytes.len() - 1]), None);
        }
    }

    #[test]
    fn a_page_with_more_cells_than_fit_in_it_is_a_problem_and_the_others_count() {
        let page = Page { number: 2, bytes: vec![LEAF, 0, 0, 0, 3, 0, 0, 0, 1, 0, 2, 0] };
        let cells: Vec<_> = page.cells().map(|cell| cell.map_err(|damage| damage.to_string())).collect();
        assert_eq!(cells, [Ok(256), Ok(512), Err("has a page 2 with more cells than fit in it".to_owned())]);
    }

    #[test]
    fn a_row_gives_its_columns_by_their_number() {
        // The header's length; nothing, a text of 2, 1 byte, 3 bytes, one, a real number, a blob of 3.
        let row = b"\x08\x00\x11\x01\x03\x09\x07\x12ab\xfe\x01\x00\x0012345678xyz";
        let columns: Vec<Value<'_>> = (0..7).map(|wanted| column(row, wanted).unwrap()).collect();
        assert_eq!(columns[0], Value::Other);
        assert_eq!(columns[1], Value::Text(b"ab"));
        assert_eq!(columns[2], Value::Integer(-2));
        assert_eq!(columns[3], Value::Integer(65_536));
        assert_eq!(columns[4], Value::Integer(1));
        assert_eq!(columns[5], Value::Other);
        assert_eq!(columns[6], Value::Blob(b"xyz"));
        assert!(column(row, 7).is_err());
        assert!(column(&row[..row.len() - 1], 6).is_err());
    }
}
