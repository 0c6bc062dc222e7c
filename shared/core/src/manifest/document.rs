//! The JSON of manifests and indexes: the keys that classification looks at, all in one document because a manifest
//! need not say which of the two it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::digest::Digest;
use crate::image::Platform;

/// A manifest or an index.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    pub(super) schema_version: Option<u32>,
    pub(super) media_type: Option<String>,
    pub(super) artifact_type: Option<String>,
    pub(super) manifests: Option<Vec<Descriptor>>,
    pub(super) config: Option<Descriptor>,
    pub(super) layers: Option<Vec<Descriptor>>,
    pub(super) subject: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    pub(super) annotations: serde_json::Value,
}

/// What names a blob or a manifest.
///
/// Specification: <https://github.com/opencontainers/image-spec/blob/main/descriptor.md>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: Digest,
    #[serde(default)]
    pub(super) size: u64,
    pub(super) artifact_type: Option<String>,
    pub(super) platform: Option<PlatformDocument>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(super) urls: Vec<String>,
}

/// A platform as an index or a config gives it; each part can be missing.
#[derive(Deserialize)]
pub(super) struct PlatformDocument {
    #[serde(default)]
    pub(super) os: String,
    #[serde(default)]
    pub(super) architecture: String,
    pub(super) variant: Option<String>,
}

impl PlatformDocument {
    /// Whether it is the platform that BuildKit gives to what is no image.
    pub(super) fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }

    /// The platform, when operating system and architecture are given and fit to stand in `linux/amd64`.
    pub(super) fn known(&self) -> Option<Platform> {
        let platform = Platform::new(&self.os, &self.architecture, self.variant.as_deref());
        let readable = platform.to_string().parse().is_ok_and(|read: Platform| read == platform);
        (readable && !self.is_unknown()).then_some(platform)
    }
}

/// Go writes an absent list or map as `null`.
fn null_is_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
