//! The header block of a tar entry, in the formats ustar, GNU, STAR and the one before them all.
//!
//! Specification: <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_06> and
//! <https://www.gnu.org/software/tar/manual/html_node/Standard.html>. Where they leave room, Go's `archive/tar` decides,
//! because container runtimes unpack with it.

use super::ArchiveError;

/// Bytes of a block: headers are one block, and contents are filled up to one.
pub(super) const BLOCK_BYTES: usize = 512;

/// A header block.
pub(super) struct Header<'a>(pub(super) &'a [u8; BLOCK_BYTES]);

/// The format of a header, as far as it decides where the path is.
enum Format {
    /// No path prefix: GNU, or before ustar.
    Plain,
    /// A prefix of 155 bytes.
    Ustar,
    /// A prefix of 131 bytes.
    Star,
}

impl<'a> Header<'a> {
    /// A part of the block; all parts lie within it.
    fn field(&self, start: usize, length: usize) -> &'a [u8] {
        self.0.get(start..start.saturating_add(length)).unwrap_or_default()
    }

    /// Whether the block is all zeros: two of them end an archive.
    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// Checks the checksum, which old programs computed with signed bytes.
    pub(super) fn verify(&self) -> Result<(), ArchiveError> {
        let expected = number(self.field(148, 8)).ok_or(ArchiveError::Number("checksum"))?;
        // The checksum counts as blanks itself. Whole slices are summed up many bytes at a time.
        let field = self.field(148, 8);
        let unsigned = sum(self.0) - sum(field) + 8 * u64::from(b' ');
        let negative = negatives(self.0) - negatives(field);
        let signed =
            i64::try_from(unsigned).unwrap_or_default() - 256 * i64::try_from(negative).unwrap_or_default();
        let matches = expected == unsigned || i64::try_from(expected) == Ok(signed);
        if matches { Ok(()) } else { Err(ArchiveError::Checksum) }
    }

    /// The type of the entry.
    pub(super) const fn type_flag(&self) -> u8 {
        self.0[156]
    }

    /// Bytes of content that follow.
    pub(super) fn size(&self) -> Result<u64, ArchiveError> {
        number(self.field(124, 12))
            .filter(|size| i64::try_from(*size).is_ok())
            .ok_or(ArchiveError::Number("size"))
    }

    /// The path as it stands in the header, with its prefix.
    pub(super) fn path(&self) -> Vec<u8> {
        let name = until_nul(self.field(0, 100));
        let prefix = match self.format() {
            Format::Plain => &[],
            Format::Ustar => until_nul(self.field(345, 155)),
            Format::Star => until_nul(self.field(345, 131)),
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, name].join(&b'/') }
    }

    /// The target of a link as it stands in the header.
    pub(super) fn link(&self) -> Vec<u8> {
        until_nul(self.field(157, 100)).to_vec()
    }

    /// Whether blocks with more of a sparse map follow this header of an old GNU sparse file.
    pub(super) const fn sparse_map_continues(&self) -> bool {
        self.0[482] != 0
    }

    fn format(&self) -> Format {
        match (self.field(257, 6), self.field(508, 4)) {
            (b"ustar\0", b"tar\0") => Format::Star,
            (b"ustar\0", _) => Format::Ustar,
            _ => Format::Plain,
        }
    }
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

/// How many bytes are negative when they are signed.
fn negatives(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte >= 0x80).count()
}

/// Bytes up to the first NUL.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number of a header: octal digits with blanks or NULs around them, or, with the highest bit set, base-256. `None` for
/// what is neither, negative, or over 64 bits. Nothing at all is 0.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    if let Some(first) = field.first().filter(|first| **first & 0x80 != 0) {
        // The bit beside the mark is the sign.
        if first & 0x40 != 0 {
            return None;
        }
        return field.iter().enumerate().try_fold(0u64, |value, (position, byte)| {
            let byte = if position == 0 { byte & 0x3f } else { *byte };
            value.checked_mul(256)?.checked_add(u64::from(byte))
        });
    }
    let blank = |byte: &u8| matches!(*byte, b' ' | 0);
    let start = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
    let digits = until_nul(field.get(start..)?);
    let end = digits.iter().rposition(|byte| !blank(byte)).map_or(0, |last| last + 1);
    digits.get(..end)?.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"  644 \0\0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"", Some(0)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(2 << 32)),
            (b"\xff\xff\xff\xff", None),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"0000648\0", None),
            (b"77777777777777777777777777", None),
        ] {
            assert_eq!(number(field), value, "{field:?}");
        }
    }
}
