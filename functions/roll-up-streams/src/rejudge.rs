//! Judges a member again whose answers change with time alone, such as at the end of a grace period: from the rows
//! that are stored, without a scan.

use jiff::Timestamp;
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::result::ResultState;
use tidewatch_core::stream::Member;
use tidewatch_store::records::{Filling, InForce, RecordError, ResultRows, StoredResult};

use crate::{RollUpError, RollUpStreams};

impl RollUpStreams {
    /// Puts the answers as of `now` into `member` and its slot. The image is judged again from its stored rows, unless
    /// somebody else has just done that. Where one who is at work on it now comes first, nothing is done: the answers
    /// stay due, and the next roll-up takes what was stored.
    pub(crate) async fn rejudge(
        &self,
        org: &OrgName,
        in_force: &InForce,
        stream: &StreamName,
        member: &mut Member,
        now: Timestamp,
    ) -> Result<(), RollUpError> {
        let image = &member.image;
        let Some(stored) = self.records.result(org, &image.digest, &image.platform).await? else {
            return Ok(());
        };
        let stored = match stored.result.next_change_at {
            Some(change) if change <= now => {
                match self.judge_again(org, in_force, member, stored, now).await? {
                    Some(judged) => judged,
                    None => return Ok(()),
                }
            }
            _ => stored,
        };
        // Such a result does not enter a slot: what was known before stays.
        if matches!(stored.result.state, ResultState::Pending | ResultState::Failed) {
            return Ok(());
        }
        // All of the result, not only the answers: its writer may not have come to the slot yet, and finds it newer.
        let mut filling = Filling::new(&stored, in_force, now);
        self.records.fill_slot(org, stream, member, &mut filling).await?;
        Ok(self.records.put_filled(org, stream, member, &filling).await?)
    }

    /// Judges the rows of `stored` as of `now`, and stores the answers. `None` when somebody else has stored a newer
    /// result.
    async fn judge_again(
        &self,
        org: &OrgName,
        in_force: &InForce,
        member: &Member,
        stored: StoredResult,
        now: Timestamp,
    ) -> Result<Option<StoredResult>, RollUpError> {
        let mut result = stored.result.clone();
        let Some(rows) = self.records.result_rows(org, &result).await? else {
            // Without its rows nothing can be judged: the answers stay until the image is scanned again.
            tracing::warn!(org.name = %org, image = %member.image, "rows of a result are missing");
            result.next_change_at = None;
            return Ok(Some(StoredResult { result, ..stored }));
        };

        let ResultRows { mut report, inventory, metadata } = rows;
        let (judging, digest) = (in_force.judging(now), Some(&member.image.digest));
        result.judge(&mut report, &inventory, &metadata, digest, judging);
        result.report = Some(self.records.put_report(org, &report, result.report.as_deref()).await?);

        let (digest, platform) = (&member.image.digest, &member.image.platform);
        match self.records.put_result(org, digest, platform, &result, Some(&stored)).await {
            Ok(revision) => Ok(Some(StoredResult { result, revision })),
            Err(RecordError::Changed { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
