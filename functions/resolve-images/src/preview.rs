//! What a run of a rule would do, without doing it: the same listing and the same decisions, and nothing is written.

mod cap;
mod noting;

use futures::{StreamExt as _, TryStreamExt as _};
use tidewatch_core::config::RuleConfig;
use tidewatch_core::cost::Requests;
use tidewatch_core::image::{ImageId, ManifestReference};
use tidewatch_core::manifest::LayerDescriptor;
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, Tag};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{RegistryError, TagState};
use tidewatch_core::rule::{Decision, LeftOut};
use tidewatch_core::work::{ListingMessage, Priority, RunId};
use tidewatch_core::{Digest, Timestamp};
use tidewatch_runtime::Deadline;
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{AppliedConfig, StagedTag};

use crate::listing::Listing;
use crate::staging::{Found, TAGS_AT_ONCE, Unread};
use crate::tag::Tags;
use crate::{ResolveError, ResolveImages};

use noting::Noting;

pub use cap::apply_cap;

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
    /// The images that would be scanned, as often as tags point to them.
    pub to_scan: Vec<PreviewedImage>,
    /// What the listing has asked of the registry, as a run would.
    pub requests: Requests,
    /// Manifests that were asked for only to know the layers of images.
    pub measuring: u64,
}

/// An image that a run would have scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewedImage {
    /// The tag that points to it.
    pub tag: Tag,
    /// The image.
    pub image: ImageId,
    /// Its priority.
    pub priority: Priority,
    /// Whether it has work already, where the rule takes only so many images in one run: those do not count.
    pub is_queued: bool,
    /// How many manifests hold attestations about it.
    pub attestations: u64,
    /// Whether its manifest was kept by an earlier scan.
    pub is_kept: bool,
    /// Its layers, where they are known; see [`Measure`].
    pub layers: Option<Vec<LayerDescriptor>>,
}

/// Of which images to scan the layers are to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Of those whose manifests are kept, or are asked for anyway: of single images, but not of those of an index.
    Known,
    /// Of all: each that is not known costs a request.
    All,
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
    /// It is chosen, and cannot be pulled, by the word of the registry.
    Unavailable(TagState),
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
            Self::Unavailable(_) => Some(LeftOut::Unavailable),
            Self::Skipped(..) | Self::Chosen { .. } => None,
        }
    }
}

impl ResolveImages {
    /// The repositories of `registry` whose tags a run of `rule` would list, sorted; and what that has cost.
    pub async fn preview_repositories(
        &self,
        org: &OrgName,
        applied: &AppliedConfig,
        rule: &RuleConfig,
        registry: &RegistryId,
    ) -> Result<(Vec<RepositoryName>, Requests), ResolveError> {
        let message = preview_of(org, rule, registry, None);
        let Some(opened) = self.open(applied, registry).await? else { return Ok(Default::default()) };
        let noting = Noting::new(&*opened);
        let mut repositories = self.previewed(&noting, &message, rule, applied).all_repositories().await?;
        repositories.sort_unstable();
        Ok((repositories, noting.requests()))
    }

    /// What a run of `rule` that began now would decide about the tags of `repository`.
    pub async fn preview(
        &self,
        org: &OrgName,
        applied: &AppliedConfig,
        rule: &RuleConfig,
        (registry, repository): (&RegistryId, &RepositoryName),
        measure: Measure,
    ) -> Result<RepositoryPreview, ResolveError> {
        let message = preview_of(org, rule, registry, Some(repository));
        let mut preview = RepositoryPreview {
            registry: registry.clone(),
            repository: repository.clone(),
            tags: Vec::new(),
            problem: None,
            to_scan: Vec::new(),
            requests: Requests::default(),
            measuring: 0,
        };
        if let Some(opened) = self.open(applied, registry).await? {
            let noting = Noting::new(&*opened);
            let (tags, problem) =
                self.previewed(&noting, &message, rule, applied).preview_tags(repository).await?;
            preview.requests = noting.requests();
            let (mut tags, to_scan): (Vec<_>, Vec<_>) = tags.into_iter().unzip();
            tags.sort_unstable_by(|one, other| one.tag.cmp(&other.tag));
            (preview.tags, preview.problem) = (tags, problem);
            let to_scan = to_scan.into_iter().flatten();
            preview.to_scan = self.measured(org, &noting, repository, to_scan.collect(), measure).await?;
            preview.measuring = noting.requests().manifests - preview.requests.manifests;
        }
        Ok(preview)
    }

    /// The images with their layers, where they are known, or are asked for.
    async fn measured(
        &self,
        org: &OrgName,
        noting: &Noting<'_>,
        repository: &RepositoryName,
        images: Vec<PreviewedImage>,
        measure: Measure,
    ) -> Result<Vec<PreviewedImage>, ResolveError> {
        let measured = futures::stream::iter(images).map(|mut previewed| async move {
            let digest = &previewed.image.digest;
            // What cannot be read was not kept.
            let kept = self.records.image_manifest(org, digest).await.ok().flatten();
            previewed.is_kept = kept.is_some();
            previewed.layers = kept.map(|kept| kept.layers).or_else(|| noting.layers(digest));
            if previewed.layers.is_none() && measure == Measure::All {
                let asked = noting.manifest(repository, &ManifestReference::Digest(*digest)).await;
                match asked {
                    // What is wrong with it, its scan will say.
                    Err(RegistryError::NotFound { .. } | RegistryError::Invalid { .. }) => {}
                    asked => drop(asked?),
                }
                previewed.layers = noting.layers(digest);
            }
            Ok(previewed)
        });
        measured.buffered(TAGS_AT_ONCE).try_collect().await
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
    ) -> Result<(Vec<(PreviewedTag, Vec<PreviewedImage>)>, Option<String>), ResolveError> {
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
                let (verdict, to_scan) = self.verdict(tags, &staged, decision).await?;
                let (digest, born_at) = (Some(staged.digest), staged.times.unwrap_or_default().born_at());
                let tag = PreviewedTag { tag: staged.tag, digest, born_at, verdict };
                Ok::<_, ResolveError>((tag, to_scan))
            }
        });
        let mut previewed: Vec<_> = verdicts.buffered(TAGS_AT_ONCE).try_collect().await?;
        let unread = staging.unread.unwrap_or_default().into_iter();
        let unread =
            unread.map(|Unread { tag, verdict }| PreviewedTag { tag, digest: None, born_at: None, verdict });
        previewed.extend(unread.map(|tag| (tag, Vec::new())));
        Ok((previewed, problem))
    }

    /// What a run would do with a tag, and the images that it would have scanned.
    async fn verdict(
        &self,
        tags: &Tags<'_>,
        staged: &StagedTag,
        decision: Decision,
    ) -> Result<(Verdict, Vec<PreviewedImage>), ResolveError> {
        if !decision.is_selected() {
            return Ok((Verdict::LeftOut(decision), Vec::new()));
        }
        let resolved = match self.resolved(tags, staged).await {
            Err(ResolveError::Registry(RegistryError::NotFound { .. })) => {
                let reason = "it was deleted since it was listed".to_owned();
                return Ok((Verdict::Skipped(decision, reason), Vec::new()));
            }
            resolved => resolved?,
        };
        if let Some(reason) = resolved.record.skipped.clone() {
            return Ok((Verdict::Skipped(decision, reason), Vec::new()));
        }
        let (mut new, mut stale, mut to_scan) = (0, 0, Vec::new());
        for image in &resolved.record.images {
            let Some(work) = tags.work(&resolved, image, None).await? else { continue };
            match work.priority {
                Priority::Stale => stale += 1,
                Priority::New | Priority::Pushed => new += 1,
            }
            let is_queued = self.rule.max_images.is_some()
                && tags.records.pending_work(tags.org, &work.image).await?.is_some();
            to_scan.push(PreviewedImage {
                priority: work.priority,
                is_queued,
                tag: resolved.record.tag.clone(),
                image: ImageId { digest: image.digest, platform: image.platform.clone() },
                attestations: work.attestations.map_or(0, |attestations| attestations.len() as u64),
                is_kept: false,
                layers: None,
            });
        }
        Ok((Verdict::Chosen { decision, images: resolved.record.images.len(), new, stale }, to_scan))
    }
}
