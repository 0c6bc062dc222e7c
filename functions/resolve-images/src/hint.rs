//! The handler of the queue `hints`: a tag was pushed, as a registry says; an entry of an environment is to be pinned; or it is
//! asked what a tag points to that images are built on. The tag is resolved with our own credentials,
//! and what is new behind it is sent to be scanned at once, whatever the schedule.
//!
//! A push of what the tag points to already makes it newer than other tags: its work is sent too, also when the result is
//! current, so that the image's place and member get the time of the push. Our own pulls are no pushes.
//!
//! The rules of the registry decide, as for a listing: a tag that no rule chooses is not scanned. Work rows come first,
//! then the messages, then the tag: whoever dies in between leaves a hint that does the rest again, or a row that is due
//! in [`FALLBACK`].

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tidewatch_core::config::{Config, RegistryConfig, Rescan};
use tidewatch_core::manifest::is_artifact_tag;
use tidewatch_core::names::RuleId;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::rule::{RepositoryNames, select};
use tidewatch_core::work::{HintMessage, ScanMessage};
use tidewatch_core::{Retry, Retryable as _};
use tidewatch_runtime::messages::{describe, send};
use tidewatch_runtime::{Deadline, HandlerError, MessageHandler};

use crate::tag::Tags;
use crate::{LONGEST_THROTTLED, MOST_FAILURES, ResolveError, ResolveImages};

/// When pushed work is due in case its message is lost: longer than any scan takes, as for dispatched work.
pub(crate) const FALLBACK: Duration = Duration::from_secs(20 * 60);

/// Resolves tags that were pushed: reads the queue `hints`, sends to `pushed`, and to `hints` what is to be tried again.
#[derive(Clone)]
pub struct ResolveHints(ResolveImages);

impl ResolveHints {
    /// A resolver on the ports of `images`, with its pauses.
    pub const fn new(images: ResolveImages) -> Self {
        Self(images)
    }

    async fn handle_hint(&self, message: &HintMessage) -> Result<(), ResolveError> {
        let outcome = match (&message.target, &message.base) {
            (Some(target), _) => self.0.pin(message, target).await,
            (None, Some(base)) => self.0.resolve_base(message, base).await,
            (None, None) => self.resolve_push(message).await,
        };
        match outcome {
            // What the registry does has tries of its own; what cannot pass is not worth any.
            Err(error) if error.is_of_registry() || error.retry() == Retry::Never => {
                self.note_failure(message, &error).await
            }
            outcome => outcome,
        }
    }

    async fn resolve_push(&self, message: &HintMessage) -> Result<(), ResolveError> {
        let HintMessage { org, registry: id, repository, tag, received_at, .. } = message;
        let records = &self.0.records;
        let Some(applied) = records.config(org).await? else { return Ok(()) };
        let Some(config) = applied.config.registry(id) else { return Ok(()) };
        let rules = choosing(&applied.config, config, message);
        if rules.is_empty() {
            tracing::debug!(org.name = %org, registry.id = %id, %repository, %tag, "push ignored: no rule chooses it");
            return Ok(());
        }
        let registry = self.0.registries.open(config).await?;
        let basis = records.basis(&applied, self.0.clock.now()).await?;
        let known = records.tag(org, id, repository, tag).await?;
        let tags = Tags {
            records,
            registry: &*registry,
            org,
            id,
            repository,
            applied: &applied,
            basis: &basis,
            seen_at: *received_at,
            pushed: true,
            rules: &rules,
            rescan: Rescan::OnAdvisory,
        };
        let resolved = match tags.resolve(tag.clone(), known.as_ref()).await {
            // It was deleted since it was pushed.
            Err(RegistryError::NotFound { .. }) => return Ok(()),
            resolved => resolved?,
        };
        // Only now: what a hint says is in the registry need not be there.
        records.put_repository(org, id, repository).await?;
        let due_at = self.0.clock.now().checked_add(FALLBACK).unwrap_or(Timestamp::MAX);
        let mut messages = Vec::new();
        for image in &resolved.record.images {
            let Some(work) = tags.work(&resolved, image, None).await? else { continue };
            let sent = records.enqueue_pushed(org, &work, due_at).await?;
            messages.extend(sent.map(|work| ScanMessage { org: org.clone(), work }));
        }
        send(&*self.0.queue, QueueName::Pushed, &messages, Duration::ZERO).await?;
        if resolved.changed {
            self.0.send_for_followers(org, (id, repository), tag).await?;
        }
        tags.record(&resolved).await?;
        tracing::info!(
            org.name = %org, registry.id = %id, %repository, %tag, push.images = messages.len(), "push resolved"
        );
        Ok(())
    }

    /// A hint that is worth trying again is sent again, later; for one that is not, or has failed too often, the rules
    /// find the tag when they next list. That its registry throttles is no failure, for a day.
    async fn note_failure(&self, message: &HintMessage, error: &ResolveError) -> Result<(), ResolveError> {
        let waited = self.0.clock.now().duration_since(message.received_at);
        let is_throttled = error.is_throttling() && waited < LONGEST_THROTTLED;
        let failures = message.failures + u32::from(!is_throttled);
        let again = error.retry() == Retry::Again && failures < MOST_FAILURES;
        tracing::warn!(
            org.name = %message.org, registry.id = %message.registry, repository = %message.repository,
            tag = %message.tag, retry = again, hint.failures = failures, error = describe(error),
            "tag cannot be resolved"
        );
        if again {
            let retry = HintMessage { failures, ..message.clone() };
            let pause =
                if is_throttled { self.0.throttled_pause(waited, error) } else { self.0.pause(failures) };
            send(&*self.0.queue, QueueName::Hints, &[retry], pause).await?;
        }
        Ok(())
    }
}

/// The rules of the registry whose listings would choose what `message` names. What was pushed just now is as young as can be,
/// and the newest of its repository: names decide alone.
fn choosing(config: &Config, registry: &RegistryConfig, message: &HintMessage) -> Vec<RuleId> {
    let HintMessage { repository, tag, .. } = message;
    let names = RepositoryNames::of(registry.kind, repository);
    let is_listed = registry.repositories.is_empty() || registry.repositories.contains(repository);
    if !is_listed || is_artifact_tag(tag) {
        return Vec::new();
    }
    let rules = config.rules.iter().filter(|rule| rule.registries.contains(&registry.id));
    rules.filter(|rule| select(rule, &names, tag).is_selected()).map(|rule| rule.id.clone()).collect()
}

#[async_trait]
impl MessageHandler for ResolveHints {
    type Message = HintMessage;

    async fn handle(&self, message: HintMessage, _deadline: Deadline) -> Result<(), HandlerError> {
        self.handle_hint(&message).await.map_err(HandlerError::new)
    }
}
