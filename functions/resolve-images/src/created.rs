//! When the image was made that stands for what a tag points to: the one that the gauges count. Rules ask for it that look at
//! the age of images.

use jiff::Timestamp;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::manifest::{CONFIG_LIMIT, Classified, ImageConfig, classify, read_blob};
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_store::records::TaggedImage;

use crate::ResolveError;
use crate::tag::Tags;

impl Tags<'_> {
    /// When it was made, by its configuration: from what a scan has stored, else from the registry; none within that where
    /// there is no image, or its configuration does not say it or cannot be read. `None` when the registry does not have it:
    /// that can pass.
    pub(crate) async fn created_at(
        &self,
        images: &[TaggedImage],
    ) -> Result<Option<Option<Timestamp>>, ResolveError> {
        let Some(counted) = images.iter().find(|image| image.counted).or(images.first()) else {
            return Ok(Some(None));
        };
        if let Some(manifest) = self.records.image_manifest(self.org, &counted.digest).await? {
            return Ok(Some(manifest.created_at));
        }
        let reference = ManifestReference::Digest(counted.digest);
        let manifest = match self.registry.manifest(self.repository, &reference).await {
            Err(RegistryError::NotFound { .. }) => return Ok(None),
            manifest => manifest?,
        };
        let Ok(Classified::Image { config, .. }) = classify(&manifest) else { return Ok(Some(None)) };
        let content = read_blob(self.registry, self.id, self.repository, &config, CONFIG_LIMIT).await;
        match content {
            Err(RegistryError::NotFound { .. }) => Ok(None),
            content => Ok(Some(ImageConfig::parse(&content?).ok().and_then(|config| config.created))),
        }
    }
}
