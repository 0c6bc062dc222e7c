//! One listing: of the repositories of a registry, or of the tags of one repository.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use tidewatch_core::config::RuleConfig;
use tidewatch_core::manifest::is_artifact_tag;
use tidewatch_core::names::{RepositoryName, Tag};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::rule::select;
use tidewatch_core::work::{ListingMessage, ListingPosition};
use tidewatch_runtime::Deadline;
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{AppliedConfig, Enqueued, ListingProgress, ListingState, TagRecord};

use crate::pages::{Endless, Pages, Turned, limit};
use crate::tag::{Resolved, Tags};
use crate::{ResolveError, ResolveImages};

/// How many tags of a repository are resolved at the same time.
const TAGS_AT_ONCE: usize = 8;

/// How many repositories are sent for before the time is looked at.
const REPOSITORIES_AT_ONCE: usize = 100;

/// How long before the end of the function nothing more is begun.
const STOP: Duration = Duration::from_secs(60);

pub(crate) struct Listing<'a> {
    pub(crate) resolver: &'a ResolveImages,
    pub(crate) registry: &'a dyn Registry,
    pub(crate) message: &'a ListingMessage,
    pub(crate) rule: &'a RuleConfig,
    pub(crate) applied: &'a AppliedConfig,
    pub(crate) deadline: Deadline,
}

/// How far a listing came.
pub(crate) enum Reached {
    /// Its end, with this to record.
    End(ListingProgress),
    /// Not its end, but that of the time: it goes on here.
    Position(ListingPosition),
}

/// What became of one tag.
#[derive(Default)]
struct Outcome {
    /// Whether the rule chooses it.
    selected: bool,
    /// Images that got a work row.
    queued: u64,
    /// Whether the tag has no image to scan.
    skipped: bool,
    /// What is wrong with what the registry gave for it.
    fault: Option<RegistryError>,
}

impl Outcome {
    const fn skipped(fault: Option<RegistryError>) -> Self {
        Self { selected: true, queued: 0, skipped: true, fault }
    }
}

/// The listing as far as it came. Trying again would only come this far again.
fn stopped(progress: ListingProgress, endless: &Endless) -> Reached {
    let (state, error) = (ListingState::Failed, Some(endless.to_string()));
    Reached::End(ListingProgress { state, error, ..progress })
}

impl Listing<'_> {
    /// Lists the repositories of the registry, and sends for the tags of each that the rule could match. A listing
    /// without an end fails; what was sent for before stays.
    pub(crate) async fn repositories(&self) -> Result<Reached, ResolveError> {
        let (mut progress, mut pages) = self.begin();
        loop {
            if !self.has_time() {
                return Ok(self.reached(progress, &pages, None));
            }
            let page = self.registry.repositories(pages.cursor()).await?;
            for repositories in pages.left(page.entries, RepositoryName::as_str).chunks(REPOSITORIES_AT_ONCE)
            {
                if !self.has_time() {
                    return Ok(self.reached(progress, &pages, None));
                }
                let wanted: Vec<RepositoryName> =
                    repositories.iter().filter(|repository| self.may_match(repository)).cloned().collect();
                self.resolver.send_for(self.message, &wanted).await?;
                progress.listed += repositories.len() as u64;
                progress.selected += wanted.len() as u64;
                repositories.iter().last().inspect(|last| pages.done_with(last.as_str()));
            }
            match pages.turn(page.next, progress.listed) {
                Ok(Turned::Next) => {}
                Ok(Turned::End) => break,
                Err(endless) => return Ok(stopped(progress, &endless)),
            }
        }
        progress.state = ListingState::Done;
        Ok(Reached::End(progress))
    }

    fn may_match(&self, repository: &RepositoryName) -> bool {
        self.rule.include.is_empty()
            || self.rule.include.iter().any(|pattern| pattern.may_match_repository(repository))
    }

    /// Lists the tags of a repository, and queues the images behind those that the rule chooses. A wrong answer about
    /// one tag fails the listing, but only after all other tags: it holds none of them up. A listing without an end fails;
    /// what was queued before stays.
    pub(crate) async fn tags(&self, repository: &RepositoryName) -> Result<Reached, ResolveError> {
        let (mut progress, mut pages) = self.begin();
        let records = &self.resolver.records;
        let known = records.tags(&self.message.org, &self.message.registry, repository).await?;
        let known: BTreeMap<&Tag, &TagRecord> = known.iter().map(|record| (&record.tag, record)).collect();
        let begun_at = self.resolver.clock.now();
        let basis = records.basis(self.applied, begun_at).await?;
        let mut fault = None;
        loop {
            if !self.has_time() {
                return Ok(self.reached(progress, &pages, fault));
            }
            let page = self.registry.tags(repository, pages.cursor()).await?;
            let tags = pages.left(page.entries, Tag::as_str);
            let of_repository = Tags {
                records,
                registry: self.registry,
                org: &self.message.org,
                id: &self.message.registry,
                repository,
                applied: self.applied,
                basis: &basis,
                // Others are pushed while a listing goes on. Of a repository without any known, all are seen at the same
                // time: which of them is the newest, their creation says, and not the page.
                seen_at: if known.is_empty() { begun_at } else { self.resolver.clock.now() },
                pushed: false,
            };
            let outcomes: Vec<Outcome> = futures::stream::iter(tags.clone())
                // Those that are begun are ended, so what was taken is what is done with.
                .take_while(|_| std::future::ready(self.has_time()))
                .map(|tag| {
                    let known = known.get(&tag).copied();
                    self.tag(&of_repository, tag, known)
                })
                .buffer_unordered(TAGS_AT_ONCE)
                .try_collect()
                .await?;
            let done = outcomes.len();
            tags[..done].last().inspect(|last| pages.done_with(last.as_str()));
            progress.listed += done as u64;
            progress.selected += outcomes.iter().filter(|outcome| outcome.selected).count() as u64;
            progress.queued += outcomes.iter().map(|outcome| outcome.queued).sum::<u64>();
            progress.skipped += outcomes.iter().filter(|outcome| outcome.skipped).count() as u64;
            fault = fault.or_else(|| outcomes.into_iter().find_map(|outcome| outcome.fault));
            if done < tags.len() {
                return Ok(self.reached(progress, &pages, fault));
            }
            match pages.turn(page.next, progress.listed) {
                Ok(Turned::Next) => {}
                Ok(Turned::End) => break,
                Err(endless) => return Ok(stopped(progress, &endless)),
            }
        }
        progress.state = ListingState::Done;
        let earlier = || self.message.position.as_ref()?.fault.clone().map(ResolveError::Earlier);
        fault.map(ResolveError::from).or_else(earlier).map_or(Ok(Reached::End(progress)), Err)
    }

    /// What was found before, and where to go on.
    fn begin(&self) -> (ListingProgress, Pages) {
        let ListingMessage { registry, repository, position, .. } = self.message;
        let progress = ListingProgress::queued(registry.clone(), repository.clone());
        let Some(ListingPosition { listed, selected, skipped, queued, .. }) = *position else {
            return (progress, Pages::default());
        };
        let pages = position.as_ref().map(Pages::at).unwrap_or_default();
        (ListingProgress { listed, selected, skipped, queued, ..progress }, pages)
    }

    fn has_time(&self) -> bool {
        !self.deadline.remaining(self.resolver.clock.now(), STOP).is_zero()
    }

    /// The place to go on at, unless the listing has been going on for too long.
    fn reached(&self, progress: ListingProgress, pages: &Pages, fault: Option<RegistryError>) -> Reached {
        if let Err(endless) = limit(progress.listed) {
            return stopped(progress, &endless);
        }
        let earlier = || self.message.position.as_ref()?.fault.clone();
        Reached::Position(ListingPosition {
            listed: progress.listed,
            selected: progress.selected,
            skipped: progress.skipped,
            queued: progress.queued,
            fault: fault.map(|fault| describe(&fault)).or_else(earlier),
            ..pages.position()
        })
    }

    /// What a tag points to now. What is known was read when the listing began: a tag whose push was resolved since then
    /// keeps the time of the push.
    async fn resolve(
        &self,
        tags: &Tags<'_>,
        tag: Tag,
        known: Option<&TagRecord>,
    ) -> Result<Result<Resolved, RegistryError>, ResolveError> {
        let resolved = tags.resolve(tag.clone(), known).await;
        if !resolved.as_ref().is_ok_and(|resolved| resolved.changed) {
            return Ok(resolved);
        }
        let latest = tags.records.tag(tags.org, tags.id, tags.repository, &tag).await?;
        Ok(if latest.as_ref() == known { resolved } else { tags.resolve(tag, latest.as_ref()).await })
    }

    /// Resolves one tag, if the rule chooses it, queues what needs work, and only then records the tag: a crash in between
    /// does it again.
    async fn tag(
        &self,
        tags: &Tags<'_>,
        tag: Tag,
        known: Option<&TagRecord>,
    ) -> Result<Outcome, ResolveError> {
        if is_artifact_tag(&tag) || !select(self.rule, tags.repository, &tag).is_selected() {
            return Ok(Outcome::default());
        }
        let resolved = match self.resolve(tags, tag, known).await? {
            Ok(resolved) => resolved,
            // It was deleted since it was listed.
            Err(RegistryError::NotFound { .. }) => return Ok(Outcome::skipped(None)),
            Err(error @ RegistryError::Invalid { .. }) => return Ok(Outcome::skipped(Some(error))),
            Err(error) => return Err(error.into()),
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
        Ok(Outcome { selected: true, queued, skipped: resolved.record.images.is_empty(), fault: None })
    }
}
