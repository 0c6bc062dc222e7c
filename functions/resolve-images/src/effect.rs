//! The second part of a listing of the tags of a repository: once all of them are there, the rule decides about them
//! together, and those that it chooses take effect.

use std::collections::{BTreeSet, HashMap};

use futures::StreamExt as _;
use jiff::Timestamp;
use tidewatch_core::image::{Image, ImageId};
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::rule::{Candidate, Decision, ImageTimes, LeftOut, decide, needs_times, unused};
use tidewatch_core::work::ListingPosition;
use tidewatch_store::records::{
    CreatedTimes, Enqueued, ListingProgress, ListingState, StagedPart, StagedTag, StoredResult, TaggedImage,
};

use crate::ResolveError;
use crate::leaving::Seen;
use crate::listing::{Listing, Reached};
use crate::staging::Staging;
use crate::tag::{Resolved, Tags};

/// Of how many tags the results are read together.
const RESULTS_AT_ONCE: usize = 100;

/// The results of images, none where an image has none.
type KnownResults = HashMap<ImageId, Option<StoredResult>>;

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
        let mut staged = records.staged_tags(self.staged(repository), &staging.parts).await?;
        let before = (staged.tags.len(), staged.unchosen.len());
        staged.tags.append(&mut staging.found.tags);
        staged.unchosen.append(&mut staging.found.unchosen);
        let tags = &staged.tags;
        let decisions = self.decide(repository, tags, staging.begun_at).await?;
        let counted = staging.progress.clone();
        let mut chosen = staging.choose(&decisions, applied.is_none());
        let admitted = self.message.position.as_ref().and_then(|position| position.admitted);
        if self.rule.max_images.is_some() && admitted.is_none() {
            return self.want(repository, (staging, counted), staged, &chosen).await;
        }
        let (taken, over) = staged.order.split_at(admitted.unwrap_or(usize::MAX).min(staged.order.len()));
        let over: BTreeSet<usize> = over.iter().copied().collect();
        chosen.retain(|position| !over.contains(position));
        let taken = admitted.map(|_| taken.iter().copied().collect());
        let from = applied.unwrap_or(0).min(chosen.len());

        let basis = records.basis(self.applied, staging.begun_at).await?;
        let of_repository = self.of_repository(repository, &basis, staging.begun_at);
        let (effects, failure) =
            self.apply_all(&of_repository, tags, &chosen[from..], taken.as_ref()).await?;
        let done = from + effects.len();
        staging.note_effects(effects);
        if let Some(error) = failure {
            let found = staged.split_off(before);
            let position = self.stop_at(repository, staging, found, done).await?;
            return Ok(Reached::Interrupted(position, error));
        }
        if done < chosen.len() {
            let found = staged.split_off(before);
            return Ok(Reached::Position(self.stop_at(repository, staging, found, done).await?));
        }
        let seen = Seen { tags, decisions: &decisions, unchosen: &staged.unchosen };
        self.end(repository, staging, seen, over.len() as u64).await
    }

    /// All that the rule chooses has taken effect, but for the tags that are `over` what one run takes.
    async fn end(
        &self,
        repository: &RepositoryName,
        mut staging: Staging,
        seen: Seen<'_>,
        over: u64,
    ) -> Result<Reached, ResolveError> {
        self.keep_created(repository, seen.tags).await?;
        let earlier = || self.message.position.as_ref()?.fault.clone().map(ResolveError::Earlier);
        let is_complete = staging.fault.is_none() && staging.stopped.is_none() && earlier().is_none();
        if is_complete {
            self.let_go(repository, seen, staging.begun_at).await?;
        }
        self.resolver.records.remove_staged_tags(self.staged(repository), &staging.parts).await?;
        if over > 0 {
            staging.progress.selected -= over;
            *staging.progress.left_out.entry(LeftOut::OverCap).or_default() += over;
        }
        let state = if staging.stopped.is_some() { ListingState::Failed } else { ListingState::Done };
        let progress = ListingProgress { state, error: staging.stopped, ..staging.progress };
        staging.fault.map(ResolveError::from).or_else(earlier).map_or(Ok(Reached::End(progress)), Err)
    }

    /// What the rule says of each of all tags whose names it chooses, as of the time at which the listing began.
    pub(crate) async fn decide(
        &self,
        repository: &RepositoryName,
        tags: &[StagedTag],
        begun_at: Timestamp,
    ) -> Result<Vec<Decision>, ResolveError> {
        let candidate = |staged: &StagedTag| {
            let StagedTag { tag, digest, times, .. } = staged.clone();
            Candidate { tag, digest, times: times.unwrap_or_default() }
        };
        let candidates: Vec<Candidate> = tags.iter().map(candidate).collect();
        let mut decisions = decide(self.rule, &self.names(repository), &candidates, begun_at);
        if self.rule.unused.is_some() {
            for (staged, decision) in tags.iter().zip(&mut decisions) {
                if let Some(unused) = self.unused(repository, staged, decision, begun_at).await? {
                    *decision = unused;
                }
            }
        }
        Ok(decisions)
    }

    /// What becomes of a tag that the rule would choose by this `decision`, where nobody uses what it points to.
    async fn unused(
        &self,
        repository: &RepositoryName,
        staged: &StagedTag,
        decision: &Decision,
        begun_at: Timestamp,
    ) -> Result<Option<Decision>, ResolveError> {
        let seen_at = staged.record.as_ref().map_or(begun_at, |record| record.seen_at);
        let last_used_at = staged.times.unwrap_or_default().last_used_at(seen_at);
        let Some(decision) = unused(self.rule, decision, last_used_at, begun_at) else { return Ok(None) };
        let (records, org) = (&self.resolver.records, &self.message.org);
        for image in staged.record.iter().flat_map(|record| &record.images) {
            if records.is_in_environment(org, &self.image(repository, image)).await? {
                return Ok(None);
            }
        }
        Ok(Some(decision))
    }

    pub(crate) fn image(&self, repository: &RepositoryName, image: &TaggedImage) -> Image {
        Image {
            registry: self.message.registry.clone(),
            repository: repository.clone(),
            digest: image.digest,
            platform: image.platform.clone(),
        }
    }

    /// Stages all that there is, for another call to go on after `done` of those that were chosen.
    async fn stop_at(
        &self,
        repository: &RepositoryName,
        staging: Staging,
        found: StagedPart,
        done: usize,
    ) -> Result<ListingPosition, ResolveError> {
        let position = self.position(staging.progress, &staging.pages, staging.fault);
        let mut parts = staging.parts;
        if !found.is_empty() {
            parts.push(self.resolver.records.put_staged_tags(self.staged(repository), &found).await?);
        }
        let (begun_at, applied, stopped) = (Some(staging.begun_at), Some(done), staging.stopped);
        let admitted = self.message.position.as_ref().and_then(|position| position.admitted);
        Ok(ListingPosition { begun_at, parts, applied, admitted, stopped, ..position })
    }

    /// Lets these tags take effect, by their positions, as far as there is time; where only some are `taken`, no others are queued.
    /// Gives what became of them, and what the registry failed with after them.
    async fn apply_all(
        &self,
        of_repository: &Tags<'_>,
        tags: &[StagedTag],
        chosen: &[usize],
        taken: Option<&BTreeSet<usize>>,
    ) -> Result<(Vec<Effect>, Option<ResolveError>), ResolveError> {
        let mut effects = Vec::new();
        for part in chosen.chunks(RESULTS_AT_ONCE) {
            let known = self.known_results(part.iter().map(|position| &tags[*position])).await?;
            let before = effects.len();
            let mut applying = futures::stream::iter(part.to_vec())
                .take_while(|_| std::future::ready(self.has_time()))
                .map(|position| {
                    let is_taken = taken.is_none_or(|taken| taken.contains(&position));
                    self.apply(of_repository, &tags[position], &known, is_taken)
                })
                .buffered(self.tags_at_once());
            while let Some(effect) = applying.next().await {
                match effect {
                    Ok(effect) => effects.push(effect),
                    // Those before it have taken effect, and are not asked for again.
                    Err(error) if error.keeps_position() => return Ok((effects, Some(error))),
                    Err(error) => return Err(error),
                }
            }
            drop(applying);
            if effects.len() - before < part.len() {
                break;
            }
        }
        Ok((effects, None))
    }

    /// The results of the images behind tags that are as they were recorded, read together; without those that cannot be
    /// read.
    async fn known_results(
        &self,
        tags: impl Iterator<Item = &StagedTag>,
    ) -> Result<KnownResults, ResolveError> {
        let unmoved = tags.filter(|staged| !staged.is_changed).filter_map(|staged| staged.record.as_ref());
        let images: BTreeSet<ImageId> =
            unmoved.flat_map(|record| &record.images).map(TaggedImage::id).collect();
        let images: Vec<ImageId> = images.into_iter().collect();
        let results = self.resolver.records.results(&self.message.org, &images).await?;
        Ok(images.into_iter().zip(results).filter_map(|(image, read)| Some((image, read.ok()?))).collect())
    }

    /// Queues what needs work, and only then records the tag: a crash in between does it again.
    async fn apply(
        &self,
        tags: &Tags<'_>,
        staged: &StagedTag,
        known: &KnownResults,
        is_taken: bool,
    ) -> Result<Effect, ResolveError> {
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
        // Not recorded, it is found as it is by the next run.
        if !is_taken && resolved.changed && !resolved.record.images.is_empty() {
            return Ok(Effect::default());
        }
        let (records, org) = (tags.records, tags.org);
        let mut queued = 0;
        for image in resolved.record.images.iter().filter(|_| is_taken) {
            let run = Some(&self.message.run);
            let work = match known.get(&image.id()).filter(|_| !resolved.changed) {
                Some(stored) => tags.work_after(&resolved, image, run, stored.as_ref()).await?,
                None => tags.work(&resolved, image, run).await?,
            };
            if let Some(work) = work {
                let enqueued = records.enqueue(org, &work, self.resolver.clock.now()).await?;
                queued += u64::from(enqueued == Enqueued::New);
            }
        }
        if resolved.changed {
            let place = (tags.id, tags.repository);
            self.resolver.send_for_followers(org, place, &resolved.record.tag).await?;
        }
        tags.record(&resolved).await?;
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
        let pushed_at = staged.times.and_then(|times| times.pushed_at);
        match record {
            Some(record) => Ok(Resolved { record: record.clone(), changed: true }),
            None => Ok(tags.resolve_to(tag.clone(), (*digest, pushed_at), latest.as_ref()).await?),
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
        // What the listing has told, the next will tell again.
        let asked = |times: &ImageTimes| times.pushed_at.is_none() && times.pulled_at.is_none();
        let asked = tags.iter().filter_map(|tag| Some((tag.digest, tag.times.filter(asked)?.created_at)));
        let created: CreatedTimes = asked.collect();
        if records.created_times(listing).await? != created {
            records.put_created_times(listing, &created).await?;
        }
        Ok(())
    }
}

impl Staging {
    /// The positions of the tags that the rule chooses. Counts them, and those that it leaves out, where nobody has done so before.
    fn choose(&mut self, decisions: &[Decision], is_first: bool) -> Vec<usize> {
        let progress = &mut self.progress;
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
