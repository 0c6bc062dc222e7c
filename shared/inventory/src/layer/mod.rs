//! Reads one layer in push style: the bytes as they come from the registry are hashed, decompressed and walked, and only
//! the files that a reader wants are kept until they are read.
//!
//! Damage on the way and damage in the layer are told apart by the digest: bytes that do not match it are an error that
//! another try can mend; bytes that do match and cannot be read are what the image is, and become a problem.

mod entries;
mod folder;
mod open_file;
mod tree;
mod waiting;

use std::io;

use sha2::{Digest as _, Sha256};
use tidewatch_core::problem::Problem;
use tidewatch_core::{Digest, Retry, Retryable};

use crate::archive::{ArchiveError, Walker};
use crate::compression::Decompressor;
use crate::inventory::{LayerInventory, READER_VERSION};
use crate::limits::Limits;
use entries::LayerEntries;

pub use folder::FolderReader;

/// A layer could not be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayerError {
    /// The bytes are not those of the layer: they were damaged or cut off on the way.
    #[error("failed to read layer {expected}: the bytes that came have the digest {actual}")]
    DigestMismatch {
        /// Digest of the layer.
        expected: Digest,
        /// Digest of the bytes that were pushed.
        actual: Digest,
    },
    /// The temporary folder could not be used.
    #[error("failed to read layer {layer}: the temporary folder cannot be used: {reason}")]
    TemporaryFolder {
        /// Digest of the layer.
        layer: Digest,
        /// Why not.
        reason: String,
    },
}

impl Retryable for LayerError {
    fn retry(&self) -> Retry {
        match self {
            Self::DigestMismatch { .. } | Self::TemporaryFolder { .. } => Retry::Again,
        }
    }
}

/// Reads one layer. Needs some 400 KiB, the window of the compression (up to 128 MiB for zstd, mostly 8), and what the
/// files that are read need; all within [`Limits`].
pub struct LayerReader {
    digest: Digest,
    hasher: Sha256,
    packed_bytes: u64,
    /// `None` after the content turned out to be broken: the rest is only hashed.
    content: Option<(Decompressor, Walker)>,
    unpacked: Unpacked,
}

/// What was unpacked so far.
struct Unpacked {
    bytes: u64,
    limits: Limits,
    entries: LayerEntries,
    problem: Option<ContentError>,
}

/// Why the content of a layer cannot be read on.
#[derive(Debug, thiserror::Error)]
enum ContentError {
    #[error("failed to decompress the layer: {0}")]
    Compression(#[from] io::Error),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("stopped reading the layer: it has more than {0}")]
    Limit(String),
}

impl LayerReader {
    /// A reader of the layer with the digest `digest`, that of its compressed bytes.
    pub fn new(digest: Digest, limits: Limits) -> Self {
        Self {
            digest,
            hasher: Sha256::new(),
            packed_bytes: 0,
            content: Some((Decompressor::new(), Walker::new())),
            unpacked: Unpacked { bytes: 0, limits, entries: LayerEntries::new(limits), problem: None },
        }
    }

    /// A reader of a folder that is to be read as if it were a layer.
    pub fn of_folder(limits: Limits) -> FolderReader {
        FolderReader::new(limits)
    }

    /// Takes the next bytes of the layer, as many as there are: compressed, as they lie in the registry. Whatever is
    /// wrong with them is told at the end.
    pub fn push(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.packed_bytes = self.packed_bytes.saturating_add(bytes.len() as u64);
        let Some((decompressor, walker)) = &mut self.content else { return };
        let (unpacked, packed_bytes) = (&mut self.unpacked, self.packed_bytes);
        let result = decompressor.push(bytes, |part| unpacked.take(walker, part, packed_bytes));
        if let Err(error) = result {
            walker.abort(&mut unpacked.entries);
            unpacked.problem = Some(error);
            self.content = None;
        }
    }

    /// There are no more bytes: gives what the layer holds.
    pub fn finish(mut self) -> Result<LayerInventory, LayerError> {
        let actual = Digest::from_bytes(self.hasher.finalize().into());
        if actual != self.digest {
            return Err(LayerError::DigestMismatch { expected: self.digest, actual });
        }
        if let Some((decompressor, mut walker)) = self.content.take() {
            let (unpacked, packed_bytes) = (&mut self.unpacked, self.packed_bytes);
            let unpacking = decompressor.finish(|part| unpacked.take(&mut walker, part, packed_bytes));
            let ending = walker.finish(&mut unpacked.entries).map_err(ContentError::from);
            unpacked.problem = unpacking.and(ending).err();
        }
        let problem = self.unpacked.problem.map(|problem| problem.to_string());
        inventory(self.digest, self.unpacked.entries, problem)
    }
}

/// The inventory of a layer of which all `entries` were taken.
fn inventory(
    layer: Digest,
    entries: LayerEntries,
    problem: Option<String>,
) -> Result<LayerInventory, LayerError> {
    let (found, mut problems) =
        entries.finish().map_err(|error| LayerError::TemporaryFolder { layer, reason: error.to_string() })?;
    problems.extend(problem);
    let subject = layer.to_string();
    Ok(LayerInventory {
        reader_version: READER_VERSION,
        layer,
        files: found.files.into_iter().collect(),
        links: found.links.into_iter().collect(),
        leaves: found.leaves,
        directories: found.directories,
        opaque: found.opaque,
        whiteouts: found.whiteouts,
        problems: problems.into_iter().map(|reason| Problem::new(subject.clone(), reason)).collect(),
    })
}

impl Unpacked {
    /// Walks on over `part`, within the limits.
    fn take(&mut self, walker: &mut Walker, part: &[u8], packed_bytes: u64) -> Result<(), ContentError> {
        let limits = self.limits;
        self.bytes = self.bytes.saturating_add(part.len() as u64);
        if self.bytes > limits.unpacked_bytes {
            return Err(ContentError::Limit(format!("{} bytes", limits.unpacked_bytes)));
        }
        if self.bytes > limits.expansion_floor_bytes
            && self.bytes / packed_bytes.max(1) >= limits.expansion_ratio
        {
            let reason = format!("{} bytes for each compressed byte", limits.expansion_ratio);
            return Err(ContentError::Limit(reason));
        }
        walker.push(part, &mut self.entries)?;
        self.entries.check_limits().map_err(ContentError::Limit)
    }
}
