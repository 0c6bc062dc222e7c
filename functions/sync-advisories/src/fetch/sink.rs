//! Where fetched bytes go: a temporary file, counted and hashed on the way.

use std::io::ErrorKind;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tidewatch_core::Digest;
use tokio::io::AsyncWriteExt as _;

use super::{Download, Validators};
use crate::progress::Progress;

/// A temporary file that takes at most so many bytes.
pub(crate) struct Sink<'a, 'b> {
    temporary: NamedTempFile,
    file: tokio::fs::File,
    hasher: Sha256,
    size: u64,
    limit: u64,
    progress: &'a mut Progress<'b>,
}

impl<'a, 'b> Sink<'a, 'b> {
    /// An empty file in `folder`.
    pub(crate) fn new(folder: &Path, limit: u64, progress: &'a mut Progress<'b>) -> std::io::Result<Self> {
        let temporary = tempfile::Builder::new().prefix("advisories-").tempfile_in(folder)?;
        let file = tokio::fs::File::from_std(temporary.reopen()?);
        Ok(Self { temporary, file, hasher: Sha256::new(), size: 0, limit, progress })
    }

    /// Takes more bytes. [`ErrorKind::FileTooLarge`] when these are too many.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.size += bytes.len() as u64;
        if self.size > self.limit {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).await?;
        self.progress.add(bytes.len() as u64).await;
        Ok(())
    }

    /// The file, with all bytes in it.
    pub(crate) async fn finish(mut self, validators: Validators) -> std::io::Result<Download> {
        self.file.flush().await?;
        let hash = Digest::from_bytes(self.hasher.finalize().into());
        Ok(Download { file: self.temporary, size: self.size, hash, validators })
    }
}
