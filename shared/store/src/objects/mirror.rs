//! A bucket that belongs to others and is only read: what has changed in it since it was last asked.

use std::sync::Arc;

use aws_types::SdkConfig;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectStore};
use tidewatch_core::retry::{Retry, Retryable};

use super::{ObjectStorageError, is_absent, s3};

/// What went wrong with a bucket that belongs to others.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// It did not answer, or refused.
    #[error("failed to read {key:?} in the bucket {bucket}")]
    Unavailable {
        /// The bucket.
        bucket: String,
        /// The key that was asked for.
        key: String,
        /// What the adapter says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no bucket whose object can have this key.
    #[error("failed to use {key:?} as the key of an object")]
    InvalidKey {
        /// The key.
        key: String,
    },
    /// There is more than anybody asked for.
    #[error("failed to list {key:?} in the bucket {bucket}: it has more than {limit} objects")]
    TooMany {
        /// The bucket.
        bucket: String,
        /// The prefix.
        key: String,
        /// How many objects were to be listed at most.
        limit: usize,
    },
}

impl Retryable for MirrorError {
    fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { .. } => Retry::Again,
            Self::InvalidKey { .. } | Self::TooMany { .. } => Retry::Never,
        }
    }
}

/// A bucket that is only read. Cloning it shares the client.
#[derive(Clone, Debug)]
pub struct MirrorBucket {
    store: Arc<dyn ObjectStore>,
    bucket: String,
}

/// What a bucket answers to a conditional request.
pub enum MirrorAnswer {
    /// There is no such object.
    Absent,
    /// The object is the one whose entity tag was given.
    Unchanged,
    /// The object.
    Object(MirrorObject),
}

/// An object on its way.
pub struct MirrorObject {
    /// Its entity tag.
    pub etag: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    bucket: String,
    key: String,
    chunks: BoxStream<'static, object_store::Result<Bytes>>,
}

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorEntry {
    /// Its key.
    pub key: String,
    /// Its entity tag.
    pub etag: Option<String>,
    /// Its size in bytes.
    pub size: u64,
}

impl MirrorBucket {
    /// The S3 bucket `bucket`, with the region, credentials and endpoint of `config`. Nothing is asked of S3 yet.
    pub fn s3(config: &SdkConfig, bucket: &str) -> Result<Self, ObjectStorageError> {
        let failed = |source| ObjectStorageError { place: format!("the bucket {bucket}"), source };
        let store = s3::open(config, bucket).map_err(failed)?;
        Ok(Self { store: Arc::new(store), bucket: bucket.to_owned() })
    }

    /// The object at `key`, which may hold spaces and colons, unless its entity tag is `known`.
    pub async fn object(&self, key: &str, known: Option<&str>) -> Result<MirrorAnswer, MirrorError> {
        let options = GetOptions { if_none_match: known.map(str::to_owned), ..GetOptions::default() };
        match self.store.get_opts(&path_of(key)?, options).await {
            Ok(object) => Ok(MirrorAnswer::Object(MirrorObject {
                etag: object.meta.e_tag.clone(),
                size: object.meta.size,
                bucket: self.bucket.clone(),
                key: key.to_owned(),
                chunks: object.into_stream(),
            })),
            Err(Error::NotModified { .. }) => Ok(MirrorAnswer::Unchanged),
            Err(error) if is_absent(&error) => Ok(MirrorAnswer::Absent),
            Err(error) => Err(unavailable(&self.bucket, key, error)),
        }
    }

    /// The objects whose keys begin with the folder `folder`, sorted by key; at most `limit`.
    pub async fn list(&self, folder: &str, limit: usize) -> Result<Vec<MirrorEntry>, MirrorError> {
        let too_many = || MirrorError::TooMany { bucket: self.bucket.clone(), key: folder.to_owned(), limit };
        let mut entries = Vec::new();
        let path = path_of(folder)?;
        let mut objects = self.store.list(Some(&path));
        while let Some(object) =
            objects.try_next().await.map_err(|error| unavailable(&self.bucket, folder, error))?
        {
            if entries.len() == limit {
                return Err(too_many());
            }
            let key = object.location.to_string();
            entries.push(MirrorEntry { key, etag: object.e_tag, size: object.size });
        }
        entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(entries)
    }
}

impl MirrorObject {
    /// The next bytes; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, MirrorError> {
        let next = self.chunks.next().await.transpose();
        next.map_err(|error| unavailable(&self.bucket, &self.key, error))
    }
}

fn path_of(key: &str) -> Result<Path, MirrorError> {
    Path::parse(key).map_err(|_| MirrorError::InvalidKey { key: key.to_owned() })
}

fn unavailable(bucket: &str, key: &str, error: Error) -> MirrorError {
    MirrorError::Unavailable { bucket: bucket.to_owned(), key: key.to_owned(), source: Box::new(error) }
}
