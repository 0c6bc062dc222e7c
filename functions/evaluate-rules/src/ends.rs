//! The ends of runs: once all of its listings are made and nothing that it has queued is left, a run has come to its end, and
//! its numbers stay as they are then.

use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::OrgName;
use tidewatch_store::records::{Run, RunEnd};

use crate::{EvaluateError, EvaluateRules};

impl EvaluateRules {
    /// Notes which of the latest `runs` of `rule` have come to their end.
    pub(crate) async fn end_runs(
        &self,
        org: &OrgName,
        rule: &RuleConfig,
        runs: &[Run],
    ) -> Result<(), EvaluateError> {
        for run in runs {
            if run.end.is_none()
                && !self.records.has_queued_listings(org, &run.id).await?
                && let Some(failed) = self.failed_at_end(org, rule, run).await?
            {
                let listings = self.records.listings(org, &run.id).await?;
                let queued: u64 = listings.iter().map(|listing| listing.queued).sum();
                let ended_at = self.clock.now();
                let end = RunEnd { ended_at, scanned: queued.saturating_sub(failed), failed };
                self.records.end_run(org, run, end).await?;
                tracing::info!(
                    org.name = %org, rule.id = %rule.id, run.id = %run.id.run, run.scanned = end.scanned,
                    run.failed = failed, "run ended"
                );
            }
        }
        Ok(())
    }

    async fn failed_at_end(
        &self,
        org: &OrgName,
        rule: &RuleConfig,
        run: &Run,
    ) -> Result<Option<u64>, EvaluateError> {
        let mut all = 0;
        for registry in &rule.registries {
            match self.records.failed_at_end(org, registry, &run.id).await? {
                Some(failed) => all += failed,
                None => return Ok(None),
            }
        }
        Ok(Some(all))
    }
}
