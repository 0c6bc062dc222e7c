//! Reads what a manifest leads to beside its layers: small blobs, each whole and checked.

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use jiff::Timestamp;

use super::{CONFIG_LIMIT, ImageConfig, named_base};
use crate::Digest;
use crate::metadata::{ConfigMetadata, ManifestMetadata};
use crate::names::{RegistryId, RepositoryName};
use crate::ports::Registry;
use crate::ports::registry::{RawManifest, RegistryError};

/// When the image of `manifest` was made, and what else its configuration, the blob `config`, and its annotations say. An
/// image whose configuration cannot be read still has layers that can: then nothing is known of either. `id` names the
/// registry in errors.
pub async fn read_config(
    registry: &dyn Registry,
    id: &RegistryId,
    repository: &RepositoryName,
    manifest: &RawManifest,
    config: &Digest,
) -> Result<(Option<Timestamp>, ManifestMetadata), RegistryError> {
    let bytes = read_blob(registry, id, repository, config, CONFIG_LIMIT).await?;
    let config = ImageConfig::parse(&bytes).ok();
    let created_at = config.as_ref().and_then(|config| config.created);
    let base = named_base(manifest);
    let config = config.map(|config| ConfigMetadata { user: config.user });
    Ok((created_at, ManifestMetadata { config, base, attested: None }))
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
