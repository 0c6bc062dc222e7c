//! The config of an image, as far as listing and rules need it: the platform, and when the image was made.
//!
//! Specification: <https://github.com/opencontainers/image-spec/blob/main/config.md>

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use serde::Deserialize;

use super::ManifestError;
use super::document::PlatformDocument;
use crate::Timestamp;
use crate::digest::Digest;
use crate::image::Platform;
use crate::names::{RegistryId, RepositoryName};
use crate::ports::Registry;
use crate::ports::registry::RegistryError;

/// Bytes that a config may have. Configs are some kilobytes; what is larger is no config.
pub const CONFIG_LIMIT: usize = 4 << 20;

/// 1990-01-01T00:00:00Z. Reproducible builds write a created time before it (year 1, 1970, 1980), which tells nothing.
const FIRST_CREATED: Timestamp = Timestamp::constant(631_152_000, 0);

/// What the config of an image says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    /// The platform; `None` when the config names none.
    pub platform: Option<Platform>,
    /// When the image was made; `None` when the config gives no time, none that can be read, or one before 1990.
    pub created: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(flatten)]
    platform: PlatformDocument,
    created: Option<serde_json::Value>,
}

impl ImageConfig {
    /// Reads a config blob, whose bytes were checked against its digest.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let document: Document = serde_json::from_slice(bytes).map_err(|source| {
            ManifestError::Malformed { what: "config", digest: Digest::of(bytes), source }
        })?;
        let created = document.created.as_ref().and_then(serde_json::Value::as_str);
        let created = created.and_then(|text| text.parse().ok()).filter(|time| *time >= FIRST_CREATED);
        Ok(Self { platform: document.platform.known(), created })
    }
}

/// A whole blob of at most `limit` bytes, checked against `digest`: for configs, not for layers. `id` names the
/// registry in errors.
pub async fn read_blob(
    registry: &dyn Registry,
    id: &RegistryId,
    repository: &RepositoryName,
    digest: &Digest,
    limit: usize,
) -> Result<Bytes, RegistryError> {
    let invalid = |reason: String| RegistryError::Invalid {
        registry: id.clone(),
        what: format!("blob {digest} of {repository}"),
        reason,
    };
    let mut stream = registry.blob(repository, digest).await?;
    let mut bytes = BytesMut::new();
    while let Some(chunk) = stream.try_next().await? {
        if bytes.len().saturating_add(chunk.len()) > limit {
            return Err(invalid(format!("it is larger than {limit} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    let bytes = bytes.freeze();
    let found = Digest::of(&bytes);
    if found == *digest { Ok(bytes) } else { Err(invalid(format!("its digest is {found}"))) }
}
