//! The function `sync-advisories`: fetches the archive of an ecosystem when it has changed, compiles the index of its
//! family, and puts it in force.
//!
//! A message names one ecosystem. Each step compares what is stored with what it should be and does what is missing, so
//! that a message that comes twice, or after one that was cut off anywhere, brings everything in line: the source item is
//! written first, the index in force follows it. An ecosystem's index also depends on the scores that all others give;
//! whoever has changed something sends a message for each ecosystem whose index is not made of the present scores.

mod error;
mod fetch;
mod settings;
mod source;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidewatch_core::ports::queue::{MAX_DELAY, QueueName};
use tidewatch_core::ports::{Clock, QueueSender};
use tidewatch_core::work::AdvisoriesMessage;
use tidewatch_core::{Retry, Retryable};
use tidewatch_runtime::messages::{describe, send};
use tidewatch_runtime::{Deadline, HandlerError, MessageHandler};
use tidewatch_store::Records;
use tidewatch_store::records::SourceError;

pub use error::SyncError;
pub use fetch::FetchError;
pub use settings::{ECOSYSTEMS_VARIABLE, Settings, SettingsError, URL_VARIABLE, parse_ecosystems, parse_url};

use fetch::Archives;
use settings::is_ecosystem;

/// How often an ecosystem is tried before it waits for the next schedule.
const MOST_FAILURES: u32 = 5;

/// How often each ecosystem is looked at.
pub const PERIOD: Duration = Duration::from_secs(3600);

/// Keeps advisories up to date.
#[derive(Clone)]
pub struct SyncAdvisories {
    records: Records,
    queue: Arc<dyn QueueSender>,
    clock: Arc<dyn Clock>,
    settings: Arc<Settings>,
    /// `None` without a URL.
    archives: Option<Archives>,
}

impl SyncAdvisories {
    /// The function on these ports.
    pub fn new(
        records: Records,
        queue: Arc<dyn QueueSender>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self, SettingsError> {
        let archives = settings.url.as_ref().map(|url| Archives::new(url, &settings)).transpose()?;
        Ok(Self { records, queue, clock, settings: Arc::new(settings), archives })
    }

    /// What the schedule does: sends a message for each ecosystem. Gives how many were sent; none without a URL.
    pub async fn tick(&self) -> Result<usize, SyncError> {
        if self.archives.is_none() {
            return Ok(0);
        }
        let message = |ecosystem: &String| AdvisoriesMessage { ecosystem: ecosystem.clone(), failures: 0 };
        let messages: Vec<_> = self.settings.ecosystems.iter().map(message).collect();
        send(&*self.queue, QueueName::Advisories, &messages, Duration::ZERO).await?;
        Ok(messages.len())
    }

    /// Does what the schedule does, if an ecosystem has not been asked for within the last [`PERIOD`]. Whether it was.
    pub async fn tick_if_due(&self) -> Result<bool, SyncError> {
        let is_due = self.is_due().await?;
        if is_due {
            self.tick().await?;
        }
        Ok(is_due)
    }

    /// Whether an ecosystem has not been asked for within the last [`PERIOD`]. Never without a URL.
    async fn is_due(&self) -> Result<bool, SyncError> {
        if self.archives.is_none() {
            return Ok(false);
        }
        let sources = self.records.advisory_sources().await?;
        let now = self.clock.now();
        let is_due = |ecosystem: &String| {
            let source = sources.get(ecosystem).map(|stored| &stored.source);
            let asked_at =
                source.and_then(|source| source.checked_at.max(source.error.as_ref().map(|error| error.at)));
            asked_at.is_none_or(|asked_at| {
                Duration::try_from(now.duration_since(asked_at)).is_ok_and(|since| since >= PERIOD)
            })
        };
        Ok(self.settings.ecosystems.iter().any(is_due))
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
        match self.bring_up_to_date(&message.ecosystem, deadline).await {
            Err(error) if error.is_of_source() => self.note_failure(&message, &error).await,
            outcome => outcome,
        }
        .map_err(HandlerError::new)
    }
}
