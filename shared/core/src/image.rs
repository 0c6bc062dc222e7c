//! Images and where they are: platforms, references, and the unit of work.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::names::{RegistryId, RepositoryName, Tag};

/// `OS/ARCHITECTURE[/VARIANT]` in Go's words. The variants `v8` of arm64 and `v1` of amd64 mean the same as none.
///
/// [Specification](https://github.com/opencontainers/image-spec/blob/main/image-index.md#platform-variants)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend(
    "pattern" = "^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?$",
    "examples" = ["linux/amd64", "linux/arm64", "linux/arm/v7"]
))]
pub struct Platform {
    /// Operating system: `linux`.
    pub os: String,
    /// Architecture in Go's words: `amd64`, `arm64`, `arm`.
    pub architecture: String,
    /// Variant of the architecture: `v7`. The variants `v8` of arm64 and `v1` of amd64 are the defaults and left out.
    pub variant: Option<String>,
}

/// A text that is not a platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read {0:?} as a platform: expected OS/ARCHITECTURE[/VARIANT], for example linux/amd64")]
pub struct PlatformError(String);

impl Platform {
    /// A platform; default variants are dropped, so that equal platforms compare equal.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let variant = variant.filter(|variant| {
            !variant.is_empty() && !matches!((architecture, *variant), ("arm64", "v8") | ("amd64", "v1"))
        });
        Self { os: os.to_owned(), architecture: architecture.to_owned(), variant: variant.map(str::to_owned) }
    }

    /// `linux/amd64`.
    pub fn linux_amd64() -> Self {
        Self::new("linux", "amd64", None)
    }

    /// `linux/arm64`.
    pub fn linux_arm64() -> Self {
        Self::new("linux", "arm64", None)
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let valid = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-' || b == b'_')
        };
        match parts.as_slice() {
            [os, architecture, variant @ ..] if parts.iter().all(valid) && variant.len() <= 1 => {
                Ok(Self::new(os, architecture, variant.first().copied()))
            }
            _ => Err(PlatformError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Platform {
    type Error = PlatformError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// One image to scan: the unit of work. The digest is that of the platform's own manifest, never of an index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Image {
    /// The registry of the configuration that holds it.
    pub registry: RegistryId,
    /// The repository within the registry.
    pub repository: RepositoryName,
    /// Digest of the image's manifest.
    pub digest: Digest,
    /// The platform of the image.
    pub platform: Platform,
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{} ({})", self.registry, self.repository, self.digest, self.platform)
    }
}

/// One image whatever repository it is in: what results are recorded for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImageId {
    /// Digest of the image's manifest.
    pub digest: Digest,
    /// The platform of the image.
    pub platform: Platform,
}

impl Image {
    /// The image whatever repository it is in.
    pub fn id(&self) -> ImageId {
        ImageId { digest: self.digest, platform: self.platform.clone() }
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.digest, self.platform)
    }
}

/// What names a manifest in a repository: a tag, or a digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ManifestReference {
    /// A tag, which can move.
    Tag(Tag),
    /// A digest, which cannot.
    Digest(Digest),
}

impl fmt::Display for ManifestReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => fmt::Display::fmt(tag, f),
            Self::Digest(digest) => fmt::Display::fmt(digest, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_variants_do_not_make_another_platform() {
        assert_eq!("linux/arm64/v8".parse::<Platform>(), Ok(Platform::linux_arm64()));
        assert_ne!("linux/arm/v7".parse::<Platform>(), "linux/arm/v6".parse::<Platform>());
    }

    #[test]
    fn a_platform_needs_an_operating_system_and_an_architecture() {
        for bad in ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "linux/am d64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad:?} was taken");
        }
    }
}
