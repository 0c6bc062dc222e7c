//! The steps of reading a registry, one after another, each as far as those before it came.

use futures::StreamExt as _;
use serde::Serialize;
use tidewatch_core::Digest;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::manifest::{Classified, classify, is_artifact_tag};
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{ListedTag, ListingTells, RegistryError, TagState};

/// In how many repositories an image is looked for, and at how many tags of each.
const MOST_LOOKS: usize = 10;

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// Finding what the configuration names.
    Open,
    /// Reaching the registry, and saying who asks.
    Authenticate,
    ListRepositories,
    ListTags,
    ReadManifest,
    ReadBlob,
}

impl Step {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Authenticate => "reach and authenticate",
            Self::ListRepositories => "list repositories",
            Self::ListTags => "list tags",
            Self::ReadManifest => "read a manifest",
            Self::ReadBlob => "read a blob",
        }
    }
}

/// What became of a step.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) step: Step,
    /// What was found, or why it failed.
    pub(super) outcome: Result<String, RegistryError>,
}

/// The steps that were taken.
#[derive(Default)]
pub(super) struct Steps(pub(super) Vec<Taken>);

impl Steps {
    /// Notes what became of a step, and gives what it found.
    fn note<T>(&mut self, step: Step, found: Result<(T, String), RegistryError>) -> Option<T> {
        match found {
            Ok((found, said)) => {
                self.0.push(Taken { step, outcome: Ok(said) });
                Some(found)
            }
            Err(error) => {
                self.0.push(Taken { step, outcome: Err(error) });
                None
            }
        }
    }

    /// Takes the steps on `registry`, in `repository` where one is given. A registry that does not list its repositories is read
    /// further only then.
    pub(super) async fn take(registry: &dyn Registry, repository: Option<RepositoryName>) -> Self {
        let mut steps = Self::default();
        let greeted = registry.ping().await.map(|()| ((), "it answers".to_owned()));
        let is_greeted = steps.note(Step::Authenticate, greeted).is_some();
        if !is_greeted && matches!(steps.0[0].outcome, Err(RegistryError::Unavailable { .. })) {
            return steps;
        }
        let listed = registry.repositories(None).await.map(|page| {
            let more = if page.next.is_some() { " on the first page" } else { "" };
            let said = format!("{} repositories{more}", page.entries.len());
            (page.entries, said)
        });
        let listed = steps.note(Step::ListRepositories, listed).unwrap_or_default();
        let candidates = repository.map_or(listed, |named| vec![named]);
        steps.read(registry, &candidates).await;
        steps
    }

    /// Reads the first image that is in one of these repositories.
    async fn read(&mut self, registry: &dyn Registry, candidates: &[RepositoryName]) {
        let mut found = None;
        for repository in candidates.iter().take(MOST_LOOKS) {
            match registry.tags(repository, None).await {
                Ok(page) if page.entries.iter().any(is_image) => {
                    let said = tags_of(repository, page.entries.len(), registry.tells());
                    self.note(Step::ListTags, Ok(((), said)));
                    found = Some((repository, page.entries));
                    break;
                }
                Ok(_) => {}
                Err(error) => {
                    self.note::<()>(Step::ListTags, Err(error));
                    return;
                }
            }
        }
        let Some((repository, tags)) = found else { return };
        let mut read = None;
        for tag in tags.iter().filter(|tag| is_image(tag)).take(MOST_LOOKS) {
            match manifest(registry, repository, tag).await {
                Ok(found) => {
                    let said = format!("{repository}:{} is {}", tag.tag, found.0);
                    self.note(Step::ReadManifest, Ok(((), said)));
                    read = found.1;
                    break;
                }
                // It was deleted since it was listed.
                Err(RegistryError::NotFound { .. }) => {}
                Err(error) => {
                    self.note::<()>(Step::ReadManifest, Err(error));
                    return;
                }
            }
        }
        if let Some(blob) = read {
            let first = first_bytes(registry, repository, &blob).await;
            self.note(Step::ReadBlob, first.map(|length| ((), format!("{length} bytes of {blob}"))));
        }
    }
}

fn is_image(tag: &ListedTag) -> bool {
    tag.state == TagState::Available && !is_artifact_tag(&tag.tag)
}

/// What a listing of tags has told: how many, and what of each.
fn tags_of(repository: &RepositoryName, tags: usize, tells: ListingTells) -> String {
    let ListingTells { digest, created, pushed, pulled, size, platforms } = tells;
    let told = [
        (digest, "digest"),
        (created, "created"),
        (pushed, "pushed"),
        (pulled, "pulled"),
        (size, "size"),
        (platforms, "platforms"),
    ];
    let told: Vec<&str> = told.into_iter().filter(|(is_told, _)| *is_told).map(|(_, what)| what).collect();
    let told = if told.is_empty() { "names only".to_owned() } else { format!("with {}", told.join(", ")) };
    format!("{tags} tags of {repository} on the first page, {told}")
}

/// What kind of manifest a tag points to, and the first blob of it: of an index, of its first image.
async fn manifest(
    registry: &dyn Registry,
    repository: &RepositoryName,
    tag: &ListedTag,
) -> Result<(String, Option<Digest>), RegistryError> {
    let digest = match tag.digest {
        Some(digest) => digest,
        None => registry.resolve(repository, &tag.tag).await?,
    };
    let found = registry.manifest(repository, &ManifestReference::Digest(digest)).await?;
    match classify(&found) {
        Ok(Classified::Image { config, .. }) => Ok((format!("an image, {digest}"), Some(config))),
        Ok(Classified::Index(children)) => {
            let Some(child) = children.iter().find(|child| child.platform.is_some()) else {
                return Ok((format!("an index without images, {digest}"), None));
            };
            let reference = ManifestReference::Digest(child.digest);
            let config = match classify(&registry.manifest(repository, &reference).await?) {
                Ok(Classified::Image { config, .. }) => Some(config),
                _ => None,
            };
            Ok((format!("an index of {} manifests, {digest}", children.len()), config))
        }
        Ok(Classified::NotAnImage { reason } | Classified::Unsupported { reason }) => {
            Ok((format!("no image: {reason}"), None))
        }
        Err(error) => Ok((format!("no image: {error}"), None)),
    }
}

/// How many bytes come first of a blob.
async fn first_bytes(
    registry: &dyn Registry,
    repository: &RepositoryName,
    blob: &Digest,
) -> Result<usize, RegistryError> {
    let mut stream = registry.blob(repository, blob).await?;
    Ok(stream.next().await.transpose()?.map_or(0, |first| first.len()))
}
