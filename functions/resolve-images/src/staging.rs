//! The first part of a listing of the tags of a repository: what the registry has, and what those point to that the names
//! choose. Nothing takes effect before all of it is there; what does not fit into the time of the function is staged.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use jiff::Timestamp;
use tidewatch_core::Digest;
use tidewatch_core::basis::Basis;
use tidewatch_core::manifest::is_artifact_tag;
use tidewatch_core::names::{RepositoryName, Tag};
use tidewatch_core::ports::registry::{ListPage, ListedTag, RegistryError};
use tidewatch_core::rule::{Decision, ImageTimes, LeftOut, Selection, needs_times, select};
use tidewatch_core::work::ListingPosition;
use tidewatch_store::records::{
    CreatedTimes, ListingProgress, StagedListing, StagedPart, StagedTag, TagRecord,
};

use crate::ResolveError;
use crate::listing::{Listing, Reached, stopped};
use crate::pages::{Endless, Pages, Turned, limit};
use crate::preview::Verdict;
use crate::tag::{Resolved, Tags};

/// How many tags of a repository are resolved, or take effect, at the same time.
pub(crate) const TAGS_AT_ONCE: usize = 8;

/// A listing of tags, as far as it came.
pub(crate) struct Staging {
    pub(crate) progress: ListingProgress,
    pub(crate) pages: Pages,
    /// What was found by this call.
    pub(crate) found: StagedPart,
    /// Those that were not looked at, where somebody wants to know.
    pub(crate) unread: Option<Vec<Unread>>,
    /// When images were made, for rules that look at it.
    pub(crate) created: CreatedTimes,
    pub(crate) fault: Option<RegistryError>,
    /// Why the pages were not followed to their end.
    pub(crate) stopped: Option<String>,
    /// When the listing began.
    pub(crate) begun_at: Timestamp,
    /// What calls before have staged.
    pub(crate) parts: Vec<Digest>,
}

/// How much of a listing was found.
pub(crate) enum Found {
    /// All tags.
    All,
    /// As many as there was time for.
    Some,
    /// As many as the pages are followed.
    Endless(Endless),
}

/// A tag that was not looked at, because of its name.
pub(crate) struct Unread {
    pub(crate) tag: Tag,
    pub(crate) verdict: Verdict,
}

/// What became of one tag.
enum Outcome {
    /// It was not looked at.
    Unread(Unread),
    /// It was deleted since it was listed, or the registry gave something wrong for it.
    Skipped(Option<RegistryError>),
    Staged(Box<StagedTag>),
}

impl Listing<'_> {
    /// Lists the tags of a repository, and when all are there queues the images behind those that the rule chooses. A wrong
    /// answer about one tag fails the listing, but only after all other tags: it holds none of them up. A listing without an
    /// end fails likewise; where the rule wants the newest, nothing of it takes effect.
    pub(crate) async fn list_tags(&self, repository: &RepositoryName) -> Result<Reached, ResolveError> {
        let mut staging = self.begin_tags(repository).await?;
        let applied = self.message.position.as_ref().and_then(|position| position.applied);
        if applied.is_none() {
            let found = self.find_tags(repository, &mut staging).await;
            if let Some(reached) = self.outcome_of(repository, &mut staging, found).await? {
                return Ok(reached);
            }
        }
        self.take_effect(repository, staging, applied).await
    }

    /// What is known before anything is found.
    pub(crate) async fn begin_tags(&self, repository: &RepositoryName) -> Result<Staging, ResolveError> {
        let (progress, pages) = self.begin();
        let position = self.message.position.clone().unwrap_or_default();
        let begun_at = position.begun_at.unwrap_or_else(|| self.resolver.clock.now());
        let created = if needs_times(self.rule) {
            self.resolver.records.created_times(self.staged(repository)).await?
        } else {
            CreatedTimes::new()
        };
        let (parts, stopped) = (position.parts, position.stopped);
        let (found, fault, unread) = (StagedPart::default(), None, None);
        Ok(Staging { progress, pages, found, unread, created, fault, stopped, begun_at, parts })
    }

    /// Finds all tags, or as many as there is time for. Nothing is written.
    pub(crate) async fn find_tags(
        &self,
        repository: &RepositoryName,
        staging: &mut Staging,
    ) -> Result<Found, ResolveError> {
        let records = &self.resolver.records;
        let known = records.tags(&self.message.org, &self.message.registry, repository).await?;
        let known: BTreeMap<&Tag, &TagRecord> = known.iter().map(|record| (&record.tag, record)).collect();
        let basis = records.basis(self.applied, staging.begun_at).await?;
        loop {
            if !self.has_time() {
                return Ok(Found::Some);
            }
            let page = self.page_of(repository, &staging.pages).await?;
            let listed = staging.pages.left(page.entries, |listed| listed.tag.as_str());
            // Others are pushed while a listing goes on. Of a repository without any known, all are seen at the same
            // time: which of them is the newest, their creation says, and not the page.
            let seen_at = if known.is_empty() { staging.begun_at } else { self.resolver.clock.now() };
            let tags = self.of_repository(repository, &basis, seen_at);
            let created = &staging.created;
            let mut outcomes = futures::stream::iter(listed.clone())
                // Those that are begun are ended, so what was taken is what is done with.
                .take_while(|_| std::future::ready(self.has_time()))
                .map(|listed| {
                    let known = known.get(&listed.tag).copied();
                    self.stage_tag(&tags, listed, known, created)
                })
                .buffered(self.tags_at_once());
            // Those before one that fails are done with: some registries give all tags as one page.
            let (mut of_page, mut failure) = (Vec::new(), None);
            while let Some(outcome) = outcomes.next().await {
                match outcome {
                    Ok(outcome) => of_page.push(outcome),
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
            drop(outcomes);
            let done = of_page.len();
            listed[..done].last().inspect(|last| staging.pages.done_with(last.tag.as_str()));
            staging.note(of_page, |tag| known.contains_key(tag));
            match failure {
                Some(error) => return Err(error),
                None if done < listed.len() => return Ok(Found::Some),
                None => {}
            }
            match staging.pages.turn(page.next, staging.progress.listed) {
                Ok(Turned::Next) => {}
                Ok(Turned::End) => return Ok(Found::All),
                Err(endless) => return Ok(Found::Endless(endless)),
            }
        }
    }

    /// The next page of tags; none at all of a repository that the registry does not name where it lists them, and does not
    /// have when it is asked for it, or that the configuration does not name any more.
    async fn page_of(
        &self,
        repository: &RepositoryName,
        pages: &Pages,
    ) -> Result<ListPage<ListedTag>, ResolveError> {
        let none = || ListPage { entries: Vec::new(), next: None };
        let named = self.applied.config.registry(&self.message.registry).map(|config| &config.repositories);
        if self.message.unlisted && named.is_some_and(|named| !named.is_empty()) {
            return Ok(none());
        }
        match self.registry.tags(repository, pages.cursor()).await {
            Err(RegistryError::NotFound { .. }) if self.message.unlisted && pages.cursor().is_none() => {
                Ok(none())
            }
            page => Ok(page?),
        }
    }

    pub(crate) fn of_repository<'a>(
        &'a self,
        repository: &'a RepositoryName,
        basis: &'a Basis,
        seen_at: Timestamp,
    ) -> Tags<'a> {
        Tags {
            records: &self.resolver.records,
            registry: self.registry,
            org: &self.message.org,
            id: &self.message.registry,
            repository,
            applied: self.applied,
            basis,
            seen_at,
            pushed: false,
            rules: std::slice::from_ref(&self.rule.id),
            rescan: self.rule.rescan,
        }
    }

    pub(crate) fn staged<'a>(&'a self, repository: &'a RepositoryName) -> StagedListing<'a> {
        let (org, run, registry) = (&self.message.org, &self.message.run, &self.message.registry);
        StagedListing { org, run, registry, repository }
    }

    /// Says where the listing ends, or goes on, when it does not come to that what was found takes effect.
    async fn outcome_of(
        &self,
        repository: &RepositoryName,
        staging: &mut Staging,
        found: Result<Found, ResolveError>,
    ) -> Result<Option<Reached>, ResolveError> {
        // However many calls it takes.
        let found = match found {
            Ok(Found::Some) => {
                Ok(limit(staging.progress.listed).map_or_else(Found::Endless, |()| Found::Some))
            }
            found => found,
        };
        match found {
            Ok(Found::All) => Ok(None),
            Ok(Found::Some) => Ok(Some(Reached::Position(self.put_off(repository, staging).await?))),
            // Which are the newest, nobody knows without the others.
            Ok(Found::Endless(endless)) if self.rule.newest.is_some() => {
                Ok(Some(stopped(staging.progress.clone(), &endless)))
            }
            Ok(Found::Endless(endless)) => {
                staging.stopped = Some(endless.to_string());
                Ok(None)
            }
            // It says nothing about what was found before: the next try goes on there.
            Err(error) if error.keeps_position() && !staging.found.is_empty() => {
                let position = self.put_off(repository, staging).await?;
                Ok(Some(Reached::Interrupted(position, error)))
            }
            Err(error) => Err(error),
        }
    }

    /// Stages what was found by this call, so that another goes on.
    async fn put_off(
        &self,
        repository: &RepositoryName,
        staging: &mut Staging,
    ) -> Result<ListingPosition, ResolveError> {
        let fault = staging.fault.take();
        let position = self.position(staging.progress.clone(), &staging.pages, fault);
        let mut parts = staging.parts.clone();
        if !staging.found.is_empty() {
            let records = &self.resolver.records;
            parts.push(records.put_staged_tags(self.staged(repository), &staging.found).await?);
        }
        Ok(ListingPosition { begun_at: Some(staging.begun_at), parts, ..position })
    }

    /// Resolves one tag, if its name is chosen; of those that are chosen by their age, only as far as that needs. Nothing is
    /// asked that the listing has told.
    async fn stage_tag(
        &self,
        tags: &Tags<'_>,
        listed: ListedTag,
        known: Option<&TagRecord>,
        created: &CreatedTimes,
    ) -> Result<Outcome, ResolveError> {
        let ListedTag { tag, digest, times: told, platforms, state, size: _ } = listed;
        if is_artifact_tag(&tag) {
            return Ok(Outcome::Unread(Unread { tag, verdict: Verdict::Artifact }));
        }
        let selection = select(self.rule, &self.names(tags.repository), &tag);
        let looks_at_age = needs_times(self.rule) && matches!(selection, Selection::Selected(_));
        let decision = Decision::from(selection);
        if !decision.is_selected() {
            return Ok(Outcome::Unread(Unread { tag, verdict: Verdict::LeftOut(decision) }));
        }
        if state.reason().is_some() {
            return Ok(Outcome::Unread(Unread { tag, verdict: Verdict::Unavailable(state) }));
        }
        let before = known.map(|known| (known.digest, known.seen_at));
        let pushed_at = told.pushed_at;
        let told = (told != ImageTimes::default()).then_some(told);
        let staged = async {
            let digest = match digest {
                Some(digest) => digest,
                None => tags.registry.resolve(tags.repository, &tag).await?,
            };
            let is_unmoved = known.is_some_and(|known| known.digest == digest);
            let kept = || created.get(&digest).copied().map(of);
            let times = told.or_else(|| kept().filter(|_| looks_at_age));
            if times.is_some() && looks_at_age && !is_unmoved {
                return Ok(StagedTag { tag, digest, times, record: None, is_changed: true, known: before });
            }
            let resolved = match tags.without_wanted_platform(&tag, (digest, pushed_at), known, &platforms) {
                Some(resolved) => resolved,
                None => tags.resolve_to(tag.clone(), (digest, pushed_at), known).await?,
            };
            let Resolved { record, changed: is_changed } = resolved;
            let times = match times {
                None if looks_at_age => tags.created_at(&record.images).await?.map(of),
                times => times,
            };
            Ok(StagedTag { tag, digest, times, record: Some(record), is_changed, known: before })
        };
        match staged.await {
            Ok(staged) => Ok(Outcome::Staged(Box::new(staged))),
            Err(ResolveError::Registry(RegistryError::NotFound { .. })) => Ok(Outcome::Skipped(None)),
            Err(ResolveError::Registry(error @ RegistryError::Invalid { .. })) => {
                Ok(Outcome::Skipped(Some(error)))
            }
            Err(error) => Err(error),
        }
    }
}

impl Staging {
    /// Adds what became of some tags, of which some are known.
    fn note(&mut self, outcomes: Vec<Outcome>, is_known: impl Fn(&Tag) -> bool) {
        self.progress.listed += outcomes.len() as u64;
        for outcome in outcomes {
            match outcome {
                Outcome::Unread(unread) => {
                    let reason = unread.verdict.left_out().unwrap_or(LeftOut::Artifact);
                    *self.progress.left_out.entry(reason).or_default() += 1;
                    if is_known(&unread.tag) {
                        self.found.unchosen.push(unread.tag.clone());
                    }
                    if let Some(known) = &mut self.unread {
                        known.push(unread);
                    }
                }
                Outcome::Skipped(fault) => {
                    self.progress.selected += 1;
                    self.progress.skipped += 1;
                    if self.fault.is_none() {
                        self.fault = fault;
                    }
                }
                Outcome::Staged(tag) => self.found.tags.push(*tag),
            }
        }
    }
}

const fn of(created_at: Option<Timestamp>) -> ImageTimes {
    ImageTimes { created_at, pushed_at: None, pulled_at: None }
}
