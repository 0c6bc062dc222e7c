//! Makes an archive of records that come one by one, as OSV has them. The same records give the same bytes, so that what
//! follows can tell by the hash whether anything has changed.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read as _, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tidewatch_core::Digest;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::fetch::{Download, Validators};

/// An archive in the making, in a temporary file.
pub(crate) struct ArchiveWriter {
    temporary: NamedTempFile,
    zip: ZipWriter<BufWriter<File>>,
    left: u64,
}

impl ArchiveWriter {
    /// An empty archive in `folder`, whose records have at most `limit` bytes together.
    pub(crate) fn new(folder: &Path, limit: u64) -> std::io::Result<Self> {
        let temporary = tempfile::Builder::new().prefix("advisories-").tempfile_in(folder)?;
        let zip = ZipWriter::new(BufWriter::new(temporary.reopen()?));
        Ok(Self { temporary, zip, left: limit })
    }

    /// Adds a record under this name. [`ErrorKind::FileTooLarge`] when that is too much.
    pub(crate) fn add(&mut self, name: &str, json: &[u8]) -> std::io::Result<()> {
        self.left = self.left.checked_sub(json.len() as u64).ok_or(ErrorKind::FileTooLarge)?;
        // Without a time of its own, every entry is of 1980.
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        self.zip.start_file(name, options)?;
        self.zip.write_all(json)
    }

    /// The archive, with these validators.
    pub(crate) fn finish(self, validators: Validators) -> std::io::Result<Download> {
        self.zip.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?.flush()?;
        let (hash, size) = hash_of(self.temporary.reopen()?)?;
        Ok(Download { file: self.temporary, size, hash, validators })
    }
}

/// The hash and the size of what is in a file, from where it is read.
pub(crate) fn hash_of(file: File) -> std::io::Result<(Digest, u64)> {
    let (mut reader, mut hasher) = (BufReader::with_capacity(1 << 16, file), Sha256::new());
    let (mut buffer, mut size) = (vec![0; 1 << 16], 0);
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok((Digest::from_bytes(hasher.finalize().into()), size));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
        size += read as u64;
    }
}
