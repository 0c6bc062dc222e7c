//! One listing: of the repositories of a registry, or of the tags of one repository.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use tidewatch_core::config::RuleConfig;
use tidewatch_core::manifest::is_artifact_tag;
use tidewatch_core::names::{RepositoryName, Tag};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::rule::select;
use tidewatch_core::work::ListingMessage;
use tidewatch_store::records::{AppliedConfig, Enqueued, ListingProgress, ListingState, TagRecord};

use crate::pages::{Endless, Pages, Turned};
use crate::tag::Tags;
use crate::{ResolveError, ResolveImages};

/// How many tags of a repository are resolved at the same time.
const TAGS_AT_ONCE: usize = 8;

pub(crate) struct Listing<'a> {
    pub(crate) resolver: &'a ResolveImages,
    pub(crate) registry: &'a dyn Registry,
    pub(crate) message: &'a ListingMessage,
    pub(crate) rule: &'a RuleConfig,
    pub(crate) applied: &'a AppliedConfig,
}

/// What became of one chosen tag.
struct Outcome {
    /// Images that got a work row.
    queued: u64,
    /// Whether the tag has no image to scan.
    skipped: bool,
    /// What is wrong with what the registry gave for it.
    fault: Option<RegistryError>,
}

impl Outcome {
    const fn skipped(fault: Option<RegistryError>) -> Self {
        Self { queued: 0, skipped: true, fault }
    }
}

/// The listing as far as it came. Trying again would only come this far again.
fn stopped(progress: ListingProgress, endless: &Endless) -> ListingProgress {
    ListingProgress { state: ListingState::Failed, error: Some(endless.to_string()), ..progress }
}

impl Listing<'_> {
    /// Lists the repositories of the registry, and sends for the tags of each that the rule could match. A listing
    /// without an end fails; what was sent for before stays.
    pub(crate) async fn repositories(&self) -> Result<ListingProgress, ResolveError> {
        let mut progress = ListingProgress::queued(self.message.registry.clone(), None);
        let mut pages = Pages::default();
        loop {
            let page = self.registry.repositories(pages.cursor()).await?;
            progress.listed += page.entries.len() as u64;
            let wanted: Vec<RepositoryName> =
                page.entries.into_iter().filter(|repository| self.may_match(repository)).collect();
            progress.selected += wanted.len() as u64;
            self.resolver.send_for(self.message, &wanted).await?;
            match pages.turn(page.next, progress.listed) {
                Ok(Turned::Next) => {}
                Ok(Turned::End) => break,
                Err(endless) => return Ok(stopped(progress, &endless)),
            }
        }
        progress.state = ListingState::Done;
        Ok(progress)
    }

    fn may_match(&self, repository: &RepositoryName) -> bool {
        self.rule.include.is_empty()
            || self.rule.include.iter().any(|pattern| pattern.may_match_repository(repository))
    }

    /// Lists the tags of a repository, and queues the images behind those that the rule chooses. A wrong answer about
    /// one tag fails the listing, but only after all other tags: it holds none of them up. A listing without an end fails;
    /// what was queued before stays.
    pub(crate) async fn tags(&self, repository: &RepositoryName) -> Result<ListingProgress, ResolveError> {
        let mut progress = ListingProgress::queued(self.message.registry.clone(), Some(repository.clone()));
        let records = &self.resolver.records;
        let known = records.tags(&self.message.org, &self.message.registry, repository).await?;
        let known: BTreeMap<&Tag, &TagRecord> = known.iter().map(|record| (&record.tag, record)).collect();
        let advisories = records.current_advisories().await?;
        let of_repository = Tags {
            records,
            registry: self.registry,
            org: &self.message.org,
            id: &self.message.registry,
            repository,
            applied: self.applied,
            advisories: &advisories,
            seen_at: self.resolver.clock.now(),
        };
        let mut fault = None;
        let mut pages = Pages::default();
        loop {
            let page = self.registry.tags(repository, pages.cursor()).await?;
            progress.listed += page.entries.len() as u64;
            let chosen: Vec<Tag> = page
                .entries
                .into_iter()
                .filter(|tag| !is_artifact_tag(tag) && select(self.rule, repository, tag).is_selected())
                .collect();
            progress.selected += chosen.len() as u64;
            let resolved: Vec<Outcome> = futures::stream::iter(chosen)
                .map(|tag| {
                    let known = known.get(&tag).copied();
                    self.tag(&of_repository, tag, known)
                })
                .buffer_unordered(TAGS_AT_ONCE)
                .try_collect()
                .await?;
            progress.queued += resolved.iter().map(|resolved| resolved.queued).sum::<u64>();
            progress.skipped += resolved.iter().filter(|resolved| resolved.skipped).count() as u64;
            fault = fault.or_else(|| resolved.into_iter().find_map(|resolved| resolved.fault));
            match pages.turn(page.next, progress.listed) {
                Ok(Turned::Next) => {}
                Ok(Turned::End) => break,
                Err(endless) => return Ok(stopped(progress, &endless)),
            }
        }
        progress.state = ListingState::Done;
        fault.map_or(Ok(progress), |fault| Err(fault.into()))
    }

    /// Resolves one tag, queues what needs work, and only then records the tag: a crash in between does it again.
    async fn tag(
        &self,
        tags: &Tags<'_>,
        tag: Tag,
        known: Option<&TagRecord>,
    ) -> Result<Outcome, ResolveError> {
        let resolved = match tags.resolve(tag, known).await {
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
            records.put_tag(org, tags.id, tags.repository, &resolved.record).await?;
        }
        Ok(Outcome { queued, skipped: resolved.record.images.is_empty(), fault: None })
    }
}
