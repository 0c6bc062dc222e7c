//! One listing, and how far it came: that of the repositories of a registry is in `repositories`, that of the tags of a
//! repository in `staging`, `effect` and `leaving`.

use std::time::Duration;

use tidewatch_core::Digest;
use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::rule::{Pattern, RepositoryNames};
use tidewatch_core::work::{ListingMessage, ListingPosition};
use tidewatch_runtime::Deadline;
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{AppliedConfig, ListingProgress, ListingState};

use crate::pages::{Endless, Pages, Turned};
use crate::staging::TAGS_AT_ONCE;
use crate::{ResolveError, ResolveImages};

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
    /// All that it wants; it goes on once it is known what the others of its run want.
    Waiting,
    /// Nothing was asked, for this reason.
    NotMade(&'static str),
    /// Not its end, but that of the time: it goes on here.
    Position(ListingPosition),
    /// This failed; what came before is kept, and the next try goes on here.
    Interrupted(ListingPosition, ResolveError),
}

/// The listing as far as it came. Trying again would only come this far again.
pub(crate) fn stopped(progress: ListingProgress, endless: &Endless) -> Reached {
    let (state, error) = (ListingState::Failed, Some(endless.to_string()));
    Reached::End(ListingProgress { state, error, ..progress })
}

impl Listing<'_> {
    /// The repositories whose tags [`Listing::list_repositories`] would send for.
    pub(crate) async fn all_repositories(&self) -> Result<Vec<RepositoryName>, ResolveError> {
        let (mut found, mut pages, mut listed) = (Vec::new(), Pages::default(), 0);
        loop {
            let page = self.registry.repositories(pages.cursor()).await?;
            listed += page.entries.len() as u64;
            found.extend(page.entries.into_iter().filter(|repository| self.may_match(repository)));
            // What has no end is followed as far as a run would.
            match pages.turn(page.next, listed) {
                Ok(Turned::Next) => {}
                Ok(Turned::End) | Err(_) => return Ok(found),
            }
        }
    }

    pub(crate) fn may_match(&self, repository: &RepositoryName) -> bool {
        let names = self.names(repository);
        let may = |patterns: &[Pattern]| patterns.iter().any(|one| names.may_match_pattern(one));
        self.rule.include.is_empty() || may(&self.rule.include) || may(&self.rule.always)
    }

    /// The names by which patterns know a repository of the registry.
    pub(crate) fn names(&self, repository: &RepositoryName) -> RepositoryNames {
        self.applied.config.repository_names(&self.message.registry, repository)
    }

    /// What was found before, and where to go on.
    pub(crate) fn begin(&self) -> (ListingProgress, Pages) {
        let ListingMessage { registry, repository, position, .. } = self.message;
        let progress = ListingProgress::queued(registry.clone(), repository.clone());
        let Some(position) = position else { return (progress, Pages::default()) };
        let ListingPosition { listed, selected, skipped, queued, left_out, .. } = position.clone();
        (ListingProgress { listed, selected, skipped, queued, left_out, ..progress }, Pages::at(position))
    }

    /// Whether the registry has throttled this listing before.
    fn is_throttled(&self) -> bool {
        self.message.position.as_ref().is_some_and(|position| position.throttled)
    }

    /// How many tags are resolved, or take effect, at the same time.
    pub(crate) fn tags_at_once(&self) -> usize {
        if self.is_throttled() { 1 } else { TAGS_AT_ONCE }
    }

    pub(crate) fn has_time(&self) -> bool {
        !self.deadline.remaining(self.resolver.clock.now(), STOP).is_zero()
    }

    /// The place to go on at, with what was found before it but for tags.
    pub(crate) fn position(
        &self,
        progress: ListingProgress,
        pages: &Pages,
        fault: Option<RegistryError>,
    ) -> ListingPosition {
        let earlier = || self.message.position.as_ref()?.fault.clone();
        let fault = fault.map(|fault| describe(&fault)).or_else(earlier);
        let ListingProgress { listed, left_out, selected, skipped, queued, .. } = progress;
        let rule = Some(rule_fingerprint(self.rule, self.applied));
        let throttled = self.is_throttled();
        let pages = pages.position();
        ListingPosition { listed, left_out, selected, skipped, queued, fault, rule, throttled, ..pages }
    }
}

/// Names what a listing decides by: the rule, and the platforms that are wanted.
pub(crate) fn rule_fingerprint(rule: &RuleConfig, applied: &AppliedConfig) -> Digest {
    Digest::of(&serde_json::to_vec(&(rule, &applied.config.platforms)).unwrap_or_default())
}
