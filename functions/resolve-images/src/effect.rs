//! The second part of a listing of the tags of a repository: once all of them are there, the rule decides about them
//! together, and those that it chooses take effect.

use futures::StreamExt as _;
use jiff::Timestamp;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::rule::{Candidate, Decision, decide, needs_times};
use tidewatch_core::work::ListingPosition;
use tidewatch_store::records::{CreatedTimes, Enqueued, ListingProgress, ListingState, StagedTag};

use crate::ResolveError;
use crate::listing::{Listing, Reached};
use crate::staging::Staging;
use crate::tag::{Resolved, Tags};

/// What became of a tag that the rule chooses.
#[derive(Default)]
struct Effect {
    /// Images that got a work row.
    queued: u64,
    /// Whether the tag has no image to scan.
    skipped: bool,
    /// What is wrong with what the registry gave for it.
    fault: Option<RegistryError>,
}

impl Listing<'_> {
    /// Lets what the rule chooses of all that was listed take effect, after as many as have already. Decided once more, it is
    /// decided alike: by what was staged, as of the time at which the listing began.
    pub(crate) async fn take_effect(
        &self,
        repository: &RepositoryName,
        mut staging: Staging,
        applied: Option<usize>,
    ) -> Result<Reached, ResolveError> {
        let records = &self.resolver.records;
        let mut tags = records.staged_tags(self.staged(repository), &staging.parts).await?;
        let before = tags.len();
        tags.append(&mut staging.tags);
        let chosen = self.choose(repository, &tags, &mut staging, applied.is_none());
        let from = applied.unwrap_or(0).min(chosen.len());

        let basis = records.basis(self.applied, staging.begun_at).await?;
        let of_repository = self.of_repository(repository, &basis, staging.begun_at);
        let mut applying = futures::stream::iter(chosen[from..].to_vec())
            .take_while(|_| std::future::ready(self.has_time()))
            .map(|position| self.apply(&of_repository, &tags[position]))
            .buffered(self.tags_at_once());
        let (mut effects, mut failure) = (Vec::new(), None);
        while let Some(effect) = applying.next().await {
            match effect {
                Ok(effect) => effects.push(effect),
                // Those before it have taken effect, and are not asked for again.
                Err(error) if error.keeps_position() => {
                    failure = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        drop(applying);
        let done = from + effects.len();
        staging.note_effects(effects);
        if let Some(error) = failure {
            let position = self.stop_at(repository, staging, &tags[before..], done).await?;
            return Ok(Reached::Interrupted(position, error));
        }
        if done < chosen.len() {
            return Ok(Reached::Position(self.stop_at(repository, staging, &tags[before..], done).await?));
        }
        self.keep_created(repository, &tags).await?;
        records.remove_staged_tags(self.staged(repository), &staging.parts).await?;
        let earlier = || self.message.position.as_ref()?.fault.clone().map(ResolveError::Earlier);
        let state = if staging.stopped.is_some() { ListingState::Failed } else { ListingState::Done };
        let progress = ListingProgress { state, error: staging.stopped, ..staging.progress };
        staging.fault.map(ResolveError::from).or_else(earlier).map_or(Ok(Reached::End(progress)), Err)
    }

    /// What the rule says of each of all tags whose names it chooses, as of the time at which the listing began.
    pub(crate) fn decide(
        &self,
        repository: &RepositoryName,
        tags: &[StagedTag],
        begun_at: Timestamp,
    ) -> Vec<Decision> {
        let candidate = |staged: &StagedTag| {
            let StagedTag { tag, digest, times, .. } = staged.clone();
            Candidate { tag, digest, times: times.unwrap_or_default() }
        };
        let candidates: Vec<Candidate> = tags.iter().map(candidate).collect();
        decide(self.rule, repository, &candidates, begun_at)
    }

    /// The positions of the tags that the rule chooses. Counts them, and those that it leaves out, where nobody has done so before.
    fn choose(
        &self,
        repository: &RepositoryName,
        tags: &[StagedTag],
        staging: &mut Staging,
        is_first: bool,
    ) -> Vec<usize> {
        let decisions = self.decide(repository, tags, staging.begun_at);
        let progress = &mut staging.progress;
        let mut chosen = Vec::new();
        for (position, decision) in decisions.iter().enumerate() {
            match decision.left_out() {
                None => chosen.push(position),
                Some(reason) if is_first => *progress.left_out.entry(reason).or_default() += 1,
                Some(_) => {}
            }
        }
        if is_first {
            progress.selected += chosen.len() as u64;
        }
        chosen
    }

    /// Stages all that there is, for another call to go on after `done` of those that were chosen.
    async fn stop_at(
        &self,
        repository: &RepositoryName,
        staging: Staging,
        found: &[StagedTag],
        done: usize,
    ) -> Result<ListingPosition, ResolveError> {
        let position = self.position(staging.progress, &staging.pages, staging.fault);
        let mut parts = staging.parts;
        if !found.is_empty() {
            parts.push(self.resolver.records.put_staged_tags(self.staged(repository), found).await?);
        }
        let (begun_at, applied, stopped) = (Some(staging.begun_at), Some(done), staging.stopped);
        Ok(ListingPosition { begun_at, parts, applied, stopped, ..position })
    }

    /// Queues what needs work, and only then records the tag: a crash in between does it again.
    async fn apply(&self, tags: &Tags<'_>, staged: &StagedTag) -> Result<Effect, ResolveError> {
        let resolved = match self.resolved(tags, staged).await {
            // It was deleted since it was listed.
            Err(ResolveError::Registry(RegistryError::NotFound { .. })) => {
                return Ok(Effect { skipped: true, ..Effect::default() });
            }
            Err(ResolveError::Registry(error @ RegistryError::Invalid { .. })) => {
                return Ok(Effect { skipped: true, fault: Some(error), ..Effect::default() });
            }
            resolved => resolved?,
        };
        let (records, org) = (tags.records, tags.org);
        let mut queued = 0;
        for image in &resolved.record.images {
            if let Some(work) = tags.work(&resolved, image, Some(&self.message.run)).await? {
                let enqueued = records.enqueue(org, &work, self.resolver.clock.now()).await?;
                queued += u64::from(enqueued == Enqueued::New);
            }
        }
        if resolved.changed {
            let place = (tags.id, tags.repository);
            self.resolver.send_for_followers(org, place, &resolved.record.tag).await?;
            records.put_tag(org, tags.id, tags.repository, &resolved.record).await?;
        }
        Ok(Effect { queued, skipped: resolved.record.images.is_empty(), fault: None })
    }

    /// What a tag points to, as it was staged. A tag whose push was resolved since it was looked up keeps the time of the
    /// push.
    pub(crate) async fn resolved(
        &self,
        tags: &Tags<'_>,
        staged: &StagedTag,
    ) -> Result<Resolved, ResolveError> {
        let StagedTag { tag, digest, record, is_changed, known, .. } = staged;
        if let Some(record) = record.as_ref().filter(|_| !is_changed) {
            return Ok(Resolved { record: record.clone(), changed: false });
        }
        let latest = tags.records.tag(tags.org, tags.id, tags.repository, tag).await?;
        if latest.as_ref().map(|latest| (latest.digest, latest.seen_at)) != *known {
            return Ok(tags.resolve(tag.clone(), latest.as_ref()).await?);
        }
        match record {
            Some(record) => Ok(Resolved { record: record.clone(), changed: true }),
            None => Ok(tags.resolve_to(tag.clone(), *digest, latest.as_ref()).await?),
        }
    }

    /// Keeps when images were made, of all that the rule looked at the age of: whoever lists next asks no registry for it.
    async fn keep_created(
        &self,
        repository: &RepositoryName,
        tags: &[StagedTag],
    ) -> Result<(), ResolveError> {
        if !needs_times(self.rule) {
            return Ok(());
        }
        let (records, listing) = (&self.resolver.records, self.staged(repository));
        let created: CreatedTimes =
            tags.iter().filter_map(|tag| Some((tag.digest, tag.times?.created_at))).collect();
        if records.created_times(listing).await? != created {
            records.put_created_times(listing, &created).await?;
        }
        Ok(())
    }
}

impl Staging {
    fn note_effects(&mut self, effects: Vec<Effect>) {
        for Effect { queued, skipped, fault } in effects {
            self.progress.queued += queued;
            self.progress.skipped += u64::from(skipped);
            if self.fault.is_none() {
                self.fault = fault;
            }
        }
    }
}
