//! A reader of which no single event of XML can take more than so many bytes: the parser keeps an event as a whole.

use std::io::{BufRead, Error, ErrorKind, Read};

/// Gives the bytes of `inner`, and an error when more than `limit` are read without a [`Self::begin`] between.
pub(super) struct Limited<R> {
    inner: R,
    limit: usize,
    read: usize,
}

impl<R> Limited<R> {
    pub(super) fn new(inner: R, limit: usize) -> Self {
        Self { inner, limit, read: 0 }
    }

    /// From here on, bytes are counted anew.
    pub(super) fn begin(&mut self) {
        self.read = 0;
    }
}

impl<R: BufRead> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Limited<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.read > self.limit {
            let reason = format!("a tag or text has more than {} bytes", self.limit);
            return Err(Error::new(ErrorKind::InvalidData, reason));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.read += amount;
        self.inner.consume(amount);
    }
}
