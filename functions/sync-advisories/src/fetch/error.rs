//! Why something could not be fetched.

use std::path::PathBuf;

use reqwest::StatusCode;
use tidewatch_core::{Retry, Retryable};
use tidewatch_store::{MirrorError, ObjectStorageError};
use url::Url;

/// Something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server could not be reached, or its answer did not come to its end.
    #[error("failed to fetch {url}")]
    Transport {
        /// What was asked for.
        url: Url,
        /// What the HTTP client says.
        source: reqwest::Error,
    },
    /// The server answered something else.
    #[error("failed to fetch {url}: it answered {status}")]
    Status {
        /// What was asked for.
        url: Url,
        /// The HTTP status.
        status: StatusCode,
    },
    /// The server sends elsewhere.
    #[error("failed to fetch {url}: it redirects to {target}, which is not followed")]
    Redirect {
        /// What was asked for.
        url: Url,
        /// Where it sends, as far as it says it.
        target: String,
    },
    /// It is too large.
    #[error("failed to fetch {place}: it has more than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        place: String,
        /// How many bytes it may have.
        limit: u64,
    },
    /// It took too long.
    #[error("failed to fetch {place} in time")]
    Slow {
        /// What was asked for.
        place: String,
    },
    /// A folder or bucket does not hold it.
    #[error("failed to fetch {place}: it is not there")]
    Absent {
        /// What was asked for.
        place: String,
    },
    /// A bucket could not be read.
    #[error(transparent)]
    Bucket(#[from] MirrorError),
    /// A bucket cannot be used.
    #[error(transparent)]
    BucketClient(#[from] ObjectStorageError),
    /// There is a bucket to read and no account to read it by.
    #[error("failed to read the bucket {bucket}: there are no region and credentials of AWS")]
    NoAws {
        /// The bucket.
        bucket: String,
    },
    /// A file or folder of this machine could not be read.
    #[error("failed to read {path:?}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// It was changed while it was read.
    #[error("failed to read {place}: it was changed at the same time")]
    Changed {
        /// What was asked for.
        place: String,
    },
    /// What leads to the advisories cannot be used.
    #[error("failed to use {place}: {reason}")]
    Metadata {
        /// What was asked for.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It could not be kept.
    #[error("failed to write what was fetched to a temporary file")]
    Disk(#[from] std::io::Error),
}

impl Retryable for FetchError {
    fn retry(&self) -> Retry {
        match self {
            Self::Transport { .. }
            | Self::Slow { .. }
            | Self::File { .. }
            | Self::Changed { .. }
            // It is written anew now and then, and may have been read in between.
            | Self::Metadata { .. }
            | Self::Disk(_) => Retry::Again,
            Self::Status { status, .. } => {
                let passes = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
                if status.is_server_error() || passes.contains(status) { Retry::Again } else { Retry::Never }
            }
            Self::Redirect { .. } | Self::TooLarge { .. } | Self::Absent { .. } | Self::NoAws { .. } => {
                Retry::Never
            }
            Self::Bucket(error) => error.retry(),
            Self::BucketClient(error) => error.retry(),
        }
    }
}
