//! Environments: streams of images that somebody has put there, such as those that run in production.
//!
//! An *entry* says which image is wanted, by tag or digest; it is *pinned* to the image that this meant when it was put
//! there. In an environment a repository has one image, unless an entry is kept beside others.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::names::{RegistryId, RepositoryName, StreamName, Tag};
use crate::{Digest, Timestamp};

/// `REGISTRY/REPOSITORY[:TAG][@DIGEST]`, where REGISTRY is the id of a registry of the configuration: an image by its tag,
/// or by its digest, which counts where both are given. Without either, the tag `latest` is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend(
    "pattern" = "^[a-z0-9][a-z0-9_-]*/[^:@]+(:[^:@]+)?(@sha256:[0-9a-f]{64})?$",
    "examples" = ["ecr/payments/api:1.4.2", "hub/team/web"]
))]
pub struct ImageReference {
    /// The registry of the configuration.
    pub registry: RegistryId,
    /// The repository within it.
    pub repository: RepositoryName,
    /// The tag; `None` where only a digest is given.
    pub tag: Option<Tag>,
    /// The digest of an index or of an image.
    pub digest: Option<Digest>,
}

/// A text that names no image of a configured registry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "failed to read {text:?} as an image: expected REGISTRY/REPOSITORY[:TAG][@sha256:…], where REGISTRY is the id of a registry of the configuration: {reason}"
)]
pub struct ImageReferenceError {
    text: String,
    reason: String,
}

impl FromStr for ImageReference {
    type Err = ImageReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |reason: String| ImageReferenceError { text: text.to_owned(), reason };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse().map_err(|e| error(format!("{e}")))?)),
            None => (text, None),
        };
        let (registry, rest) =
            name.split_once('/').ok_or_else(|| error("there is no repository".to_owned()))?;
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        let tag = tag.or(if digest.is_none() { Some("latest") } else { None });
        Ok(Self {
            registry: registry.parse().map_err(|e| error(format!("{e}")))?,
            repository: repository.parse().map_err(|e| error(format!("{e}")))?,
            tag: tag.map(str::parse).transpose().map_err(|e| error(format!("{e}")))?,
            digest,
        })
    }
}

impl TryFrom<String> for ImageReference {
    type Error = ImageReferenceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ImageReference> for String {
    fn from(reference: ImageReference) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        self.tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))?;
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// An image that is wanted in an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentEntry {
    /// Which image is meant.
    pub reference: ImageReference,
    /// Whether it stands beside other images of its repository, instead of replacing them.
    #[serde(default)]
    pub kept: bool,
    /// Whether it is pinned anew when its tag moves.
    #[serde(default)]
    pub follows: bool,
    /// When it was put there.
    pub added_at: Timestamp,
    /// The image that it is pinned to; none until the registry has been asked. While the entry names another image than
    /// before, it is still the image of before.
    #[serde(default)]
    pub pinned: Option<Pinned>,
    /// Why it is not pinned to what the reference means.
    #[serde(default)]
    pub problem: Option<String>,
    /// The image that it was pinned to before, until that has left the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Image>,
}

/// The image that an entry is pinned to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// The reference that meant it.
    pub reference: ImageReference,
    /// The image on the platform that the gauges count.
    pub image: Image,
    /// What the tag pointed to: an index, or the image itself.
    pub resolved: Digest,
    /// When that was asked for.
    pub at: Timestamp,
}

impl EnvironmentEntry {
    /// An entry that is to be resolved.
    pub const fn new(reference: ImageReference, added_at: Timestamp) -> Self {
        Self { reference, kept: false, follows: false, added_at, pinned: None, problem: None, leaving: None }
    }

    /// Names the entry in its environment: the repository, of which it replaces what is there, or all of the reference
    /// for one that is kept beside others.
    pub fn id(&self) -> EntryId {
        let ImageReference { registry, repository, .. } = &self.reference;
        EntryId(if self.kept { self.reference.to_string() } else { format!("{registry}/{repository}") })
    }

    /// The tag under which the image is shown.
    pub fn tag(&self) -> Tag {
        match (&self.reference.tag, &self.reference.digest) {
            (Some(tag), _) => tag.clone(),
            (None, Some(digest)) => Tag::of_digest(digest),
            (None, None) => Tag::latest(),
        }
    }

    /// The image that it is pinned to.
    pub fn image(&self) -> Option<&Image> {
        self.pinned.as_ref().map(|pinned| &pinned.image)
    }

    /// The image that it stays pinned to, whatever its tag points to by now; none while that is to be found out, or when it
    /// follows the tag.
    pub fn settled(&self) -> Option<&Pinned> {
        let pinned = self.pinned.as_ref()?;
        let is_settled = !self.follows && self.is_pinned() && pinned.at >= self.added_at;
        is_settled.then_some(pinned)
    }

    /// Whether it is pinned to what its reference meant.
    pub fn is_pinned(&self) -> bool {
        self.pinned.as_ref().is_some_and(|pinned| pinned.reference == self.reference)
    }
}

/// The name of an entry in its environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(String);

impl EntryId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An entry of an environment, by its names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EnvironmentTarget {
    /// The environment.
    pub stream: StreamName,
    /// The entry.
    pub entry: EntryId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_by_tag_or_digest_and_latest_is_the_default() {
        let digest = Digest::of(b"1");
        for (text, shown) in [
            ("ecr/payments/api:1.4.2".to_owned(), None),
            (format!("ecr/payments/api@{digest}"), None),
            (format!("ecr/payments/api:1.4.2@{digest}"), None),
            ("ecr/payments/api".to_owned(), Some("ecr/payments/api:latest")),
        ] {
            let reference: ImageReference = text.parse().unwrap();
            assert_eq!(reference.to_string(), shown.unwrap_or(&text));
        }
        for wrong in ["api:1", "ecr/", "ecr/api:", "ecr/API:1", "ecr/api@sha256:12", "https://ecr/api", ""] {
            assert!(wrong.parse::<ImageReference>().is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn an_entry_replaces_those_of_its_repository_unless_it_is_kept() {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let entry =
            |text: &str, kept| EnvironmentEntry { kept, ..EnvironmentEntry::new(text.parse().unwrap(), at) };
        assert_eq!(entry("hub/web:1", false).id(), entry("hub/web:2", false).id());
        assert_ne!(entry("hub/web:1", true).id(), entry("hub/web:2", true).id());
    }

    #[test]
    fn an_image_without_a_tag_is_shown_by_its_digest() {
        let digest = Digest::of(b"1");
        let reference = format!("hub/web@{digest}").parse().unwrap();
        let entry = EnvironmentEntry::new(reference, "2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(entry.tag().as_str(), format!("sha256-{}", digest.hex()));
    }
}
