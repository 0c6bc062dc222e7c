//! What is known of an image before its layers are read: from our own store, or else from the registry.

use std::sync::Arc;

use tidewatch_core::config::Config;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::manifest::{CONFIG_LIMIT, Classified, ImageConfig, classify, read_blob};
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
    /// cannot be read.
    pub(crate) async fn manifest(
        &self,
        org: &OrgName,
        config: &Config,
        work: &Work,
    ) -> Result<ImageManifest, ScanError> {
        let image = &work.image;
        match self.records.image_manifest(org, &image.digest).await {
            Ok(Some(manifest)) => return Ok(manifest),
            Ok(None) | Err(RecordError::Corrupt { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let registry = self.registry(config, work).await?;
        let manifest = fetch_manifest(&*registry, work).await?;
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
            let bytes =
                read_blob(registry, &image.registry, &image.repository, &config, CONFIG_LIMIT).await?;
            // An image whose configuration cannot be read still has layers that can.
            let created_at = ImageConfig::parse(&bytes).ok().and_then(|config| config.created);
            Ok(ImageManifest { layers, created_at })
        }
        Classified::Index(_) => Err(unreadable("it is an index where an image was expected".to_owned())),
        Classified::NotAnImage { reason } | Classified::Unsupported { reason } => Err(unreadable(reason)),
    }
}
