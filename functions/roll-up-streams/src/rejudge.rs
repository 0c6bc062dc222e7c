//! Judges a member again whose answers change with time alone, such as at the end of a grace period: from the rows
//! that are stored, without a scan.

use jiff::Timestamp;
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::policy::ImageFacts;
use tidewatch_core::stream::Member;
use tidewatch_store::records::AppliedConfig;

use crate::{RollUpError, RollUpStreams};

impl RollUpStreams {
    /// Judges `member` as of `now`, stores the new answers and puts them into `member`. Where somebody else has stored
    /// a newer result, that one's mark makes the shard dirty again, and nothing is done here.
    pub(crate) async fn rejudge(
        &self,
        org: &OrgName,
        applied: &AppliedConfig,
        stream: &StreamName,
        member: &mut Member,
        now: Timestamp,
    ) -> Result<(), RollUpError> {
        let image = &member.image;
        let Some(stored) = self.records.result(org, &image.digest, &image.platform).await? else { return Ok(()) };
        let mut result = stored.result;
        let Some(report) = result.report.clone() else { return Ok(()) };
        let Some(mut report) = self.records.report(&report).await? else { return Ok(()) };

        let facts = ImageFacts { findings: &report.findings, state: result.state, now };
        report.policies = applied.config.policy_set().evaluate(facts);
        result.policies = report.policies.iter().map(|(id, evaluation)| (id.clone(), evaluation.outcome)).collect();
        result.next_change_at = report.policies.values().filter_map(|evaluation| evaluation.next_change_at).min();
        result.judged_under = applied.config.judging_fingerprint();
        result.report = Some(self.records.put_report(org, &report).await?);

        let (digest, platform) = (&image.digest, &image.platform);
        let revision = self.records.put_result(org, digest, platform, &result, stored.revision).await?;
        member.policies = result.policies;
        member.next_change_at = result.next_change_at;
        self.records.put_member(org, stream, member, revision).await?;
        Ok(())
    }
}
