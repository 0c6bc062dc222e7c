//! Sends the images of an organisation to be matched and judged again when other advisories or other policies are in
//! force than when that was done last.
//!
//! The table is the truth: whoever puts something in force has nothing to send. Two changes within one tick that undo each
//! other are not noticed.

use std::time::Duration;

use tidewatch_core::names::OrgName;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::RematchMessage;
use tidewatch_runtime::messages::send;
use tidewatch_store::records::{AppliedConfig, InForce, RematchState};

use crate::{EvaluateError, EvaluateRules};

impl EvaluateRules {
    /// `true` when images were sent. That is noted last: a crash before sends them twice, which does no harm.
    pub(crate) async fn rematch_if_changed(
        &self,
        org: &OrgName,
        applied: &AppliedConfig,
    ) -> Result<bool, EvaluateError> {
        let last = self.records.rematch_state(org).await?;
        let advisories = self.records.current_advisories().await?;
        let fingerprint = InForce { applied: applied.clone(), advisories }.fingerprint();
        if last.is_some_and(|last| last.fingerprint == fingerprint) {
            return Ok(false);
        }
        let message = RematchMessage { org: org.clone(), repository: None };
        send(&*self.queue, QueueName::Rematches, &[message], Duration::ZERO).await?;
        let sent = RematchState { fingerprint, sent_at: self.clock.now() };
        self.records.note_rematch(org, last.as_ref(), &sent).await?;
        tracing::info!(org.name = %org, "images sent to be matched again");
        Ok(true)
    }
}
