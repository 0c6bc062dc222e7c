//! How far the reading of a database may go: each page is read once, and all records together have no more bytes than the
//! file. So a chain of pages that leads in a circle ends, and records that lie in one another cost no more than others.

use super::RECORD_BYTES;
use super::damage::Damage;

/// The pages that were not read yet, and the bytes that records may still have.
#[derive(Debug)]
pub(super) struct Extent {
    /// One bit for each page that was read.
    seen: Vec<u64>,
    /// Number of the first page.
    first: u32,
    /// Number of the last page.
    last: u32,
    /// Bytes that records may still have.
    bytes: u64,
}

impl Extent {
    /// Of pages with the numbers `first` to `last`, of `page_bytes` bytes each.
    pub(super) fn new(first: u32, last: u32, page_bytes: usize) -> Self {
        let bytes = (u64::from(last) + 1).saturating_mul(page_bytes as u64);
        Self { seen: vec![0; last as usize / 64 + 1], first, last, bytes }
    }

    /// Takes the page `page`; an error when there is none, or when it was taken before.
    pub(super) fn page(&mut self, page: u32) -> Result<(), Damage> {
        if page < self.first || page > self.last {
            return Err(Damage::NoPage(page));
        }
        let (word, bit) = (page as usize / 64, 1 << (page % 64));
        let seen = self.seen.get_mut(word).ok_or(Damage::NoPage(page))?;
        if *seen & bit != 0 {
            return Err(Damage::PageAgain(page));
        }
        *seen |= bit;
        Ok(())
    }

    /// Takes a record of `bytes` bytes, and gives their number for the memory.
    pub(super) fn record(&mut self, bytes: u64) -> Result<usize, Damage> {
        let length = usize::try_from(bytes).ok().filter(|_| bytes <= RECORD_BYTES);
        let length = length.ok_or(Damage::LargeRecord(bytes))?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Damage::Overlap)?;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_is_taken_once_and_none_that_is_not_there() {
        let mut extent = Extent::new(1, 64, 512);
        for page in 1..=64 {
            assert!(extent.page(page).is_ok());
            assert!(matches!(extent.page(page), Err(Damage::PageAgain(_))));
        }
        for page in [0, 65, u32::MAX] {
            assert!(matches!(extent.page(page), Err(Damage::NoPage(_))));
        }
    }

    #[test]
    fn records_have_no_more_bytes_than_the_file() {
        let mut extent = Extent::new(0, 1, 512);
        assert_eq!(extent.record(1000).unwrap(), 1000);
        assert_eq!(extent.record(24).unwrap(), 24);
        assert!(matches!(extent.record(1), Err(Damage::Overlap)));
        assert!(matches!(extent.record(u64::MAX), Err(Damage::LargeRecord(_))));
    }
}
