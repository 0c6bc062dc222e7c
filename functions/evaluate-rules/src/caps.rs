//! The caps of runs: once every repository of a run has said what it wants, each is told how much of that it gets.

use std::collections::HashSet;
use std::num::NonZeroU64;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::rule::{Wants, admitted};
use tidewatch_core::work::ListingMessage;
use tidewatch_runtime::messages::send;
use tidewatch_store::records::{CappedListing, ListingState, Run};

use crate::{EvaluateError, EvaluateRules, RUNS};

/// How many rows are written at the same time.
const AT_ONCE: usize = 25;

impl EvaluateRules {
    /// Lets the listings of an organisation go on that wait for the others of their runs.
    pub async fn apply_caps(&self, org: &OrgName) -> Result<(), EvaluateError> {
        let Some(applied) = self.records.config(org).await? else { return Ok(()) };
        for rule in &applied.config.rules {
            let runs = self.records.runs(org, &rule.id, RUNS).await?;
            self.apply_cap(org, rule, &runs).await?;
        }
        Ok(())
    }

    /// The same of the latest `runs` of one rule.
    pub(crate) async fn apply_cap(
        &self,
        org: &OrgName,
        rule: &RuleConfig,
        runs: &[Run],
    ) -> Result<(), EvaluateError> {
        // A rule that has lost its cap lets those go on that wait for it.
        let most = rule.max_images.map_or(u64::MAX, NonZeroU64::get);
        for run in runs {
            if (run.has_cap || rule.max_images.is_some()) && run.end.is_none() {
                self.apply_cap_of(org, run, most).await?;
            }
        }
        Ok(())
    }

    /// How much each gets is noted before anything is sent: what is sent twice does the same. Who comes when all was sent gets
    /// nothing of this run.
    async fn apply_cap_of(&self, org: &OrgName, run: &Run, most: u64) -> Result<(), EvaluateError> {
        let mut waiting = self.records.capped(org, &run.id).await?;
        if waiting.is_empty() || (!run.is_capped && !self.all_wait(org, run, &waiting).await?) {
            return Ok(());
        }
        if run.is_capped {
            for late in &mut waiting {
                late.admitted = late.admitted.or(Some(0));
            }
        } else {
            let wants: Vec<Vec<Wants>> = waiting.iter().map(|listing| listing.wants.clone()).collect();
            for (listing, admitted) in waiting.iter_mut().zip(admitted(most, &wants)) {
                listing.admitted = Some(admitted);
            }
            let now = self.clock.now();
            let noted: Vec<_> = waiting.iter().map(|listing| self.records.put_capped(listing, now)).collect();
            futures::stream::iter(noted).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
            self.records.note_capped(org, run).await?;
        }
        let messages: Vec<ListingMessage> = waiting.iter().map(CappedListing::admitted_message).collect();
        send(&*self.queue, QueueName::Listings, &messages, Duration::ZERO).await?;
        let removed: Vec<_> = waiting.iter().map(|listing| self.records.remove_capped(listing)).collect();
        futures::stream::iter(removed).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        let taken: usize = waiting.iter().filter_map(|listing| listing.admitted).sum();
        tracing::info!(
            org.name = %org, rule.id = %run.id.rule, run.id = %run.id.run, repositories.count = waiting.len(),
            tags.admitted = taken, "listings go on that have waited for the cap of their run"
        );
        Ok(())
    }

    /// Whether nothing of a run is queued or at work but what waits.
    async fn all_wait(
        &self,
        org: &OrgName,
        run: &Run,
        waiting: &[CappedListing],
    ) -> Result<bool, EvaluateError> {
        let waiting: HashSet<_> = waiting
            .iter()
            .map(|CappedListing { message, .. }| (&message.registry, message.repository.as_ref()))
            .collect();
        let listings = self.records.listings(org, &run.id).await?;
        let mut queued = listings.iter().filter(|listing| listing.state == ListingState::Queued);
        Ok(queued.all(|listing| waiting.contains(&(&listing.registry, listing.repository.as_ref()))))
    }
}
