//! What a run of a rule would do, without doing it: the same listing and the same decisions, and nothing is written.

use futures::{StreamExt as _, TryStreamExt as _};
use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, Tag};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::rule::{Decision, LeftOut, Wanting, Wants, admitted, order, wants};
use tidewatch_core::work::{ListingMessage, Priority, RunId};
use tidewatch_core::{Digest, Timestamp};
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
    /// When it was made or pushed, where the rule looks at that.
    pub born_at: Option<Timestamp>,
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

/// Applies the cap of `rule`, which takes only so many images in one run, to what is said of all of its repositories: the tags
/// whose turn comes in another run are left out.
pub fn apply_cap(rule: &RuleConfig, previews: &mut [RepositoryPreview]) {
    let Some(max_images) = rule.max_images else { return };
    previews.sort_unstable_by(|one, other| {
        (&one.registry, &one.repository).cmp(&(&other.registry, &other.repository))
    });
    let wanted: Vec<(Vec<usize>, Vec<Wants>)> = previews.iter().map(RepositoryPreview::wanted).collect();
    let all: Vec<Vec<Wants>> = wanted.iter().map(|(_, wants)| wants.clone()).collect();
    let admitted = admitted(max_images.get(), &all);
    for ((preview, (order, _)), admitted) in previews.iter_mut().zip(wanted).zip(admitted) {
        for position in order.into_iter().skip(admitted) {
            let decision = Decision::OverCap { max_images: max_images.get() };
            preview.tags[position].verdict = Verdict::LeftOut(decision);
        }
    }
}

impl RepositoryPreview {
    /// The positions of the tags that need work, in the order in which a run takes them, and what they want.
    fn wanted(&self) -> (Vec<usize>, Vec<Wants>) {
        let wanting_of = |(position, tag): (usize, &PreviewedTag)| {
            let Verdict::Chosen { new, stale, .. } = tag.verdict else { return None };
            let images = u32::try_from(new + stale).unwrap_or(u32::MAX);
            let priority = if new > 0 { Priority::New } else { Priority::Stale };
            let wanting = Wanting { tag: tag.tag.clone(), priority, born_at: tag.born_at, images };
            (images > 0).then_some((position, wanting))
        };
        let (positions, wanting): (Vec<usize>, Vec<Wanting>) =
            self.tags.iter().enumerate().filter_map(wanting_of).unzip();
        let order = order(&wanting);
        let wants = wants(order.iter().map(|position| &wanting[*position]));
        (order.into_iter().map(|position| positions[position]).collect(), wants)
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
                let born_at = staged.times.unwrap_or_default().born_at();
                Ok::<_, ResolveError>(PreviewedTag {
                    tag: staged.tag,
                    digest: Some(staged.digest),
                    born_at,
                    verdict,
                })
            }
        });
        let mut previewed: Vec<PreviewedTag> = verdicts.buffered(TAGS_AT_ONCE).try_collect().await?;
        let unread = staging.unread.unwrap_or_default().into_iter();
        previewed.extend(unread.map(|Unread { tag, verdict }| PreviewedTag {
            tag,
            digest: None,
            born_at: None,
            verdict,
        }));
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
