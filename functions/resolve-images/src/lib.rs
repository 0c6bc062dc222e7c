//! The function `resolve-images`: reads the queue `listings`, lists the repositories of a registry or the tags of one
//! repository, applies the rule, and writes a work row for each image that needs one. From the queue `hints` it reads of
//! single tags that were pushed, of entries of environments, and of tags that images are built on ([`ResolveHints`]).
//!
//! It never pulls a layer. A tag that points to what it pointed to at the last listing costs one HEAD request; an image
//! whose result is current costs no work at all. A listing that fails removes nothing. One that takes longer than the
//! function has, or whose registry throttles, goes on with another message.

mod base;
mod cap;
mod created;
mod effect;
mod environment;
mod hint;
mod images;
mod leaving;
mod listing;
mod pages;
mod preview;
mod repositories;
mod slot;
mod staging;
mod tag;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName};
use tidewatch_core::ports::queue::{QueueError, QueueName};
use tidewatch_core::ports::registry::{RegistryError, Throttling};
use tidewatch_core::ports::{Clock, QueueSender, Registries};
use tidewatch_core::work::{ListingMessage, ListingPosition};
use tidewatch_core::{Retry, Retryable};
use tidewatch_runtime::messages::{describe, send};
use tidewatch_runtime::{Deadline, HandlerError, MessageHandler};
use tidewatch_store::records::{
    AppliedConfig, BROKEN_OFF, ListingProgress, ListingState, RecordError, Records,
};

use listing::{Listing, Reached, rule_fingerprint};

pub use hint::ResolveHints;
pub use images::{Found, find_images};
pub use preview::{Measure, PreviewedImage, PreviewedTag, RepositoryPreview, Verdict, apply_cap};

/// How often a listing, or a hint, is tried before it is recorded as failed, or left.
const MOST_FAILURES: u32 = 5;

/// How long a listing, or a hint, is put off in all because its registry throttles, before it is recorded as failed, or
/// left: a day, after which rules list anew.
const LONGEST_THROTTLED: SignedDuration = SignedDuration::from_hours(24);

/// The longest pause of one that is put off without the registry saying for how long.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// A listing could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The registry did not give it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A record could not be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A message could not be sent.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The registry gave something wrong in an earlier part of the listing, as it says.
    #[error("{0}")]
    Earlier(String),
    /// The registry gave nothing in the time of the function.
    #[error("failed to list anything before the time of the function ended")]
    OutOfTime,
}

impl Retryable for ResolveError {
    fn retry(&self) -> Retry {
        match self {
            Self::Registry(error) => error.retry(),
            Self::Record(error) => error.retry(),
            Self::Queue(error) => error.retry(),
            Self::Earlier(_) | Self::OutOfTime => Retry::Again,
        }
    }
}

impl ResolveError {
    const fn is_of_registry(&self) -> bool {
        matches!(self, Self::Registry(_) | Self::Earlier(_) | Self::OutOfTime)
    }

    /// Whether the registry throttles. That is no failure: nothing is wrong, and it passes.
    const fn is_throttling(&self) -> bool {
        matches!(self, Self::Registry(RegistryError::Throttled { .. }))
    }

    /// Whether it says nothing about the place in the listing. Registries may forget the places that they gave, and the
    /// error about that can be any: after others it begins anew.
    const fn keeps_position(&self) -> bool {
        matches!(
            self,
            Self::Registry(RegistryError::Unavailable { .. } | RegistryError::Throttled { .. })
                | Self::OutOfTime
        )
    }
}

/// The listing that `message` asks for, failed for `reason`.
fn failed(message: &ListingMessage, reason: String) -> ListingProgress {
    let progress = ListingProgress::queued(message.registry.clone(), message.repository.clone());
    ListingProgress { state: ListingState::Failed, error: Some(reason), ..progress }
}

/// The message, which begins anew when it was to go on with another rule: what it has counted and staged would be decided
/// about otherwise.
fn anew_for(message: &ListingMessage, rule: &RuleConfig, applied: &AppliedConfig) -> ListingMessage {
    let of_rule = |position: &ListingPosition| {
        position.rule.is_none_or(|known| known == rule_fingerprint(rule, applied))
    };
    let position = message.position.clone().filter(of_rule);
    ListingMessage { position, ..message.clone() }
}

/// Lists registries and repositories for runs.
#[derive(Clone)]
pub struct ResolveImages {
    records: Records,
    registries: Arc<dyn Registries>,
    queue: Arc<dyn QueueSender>,
    clock: Arc<dyn Clock>,
    /// The pause before a failed listing is tried again; doubles with each failure.
    retry_pause: Duration,
}

impl ResolveImages {
    /// A resolver on these ports, which waits `retry_pause` before it tries a failed listing again, and twice as long
    /// each time after.
    pub fn new(
        records: Records,
        registries: Arc<dyn Registries>,
        queue: Arc<dyn QueueSender>,
        clock: Arc<dyn Clock>,
        retry_pause: Duration,
    ) -> Self {
        Self { records, registries, queue, clock, retry_pause }
    }

    async fn handle_listing(&self, message: &ListingMessage, deadline: Deadline) -> Result<(), ResolveError> {
        match self.list(message, deadline).await {
            Ok(None | Some(Reached::Waiting)) => Ok(()),
            Ok(Some(Reached::End(progress))) => self.record(message, &progress).await,
            Ok(Some(Reached::NotMade(reason))) => self.record_unless_ended(message, reason).await,
            Ok(Some(Reached::Position(position))) => self.go_on(message, position).await,
            Ok(Some(Reached::Interrupted(position, error))) => {
                let message = ListingMessage { position: Some(position), ..message.clone() };
                self.note_failure(&message, &error).await
            }
            // What the registry does has tries of its own; what cannot pass must not stay queued for ever.
            Err(error) if error.is_of_registry() || error.retry() == Retry::Never => {
                self.note_failure(message, &error).await
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the listing; `None` when the organisation is not there any more.
    async fn list(
        &self,
        message: &ListingMessage,
        deadline: Deadline,
    ) -> Result<Option<Reached>, ResolveError> {
        let Some(applied) = self.records.config(&message.org).await? else { return Ok(None) };
        let (rule, registry) =
            (applied.config.rule(&message.run.rule), applied.config.registry(&message.registry));
        let (Some(rule), Some(registry)) = (rule, registry) else {
            let reason = "the rule or the registry is not in the configuration any more";
            return Ok(Some(Reached::NotMade(reason)));
        };
        if self.records.held_until(&message.org, rule, self.clock.now()).await?.is_some() {
            return Ok(Some(Reached::NotMade(BROKEN_OFF)));
        }
        let message = &anew_for(message, rule, &applied);
        let registry = self.registries.open(registry).await?;
        let (registry, applied) = (&*registry, &applied);
        let listing = Listing { resolver: self, registry, message, rule, applied, deadline };
        let reached = match &message.repository {
            None => listing.list_repositories().await,
            Some(repository) => listing.list_tags(repository).await,
        };
        reached.map(Some)
    }

    /// Sends for the rest of the listing: that is no failure, unless nothing at all was listed.
    async fn go_on(&self, message: &ListingMessage, position: ListingPosition) -> Result<(), ResolveError> {
        let before = message.position.clone().unwrap_or_default();
        let (begun_at, rule) = (position.begun_at, position.rule);
        if position == (ListingPosition { begun_at, rule, ..before }) {
            return self.note_failure(message, &ResolveError::OutOfTime).await;
        }
        let rest = ListingMessage { position: Some(position), ..message.clone() };
        Ok(send(&*self.queue, QueueName::Listings, &[rest], Duration::ZERO).await?)
    }

    async fn record(&self, message: &ListingMessage, progress: &ListingProgress) -> Result<(), ResolveError> {
        Ok(self.records.put_listing(&message.org, &message.run, progress, self.clock.now()).await?)
    }

    /// Records that a listing was not made, unless it was: a message may come twice, and the second time too late.
    async fn record_unless_ended(
        &self,
        message: &ListingMessage,
        reason: &'static str,
    ) -> Result<(), ResolveError> {
        let ListingMessage { org, run, registry, repository, .. } = message;
        let known = self.records.listing(org, run, registry, repository.as_ref()).await?;
        if known.is_some_and(|known| known.state != ListingState::Queued) {
            return Ok(());
        }
        self.record(message, &failed(message, reason.to_owned())).await
    }

    /// Puts a listing off that is throttled, for as long as that takes, up to [`LONGEST_THROTTLED`]; its place is kept.
    async fn put_off(&self, message: &ListingMessage, error: &ResolveError) -> Result<(), ResolveError> {
        let ListingMessage { org, run, registry, repository, .. } = message;
        let (now, text) = (self.clock.now(), describe(error));
        let listing = (registry, repository.as_ref());
        let known = self.records.listing(org, run, registry, repository.as_ref()).await?;
        let since = known.and_then(|known| known.put_off).map_or(now, |put_off| put_off.since);
        let waited = now.duration_since(since);
        if waited >= LONGEST_THROTTLED {
            let reason = format!("its registry throttled it for {} hours: {text}", waited.as_hours());
            return self.record(message, &failed(message, reason)).await;
        }
        let pause = self.throttled_pause(waited, error);
        let until = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        if self.records.put_off_listing(org, run, listing, (until, &text), now).await?.is_none() {
            return Ok(());
        }
        tracing::info!(
            org.name = %org, registry.id = %registry, pause.seconds = pause.as_secs(), error = text,
            "listing put off"
        );
        let position = ListingPosition { throttled: true, ..message.position.clone().unwrap_or_default() };
        let rest = ListingMessage { position: Some(position), ..message.clone() };
        Ok(send(&*self.queue, QueueName::Listings, &[rest], pause).await?)
    }

    /// How long to wait for a registry that throttles, after so long: as long as it says, within what a queue can wait; else
    /// as long again. Where a budget is used up, others wait for the next request as well.
    fn throttled_pause(&self, waited: SignedDuration, error: &ResolveError) -> Duration {
        let growing = waited.unsigned_abs().clamp(self.retry_pause, LONGEST_PAUSE.max(self.retry_pause));
        let pause = match error {
            ResolveError::Registry(RegistryError::Throttled {
                retry_after, by: Throttling::Budget, ..
            }) => growing.max(retry_after.unwrap_or_default()),
            ResolveError::Registry(RegistryError::Throttled { retry_after: Some(pause), .. }) => {
                (*pause).max(self.retry_pause)
            }
            _ => growing,
        };
        pause.min(tidewatch_core::ports::queue::MAX_DELAY)
    }

    /// A listing that is worth trying again is sent again, later; one that is not, or has failed too often, is recorded.
    async fn note_failure(&self, message: &ListingMessage, error: &ResolveError) -> Result<(), ResolveError> {
        if error.is_throttling() {
            return self.put_off(message, error).await;
        }
        let failures = message.failures + 1;
        let text = describe(error);
        let position = message.position.clone().filter(|_| error.keeps_position());
        let begins_anew = position != message.position;
        let again = (error.retry() == Retry::Again || begins_anew) && failures < MOST_FAILURES;
        tracing::warn!(
            org.name = %message.org, registry.id = %message.registry, retry = again, listing.failures = failures,
            error = text, "listing failed"
        );
        if again {
            let pause = self.pause(failures);
            let retry = ListingMessage { failures, position, ..message.clone() };
            return Ok(send(&*self.queue, QueueName::Listings, &[retry], pause).await?);
        }
        self.record(message, &failed(message, text)).await
    }

    fn pause(&self, failures: u32) -> Duration {
        let backoff = self.retry_pause.saturating_mul(1 << failures.saturating_sub(1).min(16));
        backoff.min(tidewatch_core::ports::queue::MAX_DELAY)
    }

    /// Sends for the tags of these repositories, which the registry does (not) name where it lists them.
    async fn send_for(
        &self,
        message: &ListingMessage,
        repositories: &[RepositoryName],
        unlisted: bool,
    ) -> Result<(), ResolveError> {
        let (org, registry): (&OrgName, &RegistryId) = (&message.org, &message.registry);
        self.records.put_repositories(org, registry, repositories).await?;
        let now = self.clock.now();
        self.records.put_listings_sent(org, &message.run, registry, repositories, now).await?;
        let of = |repository: &RepositoryName| ListingMessage {
            repository: Some(repository.clone()),
            unlisted,
            failures: 0,
            position: None,
            ..message.clone()
        };
        let messages: Vec<ListingMessage> = repositories.iter().map(of).collect();
        Ok(send(&*self.queue, QueueName::Listings, &messages, Duration::ZERO).await?)
    }
}

#[async_trait]
impl MessageHandler for ResolveImages {
    type Message = ListingMessage;

    async fn handle(&self, message: ListingMessage, deadline: Deadline) -> Result<(), HandlerError> {
        self.handle_listing(&message, deadline).await.map_err(HandlerError::new)
    }
}
