//! Why a source could not be brought up to date.

use tidewatch_advisories::{ArchiveError, BuildError, ScoreTableError};
use tidewatch_core::ports::queue::QueueError;
use tidewatch_core::{Retry, Retryable};
use tidewatch_store::RecordError;

use crate::fetch::FetchError;

/// A source could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Nobody has said where it is.
    #[error("failed to fetch advisories: there is no URL for them ({variable})")]
    NoPlace {
        /// The variable that would say it.
        variable: &'static str,
    },
    /// It is none of those that are to be fetched.
    #[error(
        "failed to fetch the advisories of {ecosystem}: it is none of the ecosystems that are set ({set})"
    )]
    NotSet {
        /// The ecosystem.
        ecosystem: String,
        /// Those that are set.
        set: String,
    },
    /// It could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What was fetched cannot be read.
    #[error("failed to read the archive of {ecosystem}")]
    Archive {
        /// The ecosystem.
        ecosystem: String,
        /// What is wrong with it.
        source: ArchiveError,
    },
    /// What was fetched holds nothing. In force it would make every image look safe.
    #[error("failed to read the archive of {ecosystem}: there is no record in it that can be read")]
    Empty {
        /// The ecosystem.
        ecosystem: String,
    },
    /// What was fetched holds far less than what is in force.
    #[error(
        "failed to trust the archive of {ecosystem}: {records} of its records can be read, less than half of those \
         before ({before}); if that is right: tidewatch advisories sync --ecosystem \"{ecosystem}\" --accept-fewer"
    )]
    TooFew {
        /// The ecosystem.
        ecosystem: String,
        /// How many records there are.
        records: u64,
        /// How many there were.
        before: u64,
    },
    /// The index could not be compiled.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Scores could not be stored, or not be read.
    #[error(transparent)]
    Scores(#[from] ScoreTableError),
    /// A temporary file could not be used.
    #[error("failed to use a temporary file")]
    Disk(#[from] std::io::Error),
    /// The thread that read or compiled has ended before its time.
    #[error("failed to read or compile advisories: the thread has ended")]
    Stopped(#[from] tokio::task::JoinError),
    /// A record could not be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A message could not be sent.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Retryable for SyncError {
    fn retry(&self) -> Retry {
        match self {
            Self::NoPlace { .. } | Self::NotSet { .. } | Self::TooFew { .. } | Self::Scores(_) => {
                Retry::Never
            }
            // The next download may be whole.
            Self::Archive { .. } | Self::Empty { .. } | Self::Disk(_) | Self::Stopped(_) => Retry::Again,
            Self::Fetch(error) => error.retry(),
            Self::Build(error) => error.retry(),
            Self::Record(error) => error.retry(),
            Self::Queue(error) => error.retry(),
        }
    }
}

impl SyncError {
    /// Whether it is about the source, which is where it is recorded, and not about our own records and queues.
    pub(crate) const fn is_of_source(&self) -> bool {
        !matches!(self, Self::Record(_) | Self::Queue(_))
    }
}
