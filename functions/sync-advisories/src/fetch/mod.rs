//! Fetches from places: only what has changed, into a temporary file, within limits.

mod bucket;
mod error;
mod folder;
mod sink;
mod web;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use tidewatch_core::Digest;
use tidewatch_runtime::aws::SdkConfig;

use crate::place::Place;
use crate::progress::Progress;
use crate::settings::{Settings, SettingsError};

pub use error::FetchError;
pub(crate) use sink::Sink;

/// How many files a folder may hold: of the largest ecosystem ten times as many as OSV has today.
const MOST_FILES: usize = 2_000_000;

/// What the last answer gave to ask with, whether something has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

impl Validators {
    /// Validators that are one mark, which whoever fetches has made.
    pub(crate) fn mark(mark: String) -> Self {
        Self { etag: Some(mark), last_modified: None }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// It is what the validators are of.
    Unchanged,
    /// It is not.
    Changed(Download),
}

/// What was fetched, in a temporary file, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) file: NamedTempFile,
    pub(crate) size: u64,
    pub(crate) hash: Digest,
    pub(crate) validators: Validators,
}

/// A file in a place that can be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name within the folder that was listed.
    pub(crate) name: String,
    /// What changes when it changes.
    pub(crate) mark: String,
}

/// How much time there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until(Instant);

impl Until {
    /// So long from now.
    pub(crate) fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    /// How much of it is left.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// Fetches from places of every kind.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    http: reqwest::Client,
    buckets: bucket::Buckets,
    folder: PathBuf,
    limit: u64,
}

impl Fetcher {
    /// A fetcher with these settings. Buckets are read with the region and the credentials of `aws`.
    pub(crate) fn new(settings: &Settings, aws: Option<SdkConfig>) -> Result<Self, SettingsError> {
        Ok(Self {
            http: web::client(settings)?,
            buckets: bucket::Buckets::new(aws),
            folder: settings.folder.clone(),
            limit: settings.archive_limit,
        })
    }

    /// Where temporary files are.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Fetches the file at `place`, unless it is the one that `known` is of.
    pub(crate) async fn get(
        &self,
        place: &Place,
        known: &Validators,
        until: Until,
        progress: &mut Progress<'_>,
    ) -> Result<Fetched, FetchError> {
        match place {
            Place::Web(url) => self.get_from_web(url, known, until, progress).await,
            Place::Bucket { bucket, prefix } => {
                let getting = self.get_from_bucket(bucket, prefix, known, progress);
                in_time(place, until, getting).await
            }
            Place::Folder(path) => self.get_from_folder(path, known, progress).await,
        }
    }

    /// The whole of a small file, of at most `limit` bytes.
    pub(crate) async fn read(&self, place: &Place, limit: u64, until: Until) -> Result<Vec<u8>, FetchError> {
        match place {
            Place::Web(url) => self.read_from_web(url, limit, until).await,
            Place::Bucket { bucket, prefix } => {
                in_time(place, until, self.read_from_bucket(bucket, prefix, limit)).await
            }
            Place::Folder(path) => self.read_from_folder(path, limit).await,
        }
    }

    /// The files in the folder `place`, and those in the folders of it, sorted by name; none where it is not there. A
    /// server cannot be listed.
    pub(crate) async fn list(&self, place: &Place, until: Until) -> Result<Vec<Entry>, FetchError> {
        match place {
            Place::Web(_) => Ok(Vec::new()),
            Place::Bucket { bucket, prefix } => in_time(place, until, self.list_bucket(bucket, prefix)).await,
            Place::Folder(path) => folder::list(path).await,
        }
    }

    fn too_large(&self, place: &impl std::fmt::Display) -> FetchError {
        FetchError::TooLarge { place: place.to_string(), limit: self.limit }
    }
}

/// What `work` gives, if it is done in time.
async fn in_time<T>(
    place: &Place,
    until: Until,
    work: impl Future<Output = Result<T, FetchError>>,
) -> Result<T, FetchError> {
    let done = tokio::time::timeout(until.left(), work).await;
    done.unwrap_or_else(|_| Err(FetchError::Slow { place: place.to_string() }))
}
