//! What is known of an image before its layers are read: from our own store, or else from the registry.

use std::sync::Arc;

use tidewatch_core::config::Config;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::manifest::{Classified, classify, read_config};
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::Registry;
use tidewatch_core::work::Work;
use tidewatch_store::records::{ImageManifest, RecordError};

use crate::{ScanError, ScanImage};

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
    /// cannot be read, or says less than this version wants to know. Then it will do if the registry does not answer.
    pub(crate) async fn manifest(
        &self,
        org: &OrgName,
        config: &Config,
        work: &Work,
    ) -> Result<ImageManifest, ScanError> {
        let image = &work.image;
        let kept = match self.records.image_manifest(org, &image.digest).await {
            Ok(Some(manifest)) if manifest.said.is_some() => return Ok(manifest),
            Ok(kept) => kept,
            Err(RecordError::Corrupt { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let fetched = async { fetch_manifest(&*self.registry(config, work).await?, work).await };
        let manifest = match (fetched.await, kept) {
            (Ok(manifest), _) => manifest,
            (Err(_), Some(kept)) => return Ok(kept),
            (Err(error), None) => return Err(error),
        };
        self.records.put_image_manifest(org, &image.digest, &manifest).await?;
        Ok(manifest)
    }
}

async fn fetch_manifest(registry: &dyn Registry, work: &Work) -> Result<ImageManifest, ScanError> {
    let image = &work.image;
    let unreadable = |reason: String| ScanError::Manifest { digest: image.digest, reason };
    let raw = registry.manifest(&image.repository, &ManifestReference::Digest(image.digest)).await?;
    match classify(&raw).map_err(|error| unreadable(error.to_string()))? {
        Classified::Image { config, layers } => {
            let (created_at, said) =
                read_config(registry, &image.registry, &image.repository, &raw, &config).await?;
            Ok(ImageManifest { layers, created_at, said: Some(said) })
        }
        Classified::Index(_) => Err(unreadable("it is an index where an image was expected".to_owned())),
        Classified::NotAnImage { reason } | Classified::Unsupported { reason } => Err(unreadable(reason)),
    }
}
