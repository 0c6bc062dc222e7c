//! The queues of local mode in one SQLite file, with the semantics of the queue ports. Several processes may use the
//! file at the same time.
//!
//! A message is a row with the time from which on it is visible. Receiving moves that time, counts the receive, and
//! names the delivery by both: `<message>.<receives>`. A receipt is stale as soon as the count went on, so nothing has
//! to be remembered about it. What was received [`MAX_RECEIVES`](tidewatch_core::ports::queue::MAX_RECEIVES) times and is visible again moves to the dead letters
//! when its queue is next looked at.

mod database;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use tidewatch_core::ports::queue::{
    Delivery, MAX_BATCH, OutgoingMessage, QueueError, QueueName, QueueReceiver, QueueSender,
};
use tidewatch_core::ports::queue_depths::QueueDepth;
use tidewatch_core::ports::{Clock, QueueDepths};
use tidewatch_core::retry::{Retry, Retryable};

use database::Receipt;

use crate::group_sync::GroupSync;

/// Queues in a SQLite file. Cloning it shares the connection.
#[derive(Clone)]
pub struct LocalQueue {
    connection: Arc<Mutex<Connection>>,
    log: Arc<GroupSync>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for LocalQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalQueue").finish_non_exhaustive()
    }
}

impl LocalQueue {
    /// The queues in the file at `path`, which is made when it is not there; its folder must be. Visibility and delays
    /// go by `clock`.
    pub async fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, LocalQueueError> {
        let owned = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || database::open(&owned)).await;
        let path = || path.to_owned();
        match opened.map_err(|error| LocalQueueError::Interrupted { path: path(), source: error })? {
            Ok((connection, log)) => {
                Ok(Self { connection: Arc::new(Mutex::new(connection)), log: Arc::new(log), clock })
            }
            Err(database::OpenError::Lock(source)) => Err(LocalQueueError::Lock { path: path(), source }),
            Err(database::OpenError::Sqlite(source)) => {
                Err(LocalQueueError::Unusable { path: path(), source })
            }
            Err(database::OpenError::Version(version)) => {
                Err(LocalQueueError::Newer { path: path(), version })
            }
        }
    }

    /// Makes every received message visible at once: for a process that has the queue for itself and knows that every
    /// earlier receiver is gone.
    pub async fn release_all(&self) -> Result<(), QueueError> {
        let now = self.now();
        for queue in QueueName::ALL {
            self.run(queue, move |connection| database::release_all(connection, queue, now)).await?;
        }
        Ok(())
    }

    /// Runs `work` on the connection, on the threads for blocking work.
    async fn run<T: Send + 'static>(
        &self,
        queue: QueueName,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let connection = Arc::clone(&self.connection);
        let done = tokio::task::spawn_blocking(move || {
            // Every change is one SQL transaction, which a panic rolls back.
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match done.await {
            Ok(done) => done.map_err(|error| QueueError::Unavailable { queue, source: error.into() }),
            Err(error) => Err(QueueError::Unavailable { queue, source: error.into() }),
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }
}

#[async_trait]
impl QueueSender for LocalQueue {
    async fn send(&self, queue: QueueName, messages: Vec<OutgoingMessage>) -> Result<(), QueueError> {
        messages.iter().try_for_each(|message| message.check(queue))?;
        let now = self.now();
        self.run(queue, move |connection| database::send(connection, queue, &messages, now)).await?;
        let stored = self.log.wait_for(self.log.note()).await;
        stored.map_err(|error| QueueError::Unavailable { queue, source: error.into() })
    }
}

#[async_trait]
impl QueueReceiver for LocalQueue {
    async fn receive(
        &self,
        queue: QueueName,
        most: usize,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let (now, most) = (self.now(), most.min(MAX_BATCH));
        self.run(queue, move |connection| {
            database::receive(connection, queue, most, now, later(now, visibility))
        })
        .await
    }

    async fn acknowledge(&self, queue: QueueName, receipt: &str) -> Result<(), QueueError> {
        let Some(receipt) = Receipt::parse(receipt) else { return Ok(()) };
        self.run(queue, move |connection| database::acknowledge(connection, queue, receipt)).await
    }

    async fn release(&self, queue: QueueName, receipt: &str, delay: Duration) -> Result<(), QueueError> {
        let Some(receipt) = Receipt::parse(receipt) else { return Ok(()) };
        let now = self.now();
        self.run(queue, move |connection| {
            database::release(connection, queue, receipt, now, later(now, delay))
        })
        .await
    }

    async fn dead_letters(&self, queue: QueueName, most: usize) -> Result<Vec<Delivery>, QueueError> {
        let now = self.now();
        self.run(queue, move |connection| database::dead_letters(connection, queue, most, now)).await
    }
}

#[async_trait]
impl QueueDepths for LocalQueue {
    async fn depth(&self, queue: QueueName) -> Result<QueueDepth, QueueError> {
        let now = self.now();
        self.run(queue, move |connection| database::depth(connection, queue, now)).await
    }
}

/// The time `duration` after `now`, both in milliseconds; a part of a millisecond counts as a whole one.
fn later(now: i64, duration: Duration) -> i64 {
    let milliseconds = duration.as_micros().div_ceil(1000);
    now.saturating_add(i64::try_from(milliseconds).unwrap_or(i64::MAX))
}

/// The file of the queues could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum LocalQueueError {
    /// The lock file beside the file cannot be made or locked, or its write-ahead log not be opened.
    #[error("failed to lock the queues in {path:?}")]
    Lock {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// SQLite cannot open or prepare the file.
    #[error("failed to open the queues in {path:?}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The file was made by a newer Tidewatch.
    #[error("failed to open the queues in {path:?}: their format {version} is newer than this program")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        version: i64,
    },
    /// The work ended early, because the process is ending.
    #[error("failed to finish opening the queues in {path:?}")]
    Interrupted {
        /// The file.
        path: PathBuf,
        /// What the runtime says.
        source: tokio::task::JoinError,
    },
}

impl Retryable for LocalQueueError {
    fn retry(&self) -> Retry {
        match self {
            Self::Unusable { source, .. } if database::is_busy(source) => Retry::Again,
            Self::Interrupted { .. } => Retry::Again,
            Self::Lock { .. } | Self::Unusable { .. } | Self::Newer { .. } => Retry::Never,
        }
    }
}
