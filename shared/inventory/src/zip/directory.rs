//! The central directory: one record for each member, read through a buffer, so that its length does not matter.

use super::fields::Fields;
use super::{Allowance, Window, ZipError};

/// The longest name that is looked at; the entries with longer ones are passed over. Nothing that is read has such a name.
pub(super) const NAME_BYTES: usize = 1024;

const RECORD: [u8; 4] = *b"PK\x01\x02";
const RECORD_BYTES: usize = 46;
const BUFFER_BYTES: usize = 64 << 10;

/// Id of the extra field that holds the large numbers of ZIP64.
const EXTRA_64: u16 = 1;

const CUT_OFF: ZipError = ZipError::Damaged("its central directory is cut off");

/// Where a member is, and how it is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) packed_bytes: u64,
    pub(super) header: u64,
}

/// A record of the central directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// Name as it stands, with slashes, in any encoding.
    pub(crate) name: &'a [u8],
    /// The member.
    pub(crate) member: Member,
}

/// Goes through a central directory.
#[derive(Debug)]
pub(crate) struct Entries<'a> {
    directory: Window<'a>,
    /// Where the record that comes next begins in the directory.
    position: u64,
    buffer: Vec<u8>,
    /// Where the buffer's bytes begin in the directory.
    buffered: u64,
}

impl<'a> Entries<'a> {
    pub(super) const fn new(directory: Window<'a>) -> Self {
        Self { directory, position: 0, buffer: Vec::new(), buffered: 0 }
    }

    /// The next entry; `None` after the last one. After an error there is nothing more to come.
    pub(crate) fn next(&mut self, allowance: &mut Allowance) -> Result<Option<Entry<'_>>, ZipError> {
        loop {
            let start = self.position;
            if start >= self.directory.length {
                return Ok(None);
            }
            allowance.spend_entry()?;
            let header = Header::of(self.fill(start, RECORD_BYTES)?)?;
            self.position += header.record_bytes();
            if header.name_bytes <= NAME_BYTES {
                return self.entry(&header, start).map(Some);
            }
        }
    }

    /// The rest of the record at `start`.
    fn entry(&mut self, header: &Header, start: u64) -> Result<Entry<'_>, ZipError> {
        let mut member = header.member;
        let wants_64 = [header.unpacked_bytes, member.packed_bytes, member.header]
            .map(|number| number == u64::from(u32::MAX));
        let extra_bytes = if wants_64.contains(&true) { header.extra_bytes } else { 0 };
        let record = self.fill(start, RECORD_BYTES + header.name_bytes + extra_bytes)?;
        let mut fields = Fields::at(record, RECORD_BYTES).ok_or(CUT_OFF)?;
        let name = fields.bytes(header.name_bytes).ok_or(CUT_OFF)?;
        if extra_bytes > 0 {
            let extra = fields.bytes(extra_bytes).ok_or(CUT_OFF)?;
            expand(&mut member, wants_64, extra)?;
        }
        Ok(Entry { name, member })
    }

    /// The `length` bytes from `position` on, which is not before any that were asked for earlier.
    fn fill(&mut self, position: u64, length: usize) -> Result<&[u8], ZipError> {
        let start = position.checked_sub(self.buffered).and_then(|start| usize::try_from(start).ok());
        let end = start.and_then(|start| start.checked_add(length));
        if end.is_none_or(|end| end > self.buffer.len()) {
            let left = self.directory.length.saturating_sub(position);
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER_BYTES.max(length));
            self.buffer.resize(wanted, 0);
            let count = self.directory.read_at(position, &mut self.buffer)?;
            self.buffer.truncate(count);
            self.buffered = position;
        }
        let start = usize::try_from(position - self.buffered).map_err(|_| CUT_OFF)?;
        self.buffer.get(start..).and_then(|bytes| bytes.get(..length)).ok_or(CUT_OFF)
    }
}

/// The fixed part of a record.
struct Header {
    member: Member,
    unpacked_bytes: u64,
    name_bytes: usize,
    extra_bytes: usize,
    comment_bytes: usize,
}

impl Header {
    fn of(record: &[u8]) -> Result<Self, ZipError> {
        if !record.starts_with(&RECORD) {
            return Err(ZipError::Damaged("its central directory holds what is no entry"));
        }
        Self::fields(record).ok_or(CUT_OFF)
    }

    fn fields(record: &[u8]) -> Option<Self> {
        let mut fields = Fields::at(record, 8)?;
        let (flags, method) = (fields.u16()?, fields.u16()?);
        fields.bytes(4)?;
        let (crc, packed_bytes, unpacked_bytes) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (name_bytes, extra_bytes, comment_bytes) = (fields.u16()?, fields.u16()?, fields.u16()?);
        fields.bytes(8)?;
        let header = fields.u32()?;
        Some(Self {
            member: Member { flags, method, crc, packed_bytes: packed_bytes.into(), header: header.into() },
            unpacked_bytes: unpacked_bytes.into(),
            name_bytes: name_bytes.into(),
            extra_bytes: extra_bytes.into(),
            comment_bytes: comment_bytes.into(),
        })
    }

    const fn record_bytes(&self) -> u64 {
        (RECORD_BYTES + self.name_bytes + self.extra_bytes + self.comment_bytes) as u64
    }
}

/// Takes the numbers that had no room in the record, which ones `wants` says, out of its extra field.
fn expand(member: &mut Member, wants: [bool; 3], extra: &[u8]) -> Result<(), ZipError> {
    let mut fields = Fields::at(extra, 0).ok_or(CUT_OFF)?;
    while let (Some(id), Some(length)) = (fields.u16(), fields.u16()) {
        let Some(value) = fields.bytes(length.into()) else { break };
        if id != EXTRA_64 {
            continue;
        }
        let mut numbers = Fields::at(value, 0).ok_or(CUT_OFF)?;
        let mut unpacked_bytes = 0;
        let places = [&mut unpacked_bytes, &mut member.packed_bytes, &mut member.header];
        for (place, _) in places.into_iter().zip(wants).filter(|(_, wanted)| *wanted) {
            *place = numbers.u64().ok_or(ZipError::Damaged("an entry has no ZIP64 numbers"))?;
        }
        return Ok(());
    }
    // A number may be just that large.
    Ok(())
}
