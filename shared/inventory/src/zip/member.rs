//! The bytes of a member: inflated up to a limit, or, where it is stored, where they lie.

use std::io::{self, Read};

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::directory::Member;
use super::fields::Fields;
use super::{Allowance, Archive, Window, ZipError};

const HEADER: [u8; 4] = *b"PK\x03\x04";
const HEADER_BYTES: u64 = 30;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const ENCRYPTED: u16 = 1;

/// Bytes that are inflated or copied at a time.
const PART_BYTES: usize = 32 << 10;

impl<'a> Archive<'a> {
    /// The packed bytes of `member`.
    fn packed(&self, member: &Member) -> Result<Window<'a>, ZipError> {
        const MISSING: &str = "a member is not where it has to be";
        if member.flags & ENCRYPTED != 0 {
            return Err(ZipError::Encrypted);
        }
        if !matches!(member.method, STORED | DEFLATED) {
            return Err(ZipError::Method(member.method));
        }
        let position = self.before.checked_add(member.header).ok_or(ZipError::Damaged(MISSING))?;
        let header = self.window.bytes_at(position, HEADER_BYTES, MISSING)?;
        if !header.starts_with(&HEADER) {
            return Err(ZipError::Damaged(MISSING));
        }
        let mut fields = Fields::at(&header, 26).ok_or(ZipError::Damaged(MISSING))?;
        let lengths = fields.u16().zip(fields.u16()).ok_or(ZipError::Damaged(MISSING))?;
        // The lengths in this header are those of its own name and extra field, which may differ from the directory's.
        let start = HEADER_BYTES + u64::from(lengths.0) + u64::from(lengths.1);
        let start = position.checked_add(start).ok_or(ZipError::Damaged(MISSING))?;
        self.window.part(start, member.packed_bytes).ok_or(ZipError::Damaged("a member is cut off"))
    }

    /// Where `member` lies, when it is stored as it is.
    pub(crate) fn stored(&self, member: &Member) -> Result<Option<Window<'a>>, ZipError> {
        let window = self.packed(member)?;
        Ok((member.method == STORED).then_some(window))
    }

    /// Gives the bytes of `member` to `sink`, piece by piece; the error [`ZipError::TooLarge`] when there are more than
    /// `limit`, and one when they are not those that the directory names. What it gives until then has no more than
    /// `limit` bytes.
    pub(crate) fn copy(
        &self,
        member: &Member,
        limit: u64,
        allowance: &mut Allowance,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ZipError> {
        let packed = WindowReader { window: self.packed(member)?, position: 0 };
        let mut inflater;
        let mut stored;
        let reader: &mut dyn Read = if member.method == DEFLATED {
            inflater = DeflateDecoder::new_with_buf(packed, vec![0; PART_BYTES]);
            &mut inflater
        } else {
            stored = packed;
            &mut stored
        };
        let mut crc = Crc::new();
        let mut part = vec![0; PART_BYTES];
        let mut left = limit;
        loop {
            let count = match reader.read(&mut part) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if is_of_deflate(&error) => {
                    return Err(ZipError::Damaged("a member cannot be inflated"));
                }
                Err(error) => return Err(error.into()),
            };
            let bytes = part.get(..count).unwrap_or_default();
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(count);
            allowance.spend_bytes(count as u64)?;
            crc.update(bytes);
            sink(bytes.get(..room).unwrap_or_default())?;
            if room < count {
                return Err(ZipError::TooLarge(limit));
            }
            left -= room as u64;
        }
        if crc.sum() == member.crc { Ok(()) } else { Err(ZipError::Damaged("a member has another checksum")) }
    }

    /// The bytes of `member`, at most `limit`.
    pub(crate) fn bytes(
        &self,
        member: &Member,
        limit: u64,
        allowance: &mut Allowance,
    ) -> Result<Vec<u8>, ZipError> {
        let mut bytes = Vec::new();
        self.copy(member, limit, allowance, |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// The first bytes of `member`, at most `limit`.
    pub(crate) fn beginning(
        &self,
        member: &Member,
        limit: u64,
        allowance: &mut Allowance,
    ) -> Result<Vec<u8>, ZipError> {
        let mut bytes = Vec::new();
        let result = self.copy(member, limit, allowance, |part| {
            bytes.extend_from_slice(part);
            Ok(())
        });
        match result {
            Ok(()) | Err(ZipError::TooLarge(_)) => Ok(bytes),
            Err(error) => Err(error),
        }
    }
}

/// Whether an error is one of the compressed bytes, not of reading them.
fn is_of_deflate(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

/// Reads a window from its beginning on.
struct WindowReader<'a> {
    window: Window<'a>,
    position: u64,
}

impl Read for WindowReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.window.read_at(self.position, buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}
