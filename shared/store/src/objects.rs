//! The [`Objects`] port on any store of the `object_store` crate: a folder in local mode, memory in tests, S3 when
//! deployed.

mod files;
pub mod mirror;
mod s3;

use std::path::Path as FilePath;
use std::sync::Arc;

use async_trait::async_trait;
use aws_types::SdkConfig;
use bytes::Bytes;
use futures::TryStreamExt as _;
#[cfg(feature = "local")]
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _};
use tidewatch_core::ports::Objects;
use tidewatch_core::ports::objects::ObjectsError;
use tidewatch_core::retry::{Retry, Retryable};

/// The longest key, as of S3, in bytes.
const MAX_KEY_BYTES: usize = 1024;

/// Object storage. Cloning it shares the store.
#[derive(Clone, Debug)]
pub struct ObjectStorage {
    store: Arc<dyn ObjectStore>,
}

impl ObjectStorage {
    /// Objects in `store`, under the keys as they are.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Objects in the S3 bucket `bucket`, with the region, credentials and endpoint of `config`. Nothing is asked of S3
    /// yet. Plain HTTP is spoken only where the endpoint begins with `http://`.
    pub fn s3(config: &SdkConfig, bucket: &str) -> Result<Self, ObjectStorageError> {
        let store = s3::open(config, bucket);
        let failed = |source| ObjectStorageError { place: format!("the bucket {bucket}"), source };
        Ok(Self::new(Arc::new(store.map_err(failed)?)))
    }

    /// Objects as files in `folder`, which is made when it is not there. A file is written under another name and
    /// renamed, and is on the disk before a write returns.
    #[cfg(feature = "local")]
    pub fn folder(folder: &FilePath) -> Result<Self, ObjectStorageError> {
        let place = || format!("the folder {}", folder.display());
        let failed = |source| ObjectStorageError { place: place(), source };
        std::fs::create_dir_all(folder).map_err(|error| failed(error.into()))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(error.into()))?;
        Ok(Self::new(Arc::new(store.with_fsync(true))))
    }

    /// The same, for what can be made again: a write returns before it is on the disk.
    #[cfg(feature = "local")]
    pub fn scratch_folder(folder: &FilePath) -> Result<Self, ObjectStorageError> {
        let failed =
            |source| ObjectStorageError { place: format!("the folder {}", folder.display()), source };
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(error.into()))?;
        Ok(Self::new(Arc::new(store)))
    }

    /// Objects that are forgotten when the last clone is dropped.
    pub fn in_memory() -> Self {
        Self::new(Arc::new(InMemory::new()))
    }
}

#[async_trait]
impl Objects for ObjectStorage {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, ObjectsError> {
        let read = match self.store.get(&path_of(key)?).await {
            Ok(object) => object.bytes().await,
            Err(error) => Err(error),
        };
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(unavailable(key, error)),
        }
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), ObjectsError> {
        let stored = self.store.put(&path_of(key)?, bytes.into()).await;
        stored.map(drop).map_err(|error| unavailable(key, error))
    }

    async fn get_file(&self, key: &str, to: &FilePath) -> Result<bool, ObjectsError> {
        let object = match self.store.get(&path_of(key)?).await {
            Ok(object) => object,
            Err(error) if is_absent(&error) => return Ok(false),
            Err(error) => return Err(unavailable(key, error)),
        };
        files::write(key, object, to).await.map(|()| true)
    }

    async fn put_file(&self, key: &str, from: &FilePath) -> Result<(), ObjectsError> {
        files::store(&self.store, key, &path_of(key)?, from).await
    }

    async fn delete(&self, key: &str) -> Result<(), ObjectsError> {
        match self.store.delete(&path_of(key)?).await {
            Ok(()) => Ok(()),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(unavailable(key, error)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, ObjectsError> {
        let folder = match prefix.strip_suffix('/') {
            Some(folder) => Some(path_of(folder)?),
            None if prefix.is_empty() => None,
            None => return Err(ObjectsError::InvalidKey { key: prefix.to_owned() }),
        };
        let objects: Result<Vec<_>, _> = self.store.list(folder.as_ref()).try_collect().await;
        let objects = objects.map_err(|error| unavailable(prefix, error))?;
        let mut keys: Vec<_> = objects.into_iter().map(|object| object.location.to_string()).collect();
        keys.sort_unstable();
        Ok(keys)
    }
}

/// The path of an object, for a key of the form that the port allows.
fn path_of(key: &str) -> Result<Path, ObjectsError> {
    let invalid = || ObjectsError::InvalidKey { key: key.to_owned() };
    let well_formed = key.len() <= MAX_KEY_BYTES && key.split('/').all(is_part);
    if well_formed { Path::parse(key).map_err(|_| invalid()) } else { Err(invalid()) }
}

fn is_part(part: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !matches!(part, "" | "." | "..") && part.bytes().all(allowed)
}

/// Whether `error` says that there is no such object. A missing bucket has the same status, but another code, which is
/// found in the answer's body only: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn is_absent(error: &Error) -> bool {
    match error {
        Error::NotFound { source, .. } => !source.to_string().contains("<Code>NoSuchBucket</Code>"),
        _ => false,
    }
}

fn unavailable(key: &str, error: Error) -> ObjectsError {
    ObjectsError::Unavailable { key: key.to_owned(), source: Box::new(error) }
}

/// A folder or bucket cannot be used as object storage.
#[derive(Debug, thiserror::Error)]
#[error("failed to use {place} as object storage")]
pub struct ObjectStorageError {
    place: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Retryable for ObjectStorageError {
    fn retry(&self) -> Retry {
        Retry::Never
    }
}
