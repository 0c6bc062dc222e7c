//! Sends for images to be matched and judged again when other advisories or other policies are in force than those by which
//! all images are settled; and for images to be posted when enough of them wait, or one has waited for long.
//!
//! The table is the truth: whoever puts something in force has nothing to send.

use std::time::Duration;

use jiff::Timestamp;
use tidewatch_core::Digest;
use tidewatch_core::basis::Basis;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::{RematchMessage, RematchTask};
use tidewatch_runtime::messages::send;
use tidewatch_store::records::{AppliedConfig, Postings, RematchState, StoredUnposted};

use crate::{EvaluateError, EvaluateRules};

/// When a change that was sent for is sent for again, in case the message is lost: longer than it takes to find the images.
const AGAIN: Duration = Duration::from_secs(15 * 60);

/// How often at most images are sent to be posted.
const POSTING_PERIOD: Duration = Duration::from_secs(5 * 60);

/// How many unposted images are looked at: those of one partition of several, another one each minute.
const SAMPLE: usize = 125;

/// How long an image may wait to be posted.
const WAIT: Duration = Duration::from_secs(3600);

/// How long it may be that an image is not settled while nothing is sent for.
const SETTLING: Duration = Duration::from_secs(5 * 60);

impl EvaluateRules {
    /// `true` when images were sent for. That is noted last: a crash before sends twice, which does no harm.
    pub(crate) async fn rematch_if_changed(
        &self,
        org: &OrgName,
        applied: &AppliedConfig,
    ) -> Result<bool, EvaluateError> {
        let last = self.records.rematch_state(org).await?;
        let postings = self.records.postings(org).await?.map(|stored| stored.postings).unwrap_or_default();
        let now = self.clock.now();
        let basis = self.records.basis(applied, now).await?;
        if postings.are_due(&basis, now) {
            return self.send_for_changes(org, last, &postings, &basis).await;
        }
        if self.is_posting_due(org, last.as_ref(), &basis, now).await? {
            self.send_task(org, Some(RematchTask::Compact {})).await?;
            let fingerprint = last.map_or(Digest::of(b""), |last| last.fingerprint);
            let sent_at = last.map_or(now, |last| last.sent_at);
            let sent = RematchState { fingerprint, sent_at, posting_sent_at: Some(now) };
            self.records.note_rematch(org, last.as_ref(), &sent).await?;
        }
        Ok(false)
    }

    async fn send_for_changes(
        &self,
        org: &OrgName,
        last: Option<RematchState>,
        postings: &Postings,
        basis: &Basis,
    ) -> Result<bool, EvaluateError> {
        let now = self.clock.now();
        let fingerprint = postings.change(basis);
        let is_sent =
            |last: &RematchState| last.fingerprint == fingerprint && elapsed(last.sent_at, now) < AGAIN;
        if last.as_ref().is_some_and(is_sent) {
            return Ok(false);
        }
        self.send_task(org, None).await?;
        let posting_sent_at = last.and_then(|last| last.posting_sent_at);
        let sent = RematchState { fingerprint, sent_at: now, posting_sent_at };
        self.records.note_rematch(org, last.as_ref(), &sent).await?;
        tracing::info!(org.name = %org, "images sent for to be matched again");
        Ok(true)
    }

    /// Whether there are images to post, or to settle: by a sample.
    async fn is_posting_due(
        &self,
        org: &OrgName,
        last: Option<&RematchState>,
        basis: &Basis,
        now: Timestamp,
    ) -> Result<bool, EvaluateError> {
        let sent_at = last.and_then(|last| last.posting_sent_at);
        if sent_at.is_some_and(|sent_at| elapsed(sent_at, now) < POSTING_PERIOD) {
            return Ok(false);
        }
        let minute = now.as_second().unsigned_abs() / 60;
        let rows = self.records.unposted_sample(org, minute, SAMPLE).await?;
        let is_due = |StoredUnposted { row, .. }: &StoredUnposted| {
            let limit = if row.footing.is_of(basis) { WAIT } else { SETTLING };
            elapsed(row.noted_at, now) >= limit
        };
        let mut waiting = rows.iter().flatten().filter(|stored| !stored.row.is_left);
        Ok(rows.len() >= SAMPLE || waiting.any(is_due))
    }

    async fn send_task(&self, org: &OrgName, task: Option<RematchTask>) -> Result<(), EvaluateError> {
        let message =
            RematchMessage { sent_at: Some(self.clock.now()), ..RematchMessage::new(org.clone(), task) };
        Ok(send(&*self.queue, QueueName::Rematches, &[message], Duration::ZERO).await?)
    }
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}
