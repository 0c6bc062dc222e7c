//! The image that an image is built on: the one that its provenance proves or its annotations name, else the one that we know
//! with the most of its first layers, else the only one that went into its build; and what its tag points to now.

use tidewatch_core::base::{BaseStanding, BaseTag, ask, chains, reference};
use tidewatch_core::config::Config;
use tidewatch_core::metadata::{BaseEvidence, BaseImage, ImageMetadata};
use tidewatch_core::names::OrgName;
use tidewatch_core::work::Work;
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{ImageManifest, LayeredImage, RecordError};

use crate::{ScanError, ScanImage};

impl ScanImage {
    /// What is known of the image, with its base as it stands now. Notes by which layers the image is found as the base of
    /// others, and on what it is built: who finds that the base's tag has moved looks for it.
    pub(crate) async fn with_base(
        &self,
        org: &OrgName,
        config: &Config,
        (work, manifest): (&Work, &ImageManifest),
        metadata: ImageMetadata,
    ) -> Result<ImageMetadata, ScanError> {
        let metadata = self.by_layers(org, config, (work, manifest), metadata).await?;
        let Some(base) = &metadata.base else { return Ok(metadata) };
        let Some(tag) = BaseTag::parse(&base.reference) else { return Ok(metadata) };
        self.records.put_on_base(org, &base.reference, &work.image.id()).await?;
        let standing = match self.records.base_standing(org, &base.reference).await? {
            Some(standing) => Some(standing),
            None => self.ask_for_base(org, config, &base.reference, &tag).await?,
        };
        let base = standing.map_or_else(|| base.clone(), |standing| standing.of(base));
        Ok(ImageMetadata { base: Some(base), ..metadata })
    }

    /// Whether the tag of the base points to something else than what is known of the image.
    pub(crate) async fn has_moved(
        &self,
        org: &OrgName,
        metadata: &ImageMetadata,
    ) -> Result<bool, RecordError> {
        let Some(base) = &metadata.base else { return Ok(false) };
        let standing = self.records.base_standing(org, &base.reference).await?;
        Ok(standing.is_some_and(|standing| standing.of(base) != *base))
    }

    async fn by_layers(
        &self,
        org: &OrgName,
        config: &Config,
        (work, manifest): (&Work, &ImageManifest),
        metadata: ImageMetadata,
    ) -> Result<ImageMetadata, ScanError> {
        let layers: Vec<_> = manifest.layers.iter().map(|layer| layer.digest).collect();
        let chains = chains(&layers);
        let Some((own, beneath)) = chains.split_last().filter(|_| chains.len() == layers.len()) else {
            return Ok(metadata);
        };
        let image = &work.image;
        let layered = LayeredImage {
            registry: image.registry.clone(),
            repository: image.repository.clone(),
            tag: work.tag.clone(),
            digest: image.digest,
        };
        self.records.put_layered(org, own, &layered).await?;
        if metadata.base.is_some() {
            return Ok(metadata);
        }
        let found = self.records.most_layered(org, beneath, (&image.registry, &image.repository)).await?;
        let base = found.and_then(|LayeredImage { registry, repository, tag, digest }| {
            let reference = reference(config, &registry, &repository, &tag)?;
            Some(BaseImage { reference, digest: Some(digest), evidence: BaseEvidence::Layers, current: None })
        });
        if base.is_none() {
            let only = metadata.clone().or_only_image(manifest.said.as_ref());
            if only.base.is_some() {
                return Ok(only);
            }
        }
        let nothing = "no known image has its first layers";
        let base_unknown_because = base.is_none().then(|| match metadata.base_unknown_because {
            Some(reason) => format!("{reason}, and {nothing}"),
            None => nothing.to_owned(),
        });
        Ok(ImageMetadata { base, base_unknown_because, ..metadata })
    }

    /// Asks the registry of a base that nobody has asked for yet. Where it does not answer, it is asked again later.
    async fn ask_for_base(
        &self,
        org: &OrgName,
        config: &Config,
        base: &str,
        tag: &BaseTag,
    ) -> Result<Option<BaseStanding>, ScanError> {
        let Some(registry) = tag.registry(config) else { return Ok(None) };
        let now = self.clock.now();
        let asked = async { ask(&*self.registries.open(registry).await?, tag, None, now).await };
        match asked.await {
            Ok(standing) => {
                self.records.put_base_standing(org, base, &standing).await?;
                Ok(self.records.base_standing(org, base).await?)
            }
            Err(error) => {
                let error = describe(&error);
                tracing::debug!(org.name = %org, image.base = base, error, "base image cannot be resolved");
                Ok(None)
            }
        }
    }
}
