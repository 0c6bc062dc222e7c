//! The caps of runs: once every repository of a run has said what it wants, each is told how much of that it gets.

use std::time::Duration;

use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::rule::{Wants, admitted};
use tidewatch_core::work::{ListingMessage, ListingPosition};
use tidewatch_runtime::messages::send;
use tidewatch_store::records::{CappedListing, ListingState, Run};

use crate::{EvaluateError, EvaluateRules};

/// How many of the latest runs of a rule are looked at.
const RUNS: usize = 3;

impl EvaluateRules {
    /// Lets the listings of an organisation go on that wait for the others of their runs.
    pub async fn apply_caps(&self, org: &OrgName) -> Result<(), EvaluateError> {
        let Some(applied) = self.records.config(org).await? else { return Ok(()) };
        for rule in &applied.config.rules {
            self.apply_cap(org, rule).await?;
        }
        Ok(())
    }

    /// The same of one rule.
    pub(crate) async fn apply_cap(&self, org: &OrgName, rule: &RuleConfig) -> Result<(), EvaluateError> {
        let Some(most) = rule.max_images else { return Ok(()) };
        for run in self.records.runs(org, &rule.id, RUNS).await? {
            if run.end.is_none() {
                self.apply_cap_of(org, &run, most.get()).await?;
            }
        }
        Ok(())
    }

    /// What is sent twice does the same; only who comes when all was sent gets nothing of this run.
    async fn apply_cap_of(&self, org: &OrgName, run: &Run, most: u64) -> Result<(), EvaluateError> {
        let waiting = self.records.capped(org, &run.id).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let listings = self.records.listings(org, &run.id).await?;
        let queued = listings.iter().filter(|listing| listing.state == ListingState::Queued);
        // Those that wait are queued themselves.
        if queued.count() > waiting.len() {
            return Ok(());
        }
        let most = if run.is_capped { 0 } else { most };
        let wants: Vec<Vec<Wants>> = waiting.iter().map(|listing| listing.wants.clone()).collect();
        let admitted = admitted(most, &wants);
        let messages: Vec<ListingMessage> = waiting
            .iter()
            .zip(&admitted)
            .map(|(CappedListing { message, .. }, admitted)| {
                let position = message.position.clone().unwrap_or_default();
                let position = ListingPosition { admitted: Some(*admitted), ..position };
                ListingMessage { position: Some(position), ..message.clone() }
            })
            .collect();
        send(&*self.queue, QueueName::Listings, &messages, Duration::ZERO).await?;
        self.records.note_capped(org, run).await?;
        for listing in &waiting {
            self.records.remove_capped(listing).await?;
        }
        let taken: usize = admitted.iter().sum();
        tracing::info!(
            org.name = %org, rule.id = %run.id.rule, run.id = %run.id.run, repositories.count = waiting.len(),
            tags.admitted = taken, "run has reached its cap or its end"
        );
        Ok(())
    }
}
