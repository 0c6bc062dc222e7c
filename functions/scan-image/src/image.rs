//! What is known of an image before its layers are read: from our own store, or else from the registry.

use std::sync::Arc;

use tidewatch_core::config::Config;
use tidewatch_core::image::{Image, ManifestReference};
use tidewatch_core::manifest::{Classified, classify, media_type, read_config};
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{Referrer, RegistryError};
use tidewatch_core::result::ImageResult;
use tidewatch_core::work::Work;
use tidewatch_core::{Digest, Retry, Retryable as _};
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{ImageManifest, RecordError};

use crate::{AttestedImage, ScanError, ScanImage, read_attestations};

/// How many manifests with attestations about one image are kept, before those of earlier indexes are left out.
const MOST_ATTESTED: usize = 32;

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
    /// Where the registry never will give that, what was kept will do.
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
            let is_asked = config.registry(&image.registry).is_some_and(|registry| registry.referrers);
            fetch_manifest(&*registry, work, kept.as_ref(), is_asked).await
        };
        match (fetched.await, &kept) {
            (Ok(manifest), _) => {
                self.records.put_image_manifest(org, &image.digest, &manifest).await?;
                Ok(manifest)
            }
            (Err(error), Some(kept)) if error.retry() == Retry::Never || kept.said.is_none() => {
                tracing::warn!(
                    org.name = %org, image = %image, error = describe(&error),
                    "what else is known of an image cannot be read"
                );
                Ok(kept.clone())
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Whether a result holds what is known of its image beside the packages: all that its manifest and its attestations say,
    /// and what the tag of its base points to.
    pub(crate) async fn holds_all(
        &self,
        org: &OrgName,
        config: &Config,
        work: &Work,
        result: &ImageResult,
    ) -> Result<bool, ScanError> {
        let manifest = self.manifest(org, config, work).await?;
        let Some(known) = self.records.image_metadata(org, result.metadata).await? else { return Ok(false) };
        Ok(known.holds(manifest.said) && !self.has_moved(org, &known).await?)
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

/// Asks for the manifest, its configuration, and the attestations that were not read `before`: those that were stay, also when
/// they are in another repository. What was attached after the build is asked for where `is_attached_asked`.
async fn fetch_manifest(
    registry: &dyn Registry,
    work: &Work,
    before: Option<&ImageManifest>,
    is_attached_asked: bool,
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
    let before = before.and_then(|before| before.said.clone()?.attested);
    let attached = if is_attached_asked { Some(attached(registry, work).await?) } else { None };
    let known = work.attestations.iter().chain(&attached).flatten().copied();
    let known = (work.attestations.is_some() || attached.is_some()).then(|| known.collect::<Vec<_>>());
    said.attested = match &known {
        None => before,
        Some(manifests) => {
            // Builds that give the same image again and again attest it each time: the newest ones will do.
            let before = before.filter(|before| before.manifests.len() < MOST_ATTESTED).unwrap_or_default();
            let is_new = |digest: &&Digest| !before.manifests.contains(digest);
            let new: Vec<Digest> = manifests.iter().filter(is_new).copied().collect();
            let layers: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
            let (registry_id, repository) = (&image.registry, &image.repository);
            let attested =
                AttestedImage { registry: registry_id, repository, digest: &image.digest, layers: &layers };
            Some(read_attestations(registry, attested, &new).await?.after(before))
        }
    };
    Ok(ImageManifest { layers, created_at, said: Some(said) })
}

/// The manifests that were attached to the image after its build, and may hold attestations about it.
async fn attached(registry: &dyn Registry, work: &Work) -> Result<Vec<Digest>, RegistryError> {
    let Image { repository, digest, .. } = &work.image;
    let referrers = match registry.referrers(repository, digest).await {
        // An image can be read whether it is told what refers to it or not.
        Err(
            error @ (RegistryError::Denied { .. }
            | RegistryError::NotFound { .. }
            | RegistryError::Invalid { .. }),
        ) => {
            tracing::warn!(
                registry.id = %work.image.registry, image = %work.image, error = describe(&error),
                "what was attached to an image cannot be listed"
            );
            Vec::new()
        }
        referrers => referrers?,
    };
    let may_be = |referrer: &Referrer| media_type::may_be_attestation(&referrer.artifact_type);
    Ok(referrers.into_iter().filter(may_be).map(|referrer| referrer.digest).take(MOST_ATTESTED).collect())
}
