//! What a run of a rule would do, without doing it: the same listing and the same decisions, and nothing is written.

use futures::{StreamExt as _, TryStreamExt as _};
use tidewatch_core::Digest;
use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, Tag};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::rule::{Decision, LeftOut};
use tidewatch_core::work::{ListingMessage, Priority, RunId};
use tidewatch_runtime::Deadline;
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{AppliedConfig, StagedTag};

use crate::listing::Listing;
use crate::staging::{Found, TAGS_AT_ONCE, Unread};
use crate::tag::Tags;
use crate::{ResolveError, ResolveImages};

/// What a run would decide about the tags of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryPreview {
    /// The registry.
    pub registry: RegistryId,
    /// The repository.
    pub repository: RepositoryName,
    /// Its tags, sorted.
    pub tags: Vec<PreviewedTag>,
    /// What a run would fail of. When that is that the listing has no end, and the rule wants the newest, nothing of it would
    /// take effect.
    pub problem: Option<String>,
}

/// What a run would decide about a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewedTag {
    /// The tag.
    pub tag: Tag,
    /// What it points to, where that was asked for.
    pub digest: Option<Digest>,
    /// What is said of it.
    pub verdict: Verdict,
}

/// What a run would do with a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its tag is one that signing tools make.
    Artifact,
    /// It is not chosen, for this reason.
    LeftOut(Decision),
    /// It is chosen, for this reason, and has no image to scan, for that.
    Skipped(Decision, String),
    /// It is chosen, for this reason, and so many of its images would be scanned: the others are known.
    Chosen {
        /// Why.
        decision: Decision,
        /// The images behind it.
        images: usize,
        /// Those of which nothing is known, or whose tag is new or has moved.
        new: usize,
        /// Those whose result is out of date.
        stale: usize,
    },
}

impl Verdict {
    /// Why the tag is not chosen; `None` when it is.
    pub const fn left_out(&self) -> Option<LeftOut> {
        match self {
            Self::Artifact => Some(LeftOut::Artifact),
            Self::LeftOut(decision) => decision.left_out(),
            Self::Skipped(..) | Self::Chosen { .. } => None,
        }
    }
}

impl ResolveImages {
    /// The repositories of `registry` whose tags a run of `rule` would list, sorted.
    pub async fn preview_repositories(
        &self,
        org: &OrgName,
        applied: &AppliedConfig,
        rule: &RuleConfig,
        registry: &RegistryId,
    ) -> Result<Vec<RepositoryName>, ResolveError> {
        let message = preview_of(org, rule, registry, None);
        let Some(opened) = self.open(applied, registry).await? else { return Ok(Vec::new()) };
        let mut repositories = self.previewed(&*opened, &message, rule, applied).all_repositories().await?;
        repositories.sort_unstable();
        Ok(repositories)
    }

    /// What a run of `rule` that began now would decide about the tags of `repository`.
    pub async fn preview(
        &self,
        org: &OrgName,
        applied: &AppliedConfig,
        rule: &RuleConfig,
        (registry, repository): (&RegistryId, &RepositoryName),
    ) -> Result<RepositoryPreview, ResolveError> {
        let message = preview_of(org, rule, registry, Some(repository));
        let (mut tags, problem) = match self.open(applied, registry).await? {
            Some(opened) => {
                self.previewed(&*opened, &message, rule, applied).preview_tags(repository).await?
            }
            None => (Vec::new(), None),
        };
        tags.sort_unstable_by(|one, other| one.tag.cmp(&other.tag));
        Ok(RepositoryPreview { registry: registry.clone(), repository: repository.clone(), tags, problem })
    }

    async fn open(
        &self,
        applied: &AppliedConfig,
        registry: &RegistryId,
    ) -> Result<Option<std::sync::Arc<dyn Registry>>, ResolveError> {
        match applied.config.registry(registry) {
            Some(registry) => Ok(Some(self.registries.open(registry).await?)),
            None => Ok(None),
        }
    }

    fn previewed<'a>(
        &'a self,
        registry: &'a dyn Registry,
        message: &'a ListingMessage,
        rule: &'a RuleConfig,
        applied: &'a AppliedConfig,
    ) -> Listing<'a> {
        let (resolver, deadline) = (self, Deadline::NONE);
        Listing { resolver, registry, message, rule, applied, deadline }
    }
}

/// The message of a listing that is not sent.
fn preview_of(
    org: &OrgName,
    rule: &RuleConfig,
    registry: &RegistryId,
    repository: Option<&RepositoryName>,
) -> ListingMessage {
    let run = RunId { rule: rule.id.clone(), run: "preview".to_owned() };
    let (org, registry, repository) = (org.clone(), registry.clone(), repository.cloned());
    ListingMessage { org, run, registry, repository, unlisted: false, failures: 0, position: None }
}

impl Listing<'_> {
    async fn preview_tags(
        &self,
        repository: &RepositoryName,
    ) -> Result<(Vec<PreviewedTag>, Option<String>), ResolveError> {
        let mut staging = self.begin_tags(repository).await?;
        staging.unread = Some(Vec::new());
        let endless = match self.find_tags(repository, &mut staging).await? {
            Found::Endless(endless) => Some(endless.to_string()),
            Found::All | Found::Some => None,
        };
        let problem = endless.or_else(|| staging.fault.as_ref().map(|fault| describe(fault)));
        let found = staging.found.tags;
        let decisions = self.decide(repository, &found, staging.begun_at).await?;
        let basis = self.resolver.records.basis(self.applied, staging.begun_at).await?;
        let tags = self.of_repository(repository, &basis, staging.begun_at);
        let decided: Vec<(StagedTag, Decision)> = found.into_iter().zip(decisions).collect();
        let verdicts = futures::stream::iter(decided).map(|(staged, decision)| {
            let tags = &tags;
            async move {
                let verdict = self.verdict(tags, &staged, decision).await?;
                Ok::<_, ResolveError>(PreviewedTag { tag: staged.tag, digest: Some(staged.digest), verdict })
            }
        });
        let mut previewed: Vec<PreviewedTag> = verdicts.buffered(TAGS_AT_ONCE).try_collect().await?;
        let unread = staging.unread.unwrap_or_default().into_iter();
        previewed.extend(unread.map(|Unread { tag, verdict }| PreviewedTag { tag, digest: None, verdict }));
        Ok((previewed, problem))
    }

    async fn verdict(
        &self,
        tags: &Tags<'_>,
        staged: &StagedTag,
        decision: Decision,
    ) -> Result<Verdict, ResolveError> {
        if !decision.is_selected() {
            return Ok(Verdict::LeftOut(decision));
        }
        let resolved = match self.resolved(tags, staged).await {
            Err(ResolveError::Registry(RegistryError::NotFound { .. })) => {
                return Ok(Verdict::Skipped(decision, "it was deleted since it was listed".to_owned()));
            }
            resolved => resolved?,
        };
        if let Some(reason) = resolved.record.skipped.clone() {
            return Ok(Verdict::Skipped(decision, reason));
        }
        let (mut new, mut stale) = (0, 0);
        for image in &resolved.record.images {
            match tags.work(&resolved, image, None).await?.map(|work| work.priority) {
                Some(Priority::Stale) => stale += 1,
                Some(_) => new += 1,
                None => {}
            }
        }
        Ok(Verdict::Chosen { decision, images: resolved.record.images.len(), new, stale })
    }
}
