//! Whether the window of a rule holds up what it has found, and for which windows work was last made to wait.

use jiff::Timestamp;
use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::Condition;
use tidewatch_core::{Digest, Retry, Retryable as _};

use super::{RecordError, Records, RunTrigger, encode, keys};

/// What is recorded of a listing that is broken off because the window of its rule has closed.
pub const BROKEN_OFF: &str = "it was broken off when the window of the rule closed; the next run lists anew";

impl Records {
    /// When the next window of `rule` opens, if nothing of it is to be begun before. `None` when its window is open, when it
    /// has none, and when it was run by hand since its last window has closed: somebody wants that now.
    pub async fn held_until(
        &self,
        org: &OrgName,
        rule: &RuleConfig,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, RecordError> {
        let Some(opens_at) = rule.schedule.closed_until(now) else { return Ok(None) };
        let runs = match self.runs(org, &rule.id, 1).await {
            // Of a run that cannot be read nobody knows that it was by hand.
            Err(error) if error.retry() == Retry::Never => Vec::new(),
            runs => runs?,
        };
        let is_by_hand = runs.first().is_some_and(|run| {
            run.trigger == RunTrigger::Manual && rule.schedule.closed_until(run.started_at) == Some(opens_at)
        });
        Ok((!is_by_hand).then_some(opens_at))
    }

    /// The windows for which work was last made to wait, by their fingerprint; `None` when none ever was.
    pub async fn noted_windows(&self, org: &OrgName) -> Result<Option<Digest>, RecordError> {
        self.record(&keys::windows(org)).await
    }

    /// Notes for which windows work is made to wait.
    pub async fn note_windows(&self, org: &OrgName, fingerprint: &Digest) -> Result<(), RecordError> {
        Ok(self.table.put(encode(keys::windows(org), fingerprint)?, Condition::Always).await?)
    }
}
