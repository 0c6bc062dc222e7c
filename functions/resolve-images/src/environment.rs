//! Pins an entry of an environment to the image that it means now, asked of the registry, and has that image scanned if
//! nobody has. Whether a rule chooses it does not matter: somebody has put it there.

use std::time::Duration;

use tidewatch_core::environment::{EnvironmentEntry, EnvironmentTarget, Pinned};
use tidewatch_core::image::{Image, ManifestReference};
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, Tag};
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::work::{HintMessage, Priority, RematchMessage, RematchTask, ScanMessage, Work};
use tidewatch_core::{Digest, Retry, Retryable as _, Timestamp};
use tidewatch_runtime::messages::{describe, send};
use tidewatch_store::records::{AppliedConfig, EnvironmentPlace, RecordError, TaggedImage};

use crate::hint::FALLBACK;
use crate::{MOST_FAILURES, ResolveError, ResolveImages, find_images};

/// What an entry means now.
enum Meaning {
    Image(TaggedImage, Digest),
    /// No image, because of this.
    Nothing(String),
}

impl ResolveImages {
    /// Pins the entry that `message` names, if it is still there.
    pub(crate) async fn pin(
        &self,
        message: &HintMessage,
        target: &EnvironmentTarget,
    ) -> Result<(), ResolveError> {
        let org = &message.org;
        let Some(applied) = self.records.config(org).await? else { return Ok(()) };
        let Some(entry) = self.records.environment_entry(org, target).await? else { return Ok(()) };
        // The time before the registry is asked: of two answers, the one that was asked for later is in force.
        let now = self.clock.now();
        let entry = self.records.let_former_leave(org, target, &entry, now).await?;
        if let Some(pinned) = entry.settled() {
            return self.enter_again(org, (&applied, target), &entry, pinned).await;
        }
        match self.meaning(&applied, &entry).await {
            Ok(Meaning::Image(image, resolved)) => {
                self.pin_to(message, (&applied, target), &entry, (image, resolved, now)).await
            }
            Ok(Meaning::Nothing(reason)) => self.fail(org, target, &entry, reason).await,
            Err(error) if error.retry() == Retry::Again && message.failures + 1 < MOST_FAILURES => Err(error),
            Err(error) => self.fail(org, target, &entry, describe(&error)).await,
        }
    }

    /// Does what is left to be done of an entry that an earlier delivery has pinned: a tag is pinned to what it meant then,
    /// and not to what it means now.
    async fn enter_again(
        &self,
        org: &OrgName,
        (applied, target): (&AppliedConfig, &EnvironmentTarget),
        entry: &EnvironmentEntry,
        pinned: &Pinned,
    ) -> Result<(), ResolveError> {
        let (target, image, tag) = (target.clone(), pinned.image.clone(), entry.tag());
        let place = EnvironmentPlace { target, image, tag, at: pinned.at, kept: entry.kept };
        self.records.enter_environment(org, &place).await?;
        self.complete(org, applied, &pinned.image, (entry.tag(), None)).await
    }

    async fn meaning(
        &self,
        applied: &AppliedConfig,
        entry: &EnvironmentEntry,
    ) -> Result<Meaning, ResolveError> {
        let reference = &entry.reference;
        let Some(config) = applied.config.registry(&reference.registry) else {
            return Ok(Meaning::Nothing(format!("no registry has the id {}", reference.registry)));
        };
        let registry = self.registries.open(config).await?;
        let (id, repository) = (&reference.registry, &reference.repository);
        let found = async {
            let digest = match (&reference.digest, &reference.tag) {
                (Some(digest), _) => *digest,
                (None, tag) => {
                    let tag = tag.clone().unwrap_or_else(Tag::latest);
                    registry.resolve(repository, &tag).await?
                }
            };
            let by_digest = ManifestReference::Digest(digest);
            let found = find_images(&*registry, id, repository, &by_digest, &applied.config).await?;
            Ok((found, digest))
        };
        let (found, digest) = match found.await {
            Err(RegistryError::NotFound { .. }) => {
                return Ok(Meaning::Nothing("the registry has no such image".to_owned()));
            }
            found => found?,
        };
        let skipped = found.skipped.unwrap_or_else(|| "it has none of the configured platforms".to_owned());
        let Some(mut image) = found.images.into_iter().find(|image| image.counted) else {
            return Ok(Meaning::Nothing(skipped));
        };
        if reference.digest == Some(image.digest) {
            // Attestations lie in an index, and which one it is in is not said.
            image.attestations = None;
        }
        Ok(Meaning::Image(image, digest))
    }

    async fn pin_to(
        &self,
        message: &HintMessage,
        (applied, target): (&AppliedConfig, &EnvironmentTarget),
        entry: &EnvironmentEntry,
        (found, resolved, now): (TaggedImage, Digest, Timestamp),
    ) -> Result<(), ResolveError> {
        let (org, reference) = (&message.org, &entry.reference);
        let image = Image {
            registry: reference.registry.clone(),
            repository: reference.repository.clone(),
            digest: found.digest,
            platform: found.platform,
        };
        self.records.put_repository(org, &image.registry, &image.repository).await?;
        if !self.records.pin_entry(org, target, entry, (image.clone(), resolved, now)).await? {
            // Somebody else has pinned or changed it: the message comes again.
            let what = format!("the entry {} of {}", target.entry.as_str(), target.stream);
            return Err(RecordError::Changed { what }.into());
        }
        self.complete(org, applied, &image, (entry.tag(), found.attestations)).await?;
        tracing::info!(org.name = %org, stream.name = %target.stream, image = %image, "environment entry pinned");
        Ok(())
    }

    /// Has the image scanned that nobody has scanned, and the slot judged of one whose result need not be that of every
    /// place. Its place in the repository is of no account: it was seen there before anything else, and is not counted, so
    /// that it never stands for the repository.
    async fn complete(
        &self,
        org: &OrgName,
        applied: &AppliedConfig,
        image: &Image,
        (tag, attestations): (Tag, Option<Vec<Digest>>),
    ) -> Result<(), ResolveError> {
        if let Some(stored) = self.records.result(org, &image.digest, &image.platform).await? {
            if applied.has_limited() || stored.result.is_limited {
                let task = RematchTask::Slots(vec![image.id()]);
                let message = RematchMessage::new(org.clone(), Some(task));
                send(&*self.queue, QueueName::Rematches, &[message], Duration::ZERO).await?;
            }
            // A scan finds out whether its attestations are known.
            if attestations.as_ref().is_none_or(Vec::is_empty) {
                return Ok(());
            }
        }
        let work = Work {
            image: image.clone(),
            tag,
            seen_at: Timestamp::UNIX_EPOCH,
            counted: false,
            priority: Priority::Pushed,
            read_again: false,
            run: None,
            attestations,
        };
        let due_at = self.clock.now().checked_add(FALLBACK).unwrap_or(Timestamp::MAX);
        if let Some(work) = self.records.enqueue_pushed(org, &work, due_at).await? {
            let message = ScanMessage { org: org.clone(), work };
            send(&*self.queue, QueueName::Pushed, &[message], Duration::ZERO).await?;
        }
        Ok(())
    }

    async fn fail(
        &self,
        org: &OrgName,
        target: &EnvironmentTarget,
        entry: &EnvironmentEntry,
        reason: String,
    ) -> Result<(), ResolveError> {
        tracing::warn!(
            org.name = %org, stream.name = %target.stream, image.reference = %entry.reference, error = reason,
            "environment entry cannot be pinned"
        );
        // What it is pinned to stays.
        let changed = EnvironmentEntry { problem: Some(reason), ..entry.clone() };
        Ok(self.records.change_entry(org, target, entry, &changed).await.map(drop)?)
    }

    /// Sends for the entries that follow a tag to be pinned anew. Before the tag is recorded as moved: whoever dies in
    /// between finds it moved again.
    pub(crate) async fn send_for_followers(
        &self,
        org: &OrgName,
        (registry, repository): (&RegistryId, &RepositoryName),
        tag: &Tag,
    ) -> Result<(), ResolveError> {
        let followers = self.records.followers(org, registry, repository, tag).await?;
        let message = |target| HintMessage {
            org: org.clone(),
            registry: registry.clone(),
            repository: repository.clone(),
            tag: tag.clone(),
            received_at: self.clock.now(),
            failures: 0,
            target: Some(target),
            base: None,
        };
        let messages: Vec<_> = followers.into_iter().map(message).collect();
        Ok(send(&*self.queue, QueueName::Hints, &messages, Duration::ZERO).await?)
    }
}
