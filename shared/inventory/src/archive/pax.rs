//! PAX extended headers: records `LENGTH KEY=VALUE\n` that replace what the header of the next entry says.
//!
//! Specification: <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_03>; the sparse
//! records are GNU's: <https://www.gnu.org/software/tar/manual/html_section/Sparse-Formats.html>.

use super::ArchiveError;

/// What the records say, as far as it matters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PaxRecords {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    /// The content is a GNU sparse file.
    pub(super) sparse: bool,
    /// The real path of a sparse file; `path` is then one for programs that do not know sparse files.
    pub(super) sparse_path: Option<Vec<u8>>,
}

impl PaxRecords {
    /// Reads the records in `bytes`. A later record of a key replaces an earlier one; an empty value leaves what the
    /// header says.
    pub(super) fn read(mut bytes: &[u8]) -> Result<Self, ArchiveError> {
        let mut records = Self::default();
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes).ok_or(ArchiveError::PaxRecord)?;
            records.set(key, value)?;
            bytes = rest;
        }
        Ok(records)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        let some = || (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" | b"linkpath" | b"GNU.sparse.name" if value.contains(&0) => {
                return Err(ArchiveError::PaxRecord);
            }
            b"path" => self.path = some(),
            b"linkpath" => self.link = some(),
            b"size" => self.size = size(value)?,
            b"GNU.sparse.name" => self.sparse_path = some(),
            b"GNU.sparse.major" | b"GNU.sparse.map" | b"GNU.sparse.numblocks" => self.sparse = true,
            _ => {}
        }
        Ok(())
    }
}

/// A size in decimal digits; `None` for an empty one.
fn size(value: &[u8]) -> Result<Option<u64>, ArchiveError> {
    if value.is_empty() {
        return Ok(None);
    }
    std::str::from_utf8(value)
        .ok()
        .and_then(|digits| digits.parse::<i64>().ok())
        .and_then(|size| u64::try_from(size).ok())
        .map(Some)
        .ok_or(ArchiveError::Number("size"))
}

/// Key and value of the first record, and the bytes after it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(bytes.get(..space)?).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = record.split_at_checked(equals)?;
    Some((key, value.get(1..)?, bytes.get(length..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_give_path_link_and_size_and_an_empty_value_gives_nothing() {
        let records =
            PaxRecords::read(b"12 path=a\nb\n14 linkpath=x\n11 size=42\n8 path=\n22 mtime=1350244992.0\n");
        assert_eq!(
            records.ok(),
            Some(PaxRecords { link: Some(b"x".to_vec()), size: Some(42), ..PaxRecords::default() })
        );
    }

    #[test]
    fn damaged_records_are_refused() {
        for bytes in
            [&b"x"[..], b"99 path=a\n", b"9 path=ab", b"10 path\n\n\n", b"11 size=-1\n", b"9 path=\0\n"]
        {
            let read = PaxRecords::read(bytes);
            assert!(read.is_err(), "{bytes:?} was taken: {read:?}");
        }
    }
}
