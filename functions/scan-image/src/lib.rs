//! The function `scan-image`: reads the queues `pushed` and `scans`, and for each image reads the layers that nobody has
//! read, merges them, matches and judges the packages, and records the result.
//!
//! An attempt is counted before it begins, so that a worker that is killed counts too; after five the image is failed
//! and cools down. Waiting for a layer that another worker reads is no attempt, and neither is one that fails by our own
//! stores, by a registry that cannot be reached, throttles, or refuses us, or by the end of the function's time: that is
//! deferred, with growing pauses. Layers that were read to their end stay read. An image has one attempt at a time.

mod attestations;
mod base;
mod error;
mod image;
mod known_layers;
mod layers;
mod pull;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidewatch_inventory::{Limits, LimitsError, READER_VERSION};

use async_trait::async_trait;
use jiff::Timestamp;
use tidewatch_assessment::{AdvisoryIndexes, Subject, record, record_failed, record_members, text};
use tidewatch_core::metadata::ImageMetadata;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::registry::{RegistryError, Throttling};
use tidewatch_core::ports::{Clock, Ids, QueueSender, Registries, Sleeper};
use tidewatch_core::work::{Priority, RollUpMessage, ScanMessage, Work};
use tidewatch_core::{Retry, Retryable};
use tidewatch_runtime::messages::{describe, send};
use tidewatch_runtime::{Deadline, HandlerError, MessageHandler};
use tidewatch_store::records::{ImagePlace, InForce, PendingWork, Records, StoredResult};

use known_layers::KnownLayers;

pub use attestations::{AttestedImage, read_attestations};
pub use error::ScanError;
pub use layers::unreadable_layer;
pub use pull::{pull_layer, read_layer};

/// How often an image is tried before it is failed.
const MOST_ATTEMPTS: u32 = 5;

/// The first cool-down of an image that failed; it doubles with each further one, up to [`LONGEST_COOL_DOWN`].
const COOL_DOWN: Duration = Duration::from_secs(24 * 3600);

/// The longest cool-down.
const LONGEST_COOL_DOWN: Duration = Duration::from_secs(7 * 24 * 3600);

/// The longest pause of an image that is deferred, unless a registry that throttles asks for a longer one.
const LONGEST_DEFERRAL: Duration = Duration::from_secs(15 * 60);

/// How long before the end of the function an attempt stops, whatever it is at: enough to write that it is deferred.
const STOP: Duration = Duration::from_secs(30);

/// Of how many organisations it is kept what is in force.
const MOST_ORGS: usize = 64;

/// What can be set of how images are scanned.
#[derive(Clone, Copy, Debug)]
pub struct ScanSettings {
    /// How long a layer is leased, and an attempt, before the lease must have been renewed.
    pub lease: Duration,
    /// How often a lease is renewed.
    pub renewal: Duration,
    /// The pause before an image that failed or was deferred is tried again; doubles with each attempt, or deferral.
    pub retry_pause: Duration,
    /// When an image that waits for another worker's layer is looked at again, if nobody says that it is done.
    pub waiting: Duration,
    /// How many layers of one image are read at the same time.
    pub layers_at_once: usize,
    /// How long the reading of one layer may take; looked at with each renewal.
    pub layer_time: Duration,
    /// What one layer may ask of the process that reads it.
    pub limits: Limits,
}

/// The environment variable with the limits of a layer, as [`Limits`] are written; unset or empty for the defaults.
pub const LIMITS_VARIABLE: &str = "TIDEWATCH_LAYER_LIMITS";

impl ScanSettings {
    /// The defaults, with the limits that the environment has; `variable` gives the value of a variable.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, LimitsError> {
        let limits = variable(LIMITS_VARIABLE).unwrap_or_default().parse()?;
        Ok(Self { limits, ..Self::default() })
    }
}

impl Default for ScanSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            renewal: Duration::from_secs(20),
            retry_pause: Duration::from_secs(30),
            waiting: Duration::from_secs(90),
            layers_at_once: 3,
            layer_time: Duration::from_secs(600),
            limits: Limits::default(),
        }
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
    known_layers: Arc<KnownLayers>,
    /// What was last in force for organisations.
    known_in_force: Arc<Mutex<HashMap<OrgName, Arc<InForce>>>>,
    /// When the attempt at work must have ended.
    deadline: Deadline,
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
        Self {
            records,
            registries,
            queue,
            advisories,
            clock,
            sleeper,
            ids,
            settings,
            known_layers: Arc::default(),
            known_in_force: Arc::default(),
            deadline: Deadline::NONE,
        }
    }

    async fn attempt(&self, message: &ScanMessage) -> Result<(), ScanError> {
        let (org, image, owner) = (&message.org, &message.work.image, self.ids.next());
        let (now, until) = (self.clock.now(), self.after(self.settings.lease));
        // Nothing to do: another delivery of this message has finished the work, has put it off, or is at it.
        let Some(pending) = self.records.lease_attempt(org, image, &owner, now, until).await? else {
            return Ok(());
        };
        if pending.attempts > MOST_ATTEMPTS {
            return self
                .give_up(org, &pending, "every attempt ended without a word: out of memory or time")
                .await;
        }
        let outcome = tokio::select! {
            outcome = self.scan(org, &pending.work) => outcome,
            () = self.keep_attempt(org, &pending) => Err(ScanError::OutOfTime),
        };
        match outcome {
            Ok(Progress::Recorded) => {
                self.hurry_roll_up(org, &pending.work).await;
                self.complete(org, &pending).await
            }
            Ok(Progress::Waiting) => {
                let due_at = self.after(self.settings.waiting);
                Ok(self.records.defer_attempt(org, &pending, due_at, None).await?)
            }
            Err(error) if !error.is_of_the_image() => self.defer(org, &pending, &error).await,
            Err(error) => self.note_failure(org, &pending, &error).await,
        }
    }

    /// Renews the lease of an attempt until the function is about to be ended. That it is lost is no reason to stop:
    /// whatever the attempt stores is guarded by itself.
    async fn keep_attempt(&self, org: &OrgName, pending: &PendingWork) {
        let mut held = true;
        loop {
            self.sleeper.sleep(self.settings.renewal.min(self.time_left(STOP))).await;
            if self.time_left(STOP).is_zero() {
                return;
            }
            if held {
                let until = self.after(self.settings.lease);
                // One that fails is tried again with the next.
                held = !matches!(self.records.renew_attempt(org, pending, until).await, Ok(false));
            }
        }
    }

    /// How long there is still to work, when `margin` is kept.
    fn time_left(&self, margin: Duration) -> Duration {
        self.deadline.remaining(self.clock.now(), margin)
    }

    /// A pushed image is to be seen at once. That the message cannot be sent loses nothing: the timer rolls up within a
    /// minute anyway.
    async fn hurry_roll_up(&self, org: &OrgName, work: &Work) {
        if work.priority != Priority::Pushed {
            return;
        }
        let message = RollUpMessage { org: org.clone() };
        if let Err(error) = send(&*self.queue, QueueName::Rollups, &[message], Duration::ZERO).await {
            let error = describe(&error);
            tracing::warn!(org.name = %org, image = %work.image, error, "roll-up cannot be hurried");
        }
    }

    /// Removes the work, or sends what has come in the meantime: its message may have found this attempt at work.
    async fn complete(&self, org: &OrgName, pending: &PendingWork) -> Result<(), ScanError> {
        let Some(work) = self.records.complete_attempt(org, pending).await? else { return Ok(()) };
        self.records.end_attempt(org, pending).await?;
        let message = ScanMessage { org: org.clone(), work };
        Ok(send(&*self.queue, QueueName::Scans, &[message], Duration::ZERO).await?)
    }

    /// Not now, and no fault of the image. When not even that can be written, the message is delivered again.
    async fn defer(&self, org: &OrgName, pending: &PendingWork, error: &ScanError) -> Result<(), ScanError> {
        let pause = self.deferral(error, pending.deferrals);
        let reason = text::line(&describe(error), text::REASON);
        self.records.defer_attempt(org, pending, self.after(pause), Some(&reason)).await?;
        tracing::warn!(
            org.name = %org, image = %pending.work.image, scan.deferrals = pending.deferrals + 1,
            pause.seconds = pause.as_secs(), error = reason, "scan deferred"
        );
        Ok(())
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
            self.records.postpone(org, pending, self.after(pause)).await?;
            return Ok(self.records.end_attempt(org, pending).await?);
        }
        self.give_up(org, pending, &text).await
    }

    /// Records the image as failed, and looks at it again after its cool-down.
    async fn give_up(&self, org: &OrgName, pending: &PendingWork, reason: &str) -> Result<(), ScanError> {
        record_failed(&self.records, org, &pending.work.image, reason, self.clock.now()).await?;
        let pause = COOL_DOWN.saturating_mul(1 << pending.cooldowns.min(8)).min(LONGEST_COOL_DOWN);
        self.records.cool_down(org, pending, self.after(pause)).await?;
        Ok(self.records.end_attempt(org, pending).await?)
    }

    /// Scans the image, and looks again when that is recorded: who sends images to be matched again, because something
    /// else has come in force, finds only those that have a result. See docs/ARCHITECTURE.md, "Rematching".
    async fn scan(&self, org: &OrgName, work: &Work) -> Result<Progress, ScanError> {
        let (image, id) = (&work.image, work.image.id());
        // First the place, so that whoever stores a newer result from now on writes this slot too.
        self.records.put_place(org, &place(work)).await?;
        let (mut recorded, mut has_moved) = (None, false);
        loop {
            // What is in force is read last: it is never older than the result that it is compared with.
            let stored = self.records.result(org, &image.digest, &image.platform).await?;
            let Some(in_force) = self.in_force(org).await? else { return Ok(Progress::Recorded) };
            if let Some(stored) = stored.as_ref().filter(|stored| stored.result.report.is_some())
                && !has_moved
                && !(work.read_again && stored.result.reader_version < READER_VERSION)
                && self
                    .records
                    .is_current(org, &id, &stored.result, &in_force.basis(self.clock.now()))
                    .await?
            {
                if recorded == Some(stored.revision) {
                    return Ok(Progress::Recorded);
                }
                // An earlier attempt may have died before it looked again, and there may be attestations by now.
                if self.holds_all(org, &in_force.applied.config, work, &stored.result).await? {
                    let judging = (&*in_force, self.clock.now());
                    record_members(&self.records, org, (&id, Some(image)), stored, judging).await?;
                    return Ok(Progress::Recorded);
                }
            }
            let scanned = self.scan_once(org, work, &in_force, stored.as_ref()).await?;
            let Some((result, metadata)) = scanned else { return Ok(Progress::Waiting) };
            recorded = Some(result.revision);
            has_moved = self.has_moved(org, &metadata).await?;
        }
    }

    /// What is in force now; `None` for an organisation that is not there. What has not changed since the last scan of this
    /// process is not read again: of the configuration, its pointer says so.
    async fn in_force(&self, org: &OrgName) -> Result<Option<Arc<InForce>>, ScanError> {
        let lock = || self.known_in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(org).cloned();
        let Some(in_force) = self.records.in_force(org, known.as_deref()).await? else { return Ok(None) };
        let in_force = Arc::new(in_force);
        let mut all = lock();
        if all.len() >= MOST_ORGS {
            all.clear();
        }
        all.insert(org.clone(), Arc::clone(&in_force));
        Ok(Some(in_force))
    }

    /// Reads, matches, judges and records the image, whose result was `stored` before; `None` when another worker is
    /// reading one of its layers.
    async fn scan_once(
        &self,
        org: &OrgName,
        work: &Work,
        in_force: &Arc<InForce>,
        stored: Option<&StoredResult>,
    ) -> Result<Option<(StoredResult, ImageMetadata)>, ScanError> {
        let config = &in_force.applied.config;
        let manifest = self.manifest(org, config, work).await?;
        let Some(inventory) = self.inventory(org, config, work, &manifest).await? else {
            return Ok(None);
        };
        let now = self.clock.now();
        let metadata = ImageMetadata::of(manifest.said.clone(), inventory.vex.clone());
        let metadata = self.with_base(org, config, (work, &manifest), metadata).await?;
        let judged = metadata.clone();
        let subject = Subject { digest: Some(work.image.digest), inventory: inventory.into(), metadata };
        let mut assessment =
            self.advisories.assess(&self.records, subject, Arc::clone(in_force), now).await?;
        assessment.result.created_at = manifest.created_at;
        let found = (&work.image.id(), Some(&work.image));
        let result = record(&self.records, org, found, assessment, stored, None, in_force).await?;
        tracing::info!(
            org.name = %org, image = %work.image, scan.state = %result.result.state,
            scan.packages = result.result.packages,
            scan.vulnerabilities = result.result.severities.total(), "image scanned"
        );
        Ok(Some((result, judged)))
    }

    /// How long to wait before work that was deferred so often before: as long as a registry that throttles asks for, up
    /// to a day; else twice as long each time, also where a budget is used up: others wait for the next request as well.
    fn deferral(&self, error: &ScanError, deferrals: u32) -> Duration {
        let growing = self.settings.retry_pause.saturating_mul(1 << deferrals.min(16)).min(LONGEST_DEFERRAL);
        match error {
            ScanError::Registry(RegistryError::Throttled { retry_after, by: Throttling::Budget, .. }) => {
                growing.max(retry_after.unwrap_or_default()).min(COOL_DOWN)
            }
            ScanError::Registry(RegistryError::Throttled { retry_after: Some(pause), .. }) => {
                (*pause).min(COOL_DOWN)
            }
            ScanError::Registry(RegistryError::Throttled { .. }) => growing.max(Duration::from_secs(60)),
            _ => growing,
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

    async fn handle(&self, message: ScanMessage, deadline: Deadline) -> Result<(), HandlerError> {
        let until_then = Self { deadline, ..self.clone() };
        until_then.attempt(&message).await.map_err(HandlerError::new)
    }
}
