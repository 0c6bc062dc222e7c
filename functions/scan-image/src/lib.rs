//! The function `scan-image`: reads the queue `scans`, and for each image reads the layers that nobody has read, merges
//! them, matches and judges the packages, and records the result.
//!
//! An attempt is counted before it begins, so that a worker that is killed counts too; after five the image is failed
//! and cools down. Waiting for a layer that another worker reads, or for a registry that throttles, is no attempt.

mod advisories;
mod assess;
mod image;
mod layers;
mod pull;
mod record;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tidewatch_advisories::IndexError;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::queue::QueueError;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::ports::{Clock, Ids, QueueSender, Registries, Sleeper};
use tidewatch_core::work::{ScanMessage, Work};
use tidewatch_core::{Retry, Retryable};
use tidewatch_inventory::LayerError;
use tidewatch_runtime::messages::describe;
use tidewatch_runtime::{HandlerError, MessageHandler};
use tidewatch_store::records::{ImagePlace, PendingWork, RecordError, Records};

pub use advisories::AdvisoryIndexes;
pub use assess::{Assessment, assess};
pub use pull::pull_layer;

/// How often an image is tried before it is failed.
const MOST_ATTEMPTS: u32 = 5;

/// The first cool-down of an image that failed; it doubles with each further one, up to [`LONGEST_COOL_DOWN`].
const COOL_DOWN: Duration = Duration::from_secs(24 * 3600);

/// The longest cool-down.
const LONGEST_COOL_DOWN: Duration = Duration::from_secs(7 * 24 * 3600);

/// What can be set of how images are scanned.
#[derive(Clone, Copy, Debug)]
pub struct ScanSettings {
    /// How long a layer is leased before the lease must have been renewed.
    pub lease: Duration,
    /// How often a lease is renewed.
    pub renewal: Duration,
    /// The pause before a failed image is tried again; doubles with each attempt.
    pub retry_pause: Duration,
    /// When an image that waits for another worker's layer is looked at again, if nobody says that it is done.
    pub waiting: Duration,
    /// How many layers of one image are read at the same time.
    pub layers_at_once: usize,
}

impl Default for ScanSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            renewal: Duration::from_secs(20),
            retry_pause: Duration::from_secs(30),
            waiting: Duration::from_secs(90),
            layers_at_once: 3,
        }
    }
}

/// An image could not be scanned.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The registry did not give something of it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A layer did not arrive as its digest says.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// Its manifest is not that of an image.
    #[error("failed to read manifest {digest}: {reason}")]
    Manifest {
        /// The manifest.
        digest: tidewatch_core::Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// The registry is not in the configuration any more.
    #[error("registry {0} is not in the configuration any more")]
    UnknownRegistry(tidewatch_core::names::RegistryId),
    /// The advisories could not be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// An index that is in force is not there, or is not what its hash says.
    #[error("failed to use the advisory index {family} {hash}: {reason}")]
    IndexObject {
        /// The family.
        family: &'static str,
        /// Its content hash.
        hash: tidewatch_core::Digest,
        /// What is wrong.
        reason: &'static str,
    },
    /// The temporary folder for advisory indexes could not be used.
    #[error("failed to keep an advisory index in the temporary folder")]
    IndexFolder(#[source] std::io::Error),
    /// A worker thread ended before its work.
    #[error("failed to finish {0} on a worker thread")]
    Thread(&'static str),
    /// A record could not be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A message could not be sent.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Retryable for ScanError {
    fn retry(&self) -> Retry {
        match self {
            Self::Registry(error) => error.retry(),
            Self::Layer(error) => error.retry(),
            Self::Index(error) => error.retry(),
            Self::Record(error) => error.retry(),
            Self::Queue(error) => error.retry(),
            Self::Manifest { .. } | Self::UnknownRegistry(_) => Retry::Never,
            Self::IndexObject { .. } | Self::IndexFolder(_) | Self::Thread(_) => Retry::Again,
        }
    }
}

impl ScanError {
    /// Whether it says something about the image, not about our own stores or the registry's patience: only then the
    /// attempt counts. A record that cannot be read is no better the next time, and a thread that ended may have met
    /// something in the image that it cannot take.
    const fn is_of_the_image(&self) -> bool {
        !matches!(
            self,
            Self::Record(RecordError::Table(_) | RecordError::Objects(_) | RecordError::Changed { .. })
                | Self::Queue(_)
                | Self::Index(_)
                | Self::IndexObject { .. }
                | Self::IndexFolder(_)
                | Self::Registry(RegistryError::Throttled { .. })
        )
    }
}

/// What became of an attempt that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The result is recorded.
    Recorded,
    /// A layer is being read by another worker, who will send this image again.
    Waiting,
}

/// Scans images.
#[derive(Clone)]
pub struct ScanImage {
    records: Records,
    registries: Arc<dyn Registries>,
    queue: Arc<dyn QueueSender>,
    advisories: Arc<AdvisoryIndexes>,
    clock: Arc<dyn Clock>,
    sleeper: Arc<dyn Sleeper>,
    ids: Arc<dyn Ids>,
    settings: ScanSettings,
}

/// The ports of [`ScanImage`].
pub struct ScanPorts {
    /// Where results go.
    pub records: Records,
    /// Where images come from.
    pub registries: Arc<dyn Registries>,
    /// Where those that waited for a layer are sent again.
    pub queue: Arc<dyn QueueSender>,
    /// What packages are matched against.
    pub advisories: Arc<AdvisoryIndexes>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For the renewal of leases.
    pub sleeper: Arc<dyn Sleeper>,
    /// Names of lease owners.
    pub ids: Arc<dyn Ids>,
}

impl ScanImage {
    /// A scanner on these ports.
    pub fn new(ports: ScanPorts, settings: ScanSettings) -> Self {
        let ScanPorts { records, registries, queue, advisories, clock, sleeper, ids } = ports;
        Self { records, registries, queue, advisories, clock, sleeper, ids, settings }
    }

    async fn attempt(&self, message: &ScanMessage) -> Result<(), ScanError> {
        let org = &message.org;
        // No work row: another delivery of this message has finished it.
        let Some(pending) = self.records.begin_attempt(org, &message.work.image).await? else {
            return Ok(());
        };
        if pending.attempts > MOST_ATTEMPTS {
            return self
                .give_up(org, &pending, "every attempt ended without a word: out of memory or time")
                .await;
        }
        match self.scan(org, &pending.work).await {
            Ok(Progress::Recorded) => Ok(self.records.complete(org, &pending.work).await?),
            Ok(Progress::Waiting) => self.defer(org, &pending, self.settings.waiting).await,
            Err(error) if !error.is_of_the_image() => {
                // When not even that can be written, the message is delivered again.
                self.defer(org, &pending, self.pause_after(&error)).await?;
                tracing::warn!(
                    org.name = %org, image = %pending.work.image, error = describe(&error), "scan deferred"
                );
                Ok(())
            }
            Err(error) => self.note_failure(org, &pending, &error).await,
        }
    }

    /// Not now, and no fault of the image.
    async fn defer(&self, org: &OrgName, pending: &PendingWork, pause: Duration) -> Result<(), ScanError> {
        self.records.forget_attempt(org, &pending.work.image).await?;
        Ok(self.records.postpone(org, pending, self.after(pause)).await?)
    }

    async fn note_failure(
        &self,
        org: &OrgName,
        pending: &PendingWork,
        error: &ScanError,
    ) -> Result<(), ScanError> {
        let text = describe(error);
        let again = error.retry() == Retry::Again && pending.attempts < MOST_ATTEMPTS;
        tracing::warn!(
            org.name = %org, image = %pending.work.image, scan.attempts = pending.attempts, retry = again,
            error = text, "scan failed"
        );
        if again {
            let pause =
                self.settings.retry_pause.saturating_mul(1 << pending.attempts.saturating_sub(1).min(16));
            return Ok(self.records.postpone(org, pending, self.after(pause)).await?);
        }
        self.give_up(org, pending, &text).await
    }

    /// Records the image as failed, and looks at it again after its cool-down.
    async fn give_up(&self, org: &OrgName, pending: &PendingWork, reason: &str) -> Result<(), ScanError> {
        self.record_failed(org, &pending.work, reason).await?;
        let pause = COOL_DOWN.saturating_mul(1 << pending.cooldowns.min(8)).min(LONGEST_COOL_DOWN);
        Ok(self.records.cool_down(org, pending, self.after(pause)).await?)
    }

    async fn scan(&self, org: &OrgName, work: &Work) -> Result<Progress, ScanError> {
        // First of all, so that what is in force is never older than the result that it is compared with.
        let stored = self.records.result(org, &work.image.digest, &work.image.platform).await?;
        let Some(applied) = self.records.config(org).await? else { return Ok(Progress::Recorded) };
        let config = &applied.config;
        let advisories = self.records.current_advisories().await?;
        self.records.put_place(org, &place(work)).await?;
        if let Some(stored) = &stored {
            let current =
                stored.result.is_current(|family| advisories.hash(family), config.judging_fingerprint());
            if current && stored.result.report.is_some() {
                self.record_members(org, work, stored).await?;
                return Ok(Progress::Recorded);
            }
        }
        let manifest = self.manifest(org, config, work).await?;
        let Some(inventory) = self.inventory(org, config, work, &manifest).await? else {
            return Ok(Progress::Waiting);
        };
        let indexes = self.advisories.open(&self.records, &inventory, &advisories).await?;
        let assessment = assess(inventory, indexes, &advisories, config, self.clock.now())?;
        self.record(org, work, &manifest, assessment, stored.map_or(0, |stored| stored.revision)).await?;
        Ok(Progress::Recorded)
    }

    /// How long to wait before work that was deferred: as long as a registry that throttles asks for, up to a day.
    fn pause_after(&self, error: &ScanError) -> Duration {
        match error {
            ScanError::Registry(RegistryError::Throttled { retry_after, .. }) => {
                retry_after.unwrap_or(Duration::from_secs(60)).min(COOL_DOWN)
            }
            _ => self.settings.retry_pause,
        }
    }

    fn after(&self, pause: Duration) -> Timestamp {
        self.clock.now().checked_add(pause).unwrap_or(Timestamp::MAX)
    }
}

/// Where the image of `work` is.
fn place(work: &Work) -> ImagePlace {
    let Work { image, tag, seen_at, counted, .. } = work.clone();
    ImagePlace { image, tag, seen_at, counted }
}

#[async_trait]
impl MessageHandler for ScanImage {
    type Message = ScanMessage;

    async fn handle(&self, message: ScanMessage) -> Result<(), HandlerError> {
        self.attempt(&message).await.map_err(HandlerError::new)
    }
}
