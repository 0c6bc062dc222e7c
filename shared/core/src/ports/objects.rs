//! Object storage as a port: bytes by key, for what is too large for a table item.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;

use crate::retry::{Retry, Retryable};

/// Stores whole objects under keys such as `layers/acme/<hex>/1.json`. Keys are made of `/`-separated parts of letters,
/// digits, `-`, `_` and `.`. A write is atomic: a reader sees the old object or the new one, never a part.
#[async_trait]
pub trait Objects: Send + Sync {
    /// The object at `key`, or `None` where there is none.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, ObjectsError>;

    /// Stores `bytes` at `key`, replacing what is there.
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), ObjectsError>;

    /// Writes the object at `key` to the file `to`, which is made or replaced, without holding all of it in memory.
    /// `false` where there is none; then, and after an error, what is in the file means nothing.
    async fn get_file(&self, key: &str, to: &Path) -> Result<bool, ObjectsError>;

    /// Stores the content of the file `from` at `key`, replacing what is there, without holding all of it in memory.
    async fn put_file(&self, key: &str, from: &Path) -> Result<(), ObjectsError>;

    /// Removes the object at `key`; it is no error when there is none.
    async fn delete(&self, key: &str) -> Result<(), ObjectsError>;

    /// The keys that begin with `prefix`, sorted. `prefix` ends at a `/` or is empty.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, ObjectsError>;
}

/// Object storage did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The storage did not answer, or answered that it cannot now.
    #[error("failed to reach object storage for {key:?}")]
    Unavailable {
        /// The key that was asked for.
        key: String,
        /// What the adapter says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file from which an object is stored, or to which one is written, cannot be used.
    #[error("failed to use the file {path:?} for an object")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The key is not one that object storage can hold.
    #[error("failed to use {key:?} as an object key")]
    InvalidKey {
        /// The key.
        key: String,
    },
}

impl Retryable for ObjectsError {
    fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { .. } | Self::File { .. } => Retry::Again,
            Self::InvalidKey { .. } => Retry::Never,
        }
    }
}
