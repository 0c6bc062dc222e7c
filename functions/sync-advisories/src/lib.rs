//! The function `sync-advisories`: fetches the advisories of an ecosystem when they have changed, compiles the index of
//! its family, and puts it in force.
//!
//! A message names one source: an ecosystem, or one that gives scores only. Each step compares what is stored with what
//! it should be and does what is missing, so that a message that comes twice, or after one that was cut off anywhere,
//! brings everything in line: the source item is written first, the index in force follows it. An ecosystem's index also
//! depends on the scores that all others give; whoever has changed something sends a message for each ecosystem whose
//! index is not made of the present scores. Tables that images are judged by are put in force as they are.

mod archive;
mod compile;
mod error;
mod fetch;
mod place;
mod progress;
mod scores;
mod settings;
mod sources;
mod tables;
mod update;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tidewatch_core::ports::queue::{MAX_DELAY, QueueName};
use tidewatch_core::ports::{Clock, QueueSender};
use tidewatch_core::work::AdvisoriesMessage;
use tidewatch_core::{Retry, Retryable};
use tidewatch_runtime::aws::SdkConfig;
use tidewatch_runtime::messages::{describe, send};
use tidewatch_runtime::{Deadline, HandlerError, MessageHandler};
use tidewatch_store::Records;
use tidewatch_store::records::SourceError;

pub use error::SyncError;
pub use fetch::FetchError;
pub use place::Place;
pub use settings::{ECOSYSTEMS_VARIABLE, Places, Settings, SettingsError, parse_ecosystems};
pub use sources::amazon_linux::VARIABLE as AMAZON_LINUX_VARIABLE;
pub use sources::eol::VARIABLE as EOL_VARIABLE;
pub use sources::kev::VARIABLE as KEV_VARIABLE;
pub use sources::nvd::VARIABLE as NVD_VARIABLE;
pub use sources::osv::VARIABLE as OSV_VARIABLE;

use fetch::Fetcher;
use settings::is_ecosystem;

/// How often an ecosystem is tried before it waits for the next schedule.
const MOST_FAILURES: u32 = 5;

/// How often each source is looked at.
pub const PERIOD: Duration = Duration::from_secs(3600);

/// Keeps advisories up to date.
#[derive(Clone)]
pub struct SyncAdvisories {
    records: Records,
    queue: Arc<dyn QueueSender>,
    clock: Arc<dyn Clock>,
    settings: Arc<Settings>,
    fetcher: Fetcher,
    /// The scores that were asked for last.
    known: Arc<Mutex<Option<scores::Known>>>,
}

impl SyncAdvisories {
    /// The function on these ports. Buckets are read with the region and the credentials of `aws`.
    pub fn new(
        records: Records,
        queue: Arc<dyn QueueSender>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        aws: Option<SdkConfig>,
    ) -> Result<Self, SettingsError> {
        let fetcher = Fetcher::new(&settings, aws)?;
        Ok(Self { records, queue, clock, settings: Arc::new(settings), fetcher, known: Arc::default() })
    }

    /// The names of the sources that are fetched.
    fn sources(&self) -> BTreeSet<String> {
        self.settings.sources(self.clock.now())
    }

    /// Notes which sources are fetched, so that those who ask for all of them know.
    pub async fn note_sources(&self) -> Result<(), SyncError> {
        Ok(self.records.put_advisories_set(&self.sources()).await?)
    }

    /// What the schedule does: notes which sources are fetched, and sends a message for each. Gives how many were sent.
    pub async fn tick(&self) -> Result<usize, SyncError> {
        self.note_sources().await?;
        self.send_for(self.sources()).await
    }

    /// Sends for the sources that have not been asked for within the last [`PERIOD`]. Whether there was one.
    pub async fn tick_if_due(&self) -> Result<bool, SyncError> {
        let known = self.records.advisory_sources().await?;
        let now = self.clock.now();
        let is_due = |name: &String| {
            let source = known.get(name).map(|stored| &stored.source);
            let asked_at =
                source.and_then(|source| source.checked_at.max(source.error.as_ref().map(|error| error.at)));
            asked_at.is_none_or(|asked_at| {
                Duration::try_from(now.duration_since(asked_at)).is_ok_and(|since| since >= PERIOD)
            })
        };
        let due = self.sources().into_iter().filter(is_due).collect();
        Ok(self.send_for(due).await? > 0)
    }

    async fn send_for(&self, sources: BTreeSet<String>) -> Result<usize, SyncError> {
        let messages: Vec<_> = sources.iter().map(|name| AdvisoriesMessage::of(name)).collect();
        send(&*self.queue, QueueName::Advisories, &messages, Duration::ZERO).await?;
        Ok(messages.len())
    }

    /// Records why an ecosystem is not up to date. What is worth trying again is sent again, later, unless it has failed
    /// too often.
    async fn note_failure(&self, message: &AdvisoriesMessage, error: &SyncError) -> Result<(), SyncError> {
        let failures = message.failures + 1;
        let again = error.retry() == Retry::Again && failures < MOST_FAILURES;
        let reason = describe(error);
        tracing::warn!(
            advisories.ecosystem = message.ecosystem,
            advisories.failures = failures,
            retry = again,
            error = reason,
            "advisories could not be brought up to date"
        );
        let mut stored =
            self.records.advisory_sources().await?.remove(&message.ecosystem).unwrap_or_default();
        stored.source.error = Some(SourceError { reason, at: self.clock.now(), failures });
        self.records.put_advisory_source(&message.ecosystem, stored).await?;
        if !again {
            return Ok(());
        }
        let pause = self.settings.retry_pause.saturating_mul(1 << message.failures.min(16)).min(MAX_DELAY);
        let retry = AdvisoriesMessage { failures, ..message.clone() };
        Ok(send(&*self.queue, QueueName::Advisories, &[retry], pause).await?)
    }
}

#[async_trait]
impl MessageHandler for SyncAdvisories {
    type Message = AdvisoriesMessage;

    async fn handle(&self, message: AdvisoriesMessage, deadline: Deadline) -> Result<(), HandlerError> {
        if !is_ecosystem(&message.ecosystem) {
            // There is no item for what is no name.
            return Err(HandlerError::new(SettingsError::Ecosystem { name: message.ecosystem }));
        }
        match self.bring_up_to_date(&message, deadline).await {
            Err(error) if error.is_of_source() => self.note_failure(&message, &error).await,
            outcome => outcome,
        }
        .map_err(HandlerError::new)
    }
}
