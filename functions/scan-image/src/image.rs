//! What is known of an image before its layers are read: from our own store, or else from the registry.

use std::sync::Arc;

use tidewatch_core::Digest;
use tidewatch_core::config::Config;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::manifest::{Classified, classify, read_config};
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::Registry;
use tidewatch_core::work::Work;
use tidewatch_store::records::{ImageManifest, RecordError};

use crate::{AttestedImage, ScanError, ScanImage, read_attestations};

impl ScanImage {
    /// The registry that holds the image.
    pub(crate) async fn registry(
        &self,
        config: &Config,
        work: &Work,
    ) -> Result<Arc<dyn Registry>, ScanError> {
        let id = &work.image.registry;
        let registry = config.registry(id).ok_or_else(|| ScanError::UnknownRegistry(id.clone()))?;
        Ok(self.registries.open(registry).await?)
    }

    /// The manifest of the image. A digest never changes, so it is asked for once; and again when what was kept of it
    /// cannot be read, or says less than this version wants to know, or when there are attestations that nobody has read.
    /// Then it will do if the registry does not answer.
    pub(crate) async fn manifest(
        &self,
        org: &OrgName,
        config: &Config,
        work: &Work,
    ) -> Result<ImageManifest, ScanError> {
        let image = &work.image;
        let kept = match self.records.image_manifest(org, &image.digest).await {
            Ok(Some(manifest)) if knows_all(&manifest, work) => return Ok(manifest),
            Ok(kept) => kept,
            Err(RecordError::Corrupt { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let fetched = async {
            let registry = self.registry(config, work).await?;
            fetch_manifest(&*registry, work, kept.as_ref()).await
        };
        let manifest = match (fetched.await, &kept) {
            (Ok(manifest), _) => manifest,
            (Err(_), Some(kept)) => return Ok(kept.clone()),
            (Err(error), None) => return Err(error),
        };
        self.records.put_image_manifest(org, &image.digest, &manifest).await?;
        Ok(manifest)
    }
}

/// Whether everything is kept that the manifest and the attestations of `work` say.
fn knows_all(manifest: &ImageManifest, work: &Work) -> bool {
    let Some(said) = &manifest.said else { return false };
    let known = said.attested.as_ref().map(|attested| &attested.manifests);
    match (&work.attestations, known) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wanted), Some(known)) => wanted.iter().all(|digest| known.contains(digest)),
    }
}

/// Asks for the manifest, its configuration and its attestations. Attestations that were known `before` stay: another index
/// holds them.
async fn fetch_manifest(
    registry: &dyn Registry,
    work: &Work,
    before: Option<&ImageManifest>,
) -> Result<ImageManifest, ScanError> {
    let image = &work.image;
    let unreadable = |reason: String| ScanError::Manifest { digest: image.digest, reason };
    let raw = registry.manifest(&image.repository, &ManifestReference::Digest(image.digest)).await?;
    let (layers, config) = match classify(&raw).map_err(|error| unreadable(error.to_string()))? {
        Classified::Image { config, layers } => (layers, config),
        Classified::Index(_) => {
            return Err(unreadable("it is an index where an image was expected".to_owned()));
        }
        Classified::NotAnImage { reason } | Classified::Unsupported { reason } => {
            return Err(unreadable(reason));
        }
    };
    let (created_at, mut said) =
        read_config(registry, &image.registry, &image.repository, &raw, &config).await?;
    let before = before.and_then(|before| before.said.as_ref()?.attested.as_ref());
    if let Some(manifests) = &work.attestations {
        let known = before.into_iter().flat_map(|before| &before.manifests);
        let manifests: Vec<Digest> = manifests.iter().chain(known).copied().collect();
        let digests: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
        let (id, repository) = (&image.registry, &image.repository);
        let attested = AttestedImage { registry: id, repository, digest: &image.digest, layers: &digests };
        said.attested = Some(read_attestations(registry, attested, &manifests).await?);
    } else {
        said.attested = before.cloned();
    }
    Ok(ImageManifest { layers, created_at, said: Some(said) })
}
