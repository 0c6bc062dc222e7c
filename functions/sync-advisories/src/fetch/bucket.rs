//! Fetches from buckets of S3, by entity tags.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};

use tidewatch_runtime::aws::SdkConfig;
use tidewatch_store::{MirrorAnswer, MirrorBucket};

use super::{Entry, FetchError, Fetched, Fetcher, MOST_FILES, Sink, Validators};
use crate::place::Place;
use crate::progress::Progress;

/// The buckets that were read so far.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    aws: Option<SdkConfig>,
    open: Arc<Mutex<BTreeMap<String, MirrorBucket>>>,
}

impl Buckets {
    pub(super) fn new(aws: Option<SdkConfig>) -> Self {
        Self { aws, open: Arc::default() }
    }

    fn open(&self, name: &str) -> Result<MirrorBucket, FetchError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = open.get(name) {
            return Ok(bucket.clone());
        }
        let aws = self.aws.as_ref().ok_or_else(|| FetchError::NoAws { bucket: name.to_owned() })?;
        let bucket = MirrorBucket::s3(aws, name)?;
        open.insert(name.to_owned(), bucket.clone());
        Ok(bucket)
    }
}

impl Fetcher {
    pub(super) async fn get_from_bucket(
        &self,
        bucket: &str,
        key: &str,
        known: &Validators,
        progress: &mut Progress<'_>,
    ) -> Result<Fetched, FetchError> {
        let place = || place(bucket, key);
        let mut object = match self.buckets.open(bucket)?.object(key, known.etag.as_deref()).await? {
            MirrorAnswer::Unchanged => return Ok(Fetched::Unchanged),
            MirrorAnswer::Absent => return Err(FetchError::Absent { place: place().to_string() }),
            MirrorAnswer::Object(object) => object,
        };
        if object.size > self.limit {
            return Err(self.too_large(&place()));
        }
        progress.expect(Some(object.size));
        let validators = Validators { etag: object.etag.clone(), last_modified: None };
        let mut sink = Sink::new(&self.folder, self.limit, progress)?;
        while let Some(chunk) = object.chunk().await? {
            sink.write(&chunk).await.map_err(|error| match error.kind() {
                ErrorKind::FileTooLarge => self.too_large(&place()),
                _ => error.into(),
            })?;
        }
        Ok(Fetched::Changed(sink.finish(validators).await?))
    }

    pub(super) async fn read_from_bucket(
        &self,
        bucket: &str,
        key: &str,
        limit: u64,
    ) -> Result<Vec<u8>, FetchError> {
        let place = || place(bucket, key).to_string();
        let MirrorAnswer::Object(mut object) = self.buckets.open(bucket)?.object(key, None).await? else {
            return Err(FetchError::Absent { place: place() });
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = object.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > limit {
                return Err(FetchError::TooLarge { place: place(), limit });
            }
        }
        Ok(bytes)
    }

    pub(super) async fn list_bucket(&self, bucket: &str, prefix: &str) -> Result<Vec<Entry>, FetchError> {
        let listed = self.buckets.open(bucket)?.list(prefix, MOST_FILES).await?;
        let entries = listed.into_iter().filter_map(|entry| {
            let name = entry.key.strip_prefix(prefix)?.trim_start_matches('/').to_owned();
            Some(Entry { name, mark: entry.etag.unwrap_or_else(|| entry.size.to_string()) })
        });
        Ok(entries.collect())
    }
}

fn place(bucket: &str, key: &str) -> Place {
    Place::Bucket { bucket: bucket.to_owned(), prefix: key.to_owned() }
}
