//! From a manifest to the images behind it: one for a single image, one for each wanted platform of an index.

use tidewatch_core::Digest;
use tidewatch_core::config::Config;
use tidewatch_core::image::{ManifestReference, Platform};
use tidewatch_core::manifest::{CONFIG_LIMIT, ChildKind, Classified, ImageConfig, classify, read_blob};
use tidewatch_core::names::{RegistryId, RepositoryName};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_store::records::TaggedImage;

/// The most manifests with attestations about one image. BuildKit writes one.
const ATTESTATIONS: usize = 8;

/// The images behind a manifest that are to be scanned, and what is said of the rest.
pub struct Found {
    /// The images, in the order of the wanted platforms.
    pub images: Vec<TaggedImage>,
    /// Why there are no images.
    pub skipped: Option<String>,
}

impl Found {
    const fn nothing(reason: String) -> Self {
        Self { images: Vec::new(), skipped: Some(reason) }
    }

    /// There are images of these platforms, and none of them is wanted.
    pub(crate) fn without_wanted<'a>(platforms: impl Iterator<Item = &'a Platform>) -> Self {
        let has: Vec<String> = platforms.map(ToString::to_string).collect();
        let has = if has.is_empty() { "no image that names one".to_owned() } else { has.join(", ") };
        Self::nothing(format!("it has none of the configured platforms, but: {has}"))
    }
}

/// Finds the images behind `reference`. What is no image, or has none of the wanted platforms, is skipped with a
/// reason; it is not an error.
pub async fn find_images(
    registry: &dyn Registry,
    id: &RegistryId,
    repository: &RepositoryName,
    reference: &ManifestReference,
    config: &Config,
) -> Result<Found, RegistryError> {
    let manifest = registry.manifest(repository, reference).await?;
    let mut attestations: Vec<(Digest, Digest)> = Vec::new();
    let candidates: Vec<(Digest, Platform)> = match classify(&manifest) {
        Err(error) => return Ok(Found::nothing(error.to_string())),
        Ok(Classified::NotAnImage { reason } | Classified::Unsupported { reason }) => {
            return Ok(Found::nothing(reason));
        }
        Ok(Classified::Index(children)) => {
            attestations.extend(children.iter().filter_map(|child| match child.kind {
                ChildKind::Attestation { subject } => Some((subject?, child.digest)),
                _ => None,
            }));
            children
                .into_iter()
                // Windows images are there to be named among what it has.
                .filter(|child| matches!(child.kind, ChildKind::Image | ChildKind::Windows))
                // An index that does not name the platform of a child leaves nothing to choose by.
                .filter_map(|child| Some((child.digest, child.platform?)))
                .collect()
        }
        Ok(Classified::Image { config: digest, .. }) => {
            let content = read_blob(registry, id, repository, &digest, CONFIG_LIMIT).await?;
            match ImageConfig::parse(&content).map(|config| config.platform) {
                Err(error) => return Ok(Found::nothing(error.to_string())),
                Ok(None) => return Ok(Found::nothing("its configuration names no platform".to_owned())),
                Ok(Some(platform)) => vec![(manifest.digest, platform)],
            }
        }
    };
    let mut found = choose(&candidates, &config.platforms);
    for image in &mut found.images {
        let about_it = attestations.iter().filter(|(subject, _)| *subject == image.digest);
        image.attestations = Some(about_it.map(|(_, digest)| *digest).take(ATTESTATIONS).collect());
    }
    Ok(found)
}

/// The wanted platforms among `candidates`, of which the gauges count one: linux/amd64, else the first wanted.
fn choose(candidates: &[(Digest, Platform)], wanted: &[Platform]) -> Found {
    let mut images: Vec<TaggedImage> = Vec::new();
    for platform in wanted {
        let first = candidates.iter().find(|(_, candidate)| candidate == platform);
        images.extend(first.map(|(digest, platform)| TaggedImage {
            digest: *digest,
            platform: platform.clone(),
            counted: false,
            attestations: None,
        }));
    }
    if images.is_empty() {
        return Found::without_wanted(candidates.iter().map(|(_, platform)| platform));
    }
    let amd64 = images.iter().position(|image| image.platform == Platform::linux_amd64());
    images[amd64.unwrap_or(0)].counted = true;
    Found { images, skipped: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(candidates: &[&str], wanted: &[&str]) -> Vec<(String, bool)> {
        let parse = |platform: &&str| platform.parse::<Platform>().unwrap();
        let candidates: Vec<_> =
            candidates.iter().map(|platform| (Digest::of(platform.as_bytes()), parse(platform))).collect();
        let wanted: Vec<Platform> = wanted.iter().map(parse).collect();
        let images = choose(&candidates, &wanted).images;
        images.into_iter().map(|image| (image.platform.to_string(), image.counted)).collect()
    }

    #[test]
    fn the_gauges_count_linux_amd64_wherever_it_stands() {
        let found = chosen(&["linux/arm64", "linux/amd64", "linux/s390x"], &["linux/arm64", "linux/amd64"]);
        assert_eq!(found, [("linux/arm64".to_owned(), false), ("linux/amd64".to_owned(), true)]);
    }

    #[test]
    fn without_linux_amd64_the_gauges_count_the_first_configured_platform() {
        let found = chosen(&["linux/s390x", "linux/arm64"], &["linux/amd64", "linux/arm64", "linux/s390x"]);
        assert_eq!(found, [("linux/arm64".to_owned(), true), ("linux/s390x".to_owned(), false)]);
    }

    #[test]
    fn an_image_without_a_wanted_platform_is_skipped() {
        assert!(chosen(&["linux/s390x"], &["linux/amd64"]).is_empty());
    }
}
