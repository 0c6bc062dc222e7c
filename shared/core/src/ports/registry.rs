//! A registry as a port: repositories, tags, manifests and blobs, as the OCI distribution specification has them.
//!
//! Specification: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;

use crate::digest::Digest;
use crate::image::{ManifestReference, Platform};
use crate::names::{RegistryId, RepositoryName, Tag};
use crate::retry::{Retry, Retryable};
use crate::rule::ImageTimes;

/// The bytes of a blob as they arrive. They are not checked: whoever reads them to the end compares the digest.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes, RegistryError>> + Send>>;

/// A manifest as the registry gave it; its bytes were checked against `digest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawManifest {
    /// Digest of `bytes`.
    pub digest: Digest,
    /// The media type that the registry named; empty when it named none.
    pub media_type: String,
    /// The manifest, at most 4 MiB.
    pub bytes: Bytes,
}

/// A manifest that was attached to another one.
///
/// Specification: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// Its digest.
    pub digest: Digest,
    /// The media type that says what it is; empty where nothing does.
    pub artifact_type: String,
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage<T> {
    /// The entries, in the registry's order.
    pub entries: Vec<T>,
    /// Where the listing goes on, opaque; `None` at the end.
    pub next: Option<String>,
}

/// A tag, and what a listing says of what it points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTag {
    /// The tag.
    pub tag: Tag,
    /// What it pointed to when it was listed.
    pub digest: Option<Digest>,
    /// When something happened to that.
    pub times: ImageTimes,
    /// How many bytes its layers have, compressed; of an index, by the registry's own count.
    pub size: Option<u64>,
    /// The platforms that there are images for; empty where the listing does not say.
    pub platforms: Vec<Platform>,
    /// Whether it can be pulled.
    pub state: TagState,
}

impl ListedTag {
    /// A tag of which nothing else is said.
    pub fn named(tag: Tag) -> Self {
        let (digest, times, size, platforms) = (None, ImageTimes::default(), None, Vec::new());
        Self { tag, digest, times, size, platforms, state: TagState::Available }
    }
}

/// Whether what a tag points to can be pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TagState {
    /// As far as anybody says.
    #[default]
    Available,
    /// It was put into an archive, and has to be restored before.
    Archived,
    /// It is locked against pulls.
    Locked,
    /// The registry only knows its name: it is in another registry.
    Elsewhere,
    /// It is no image, by the registry's word: a chart, a signature.
    NotAnImage,
}

impl TagState {
    /// Why it cannot be pulled; `None` when it can.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Available => None,
            Self::Archived => Some("it is in the archive of the registry, and has to be restored first"),
            Self::Locked => Some("the registry has locked it against pulls"),
            Self::Elsewhere => Some("it is in another registry"),
            Self::NotAnImage => Some("it is no image, by the word of the registry"),
        }
    }
}

/// What the listings of a registry say of each tag, besides its name. What they do not say has to be asked for, where it is
/// needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that a listing may tell")]
pub struct ListingTells {
    /// What it points to.
    pub digest: bool,
    /// When that was made.
    pub created: bool,
    /// When that was pushed.
    pub pushed: bool,
    /// When that was last pulled.
    pub pulled: bool,
    /// How large it is.
    pub size: bool,
    /// Which platforms there are images for.
    pub platforms: bool,
}

impl ListingTells {
    /// Nothing but names.
    pub const NAMES: Self =
        Self { digest: false, created: false, pushed: false, pulled: false, size: false, platforms: false };
}

/// One registry, with its credentials.
#[async_trait]
pub trait Registry: Send + Sync {
    /// What its listings of tags say.
    fn tells(&self) -> ListingTells {
        ListingTells::NAMES
    }

    /// Asks the registry only whether it is there and takes the credentials; without any, whether it is there.
    async fn ping(&self) -> Result<(), RegistryError> {
        Ok(())
    }

    /// A page of the repositories that the credentials can see; `cursor` is the `next` of the page before.
    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError>;

    /// A page of the tags of `repository`; `cursor` is the `next` of the page before.
    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError>;

    /// The digest that `tag` points to now, without pulling the manifest where the registry allows that.
    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, RegistryError>;

    /// A manifest or index, checked against its digest.
    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &ManifestReference,
    ) -> Result<RawManifest, RegistryError>;

    /// The manifests that were attached to the one with this digest, whatever they are, at most a thousand; none where the
    /// registry does not keep them.
    async fn referrers(
        &self,
        _repository: &RepositoryName,
        _digest: &Digest,
    ) -> Result<Vec<Referrer>, RegistryError> {
        Ok(Vec::new())
    }

    /// The bytes of a blob, from its beginning.
    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<BlobStream, RegistryError>;
}

/// Opens the registries of an organisation's configuration.
#[async_trait]
pub trait Registries: Send + Sync {
    /// The registry that `registry` configures: with its credentials read, and nothing asked of it yet. Opening the
    /// same configuration again may give the same registry, with its tokens and connections.
    async fn open(
        &self,
        registry: &crate::config::RegistryConfig,
    ) -> Result<Arc<dyn Registry>, RegistryError>;
}

/// A registry did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry could not be reached, broke off, or answered with a server error.
    #[error("failed to reach registry {registry} for {what}")]
    Unavailable {
        /// The registry.
        registry: RegistryId,
        /// What was asked for: `tags of team/web`, `blob sha256:…`.
        what: String,
        /// What the client says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There were too many requests, as the registry says now or has said before, or by the budget that we keep of it.
    #[error("registry {registry} {by} {what}")]
    Throttled {
        /// The registry.
        registry: RegistryId,
        /// What was asked for.
        what: String,
        /// When to come again; `None` when the registry does not say.
        retry_after: Option<std::time::Duration>,
        /// Who says so.
        by: Throttling,
    },
    /// The registry refused the credentials, or they do not allow this.
    #[error("registry {registry} refused {what}: {reason}")]
    Denied {
        /// The registry.
        registry: RegistryId,
        /// What was asked for.
        what: String,
        /// The status and what the registry said.
        reason: String,
    },
    /// There is no such repository, tag, manifest or blob.
    #[error("registry {registry} has no {what}")]
    NotFound {
        /// The registry.
        registry: RegistryId,
        /// What was asked for.
        what: String,
    },
    /// The registry answered something that the specification does not allow, or that is over a limit: a digest that
    /// does not match, a body that is too large or is no JSON, a link to another host.
    #[error("registry {registry} gave a wrong answer for {what}: {reason}")]
    Invalid {
        /// The registry.
        registry: RegistryId,
        /// What was asked for.
        what: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The configuration of the registry cannot be used: credentials that are not there, a URL that is none.
    #[error("failed to open registry {registry}: {reason}")]
    Misconfigured {
        /// The registry.
        registry: RegistryId,
        /// What is wrong, and what to do.
        reason: String,
    },
}

/// Who says that there are too many requests. Shown as the middle of a sentence: registry hub *throttles* tags of team/web.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttling {
    /// The registry, in its answer.
    Answer,
    /// The registry, in an earlier answer to any worker. Nothing was asked.
    Pause,
    /// The budget that we keep: no request can be made soon. Nothing was asked.
    Budget,
}

impl std::fmt::Display for Throttling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Answer => "throttles",
            Self::Pause => "has asked for a pause before",
            Self::Budget => "has nothing left of its rate budget for",
        })
    }
}

impl Retryable for RegistryError {
    fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { .. } | Self::Throttled { .. } | Self::Invalid { .. } => Retry::Again,
            Self::Denied { .. } | Self::NotFound { .. } | Self::Misconfigured { .. } => Retry::Never,
        }
    }
}
