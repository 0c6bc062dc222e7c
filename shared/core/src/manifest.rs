//! What a manifest is: an index, an image, or something that is no image and is skipped with its reason. Pure: it
//! reads bytes that a [`Registry`](crate::ports::Registry) gave and asks nobody anything.
//!
//! Specification: <https://github.com/opencontainers/image-spec/blob/main/manifest.md>,
//! <https://github.com/opencontainers/image-spec/blob/main/image-index.md>

mod attestation;
mod config;
mod document;
pub mod media_type;
mod reading;
#[cfg(test)]
mod tests;

pub use attestation::{AttestationBlob, attestation_blobs};
pub use config::{CONFIG_LIMIT, HistoryStep, ImageConfig};
pub use reading::{read_blob, read_config};

use serde::{Deserialize, Serialize};

use crate::base::with_host;
use crate::digest::Digest;
use crate::image::Platform;
use crate::metadata::{BaseEvidence, BaseImage};
use crate::names::Tag;
use crate::ports::registry::RawManifest;
use crate::retry::{Retry, Retryable};

use document::{Descriptor, Document};

/// What a manifest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Classified {
    /// Several manifests, usually one for each platform, in the order of the index.
    Index(Vec<ChildManifest>),
    /// One image.
    Image {
        /// Digest of the config blob, which [`ImageConfig::parse`] reads.
        config: Digest,
        /// The layers, base first.
        layers: Vec<LayerDescriptor>,
    },
    /// A signature, an attestation, a chart or another artifact: nothing to scan, and no failure.
    NotAnImage {
        /// What it is, a lower-case fragment.
        reason: String,
    },
    /// An image in a form that Tidewatch does not read: nothing to try again.
    Unsupported {
        /// What the form is, a lower-case fragment.
        reason: String,
    },
}

/// A manifest that an index names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildManifest {
    /// Digest of the manifest.
    pub digest: Digest,
    /// The platform that the index gives; `None` when it gives none, and then the image's config tells it.
    pub platform: Option<Platform>,
    /// What the index says it is.
    pub kind: ChildKind,
}

/// What a manifest in an index is, as far as the index tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildKind {
    /// An image to scan when its platform is wanted.
    Image,
    /// Another index.
    Index,
    /// An attestation of BuildKit about another child.
    ///
    /// Specification: <https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md>
    Attestation {
        /// The child that it is about.
        subject: Option<Digest>,
    },
    /// An image for Windows, which has no packages that Tidewatch reads.
    Windows,
    /// Anything else that is no image.
    Artifact {
        /// What it is, a lower-case fragment.
        reason: String,
    },
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerDescriptor {
    /// Digest of the blob as it lies in the registry.
    pub digest: Digest,
    /// Bytes of the blob as the manifest says: a claim, until the blob was read.
    pub size: u64,
    /// The media type as it stands in the manifest.
    pub media_type: String,
    /// What the media type means.
    pub kind: LayerKind,
}

/// Whether a layer can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerKind {
    /// A tar archive, compressed or not: the first bytes tell how, because media types of Docker do not.
    Tar,
    /// A layer that the registry does not hold. The addresses that the manifest gives for it are never fetched: they
    /// can name any host (CVE-2020-15157).
    Foreign,
    /// Something that is no tar archive.
    Unknown,
}

/// A manifest or config that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not JSON, or not of the shape that its specification gives.
    #[error("failed to read {what} {digest}")]
    Malformed {
        /// `manifest` or `config`.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// Where reading stopped.
        source: serde_json::Error,
    },
    /// It has the keys of an index and of an image, so that two readers could see two images (CVE-2021-41190).
    #[error("failed to read manifest {digest}: it is an index and an image at once")]
    Ambiguous {
        /// Its digest.
        digest: Digest,
    },
    /// It has the keys of neither an index nor an image.
    #[error(
        "failed to read manifest {digest}: it is neither an index nor an image (media type {media_type:?})"
    )]
    Unrecognised {
        /// Its digest.
        digest: Digest,
        /// The media type that it or the registry named.
        media_type: String,
    },
}

impl Retryable for ManifestError {
    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// Says what `manifest` is. The media type inside the document counts more than the one that the registry named; where
/// neither is known, the keys of the document decide.
pub fn classify(manifest: &RawManifest) -> Result<Classified, ManifestError> {
    let digest = manifest.digest;
    // The digest of a signed schema 1 manifest is not that of its bytes, so whatever is served as one is never used.
    if media_type::is_schema_1(&manifest.media_type) {
        return Ok(schema_1());
    }
    let document: Document = serde_json::from_slice(&manifest.bytes)
        .map_err(|source| ManifestError::Malformed { what: "manifest", digest, source })?;
    let named = document.media_type.as_deref().unwrap_or(&manifest.media_type);
    if document.schema_version == Some(1) || media_type::is_schema_1(named) {
        return Ok(schema_1());
    }
    if named == media_type::OCI_ARTIFACT {
        return Ok(not_an_image(format!(
            "artifact of type {:?}",
            document.artifact_type.unwrap_or_default()
        )));
    }
    match document {
        Document { manifests: Some(_), config, layers, .. } if config.is_some() || layers.is_some() => {
            Err(ManifestError::Ambiguous { digest })
        }
        Document { manifests: Some(manifests), artifact_type, subject, .. } => {
            Ok(artifact_reason(artifact_type.as_deref(), subject.is_some())
                .map_or_else(|| Classified::Index(manifests.into_iter().map(child).collect()), not_an_image))
        }
        Document { config: Some(config), layers, artifact_type, subject, .. } => {
            Ok(image(&config, layers.unwrap_or_default(), artifact_type.as_deref(), subject.is_some()))
        }
        Document { media_type, .. } => {
            let media_type = media_type.unwrap_or_else(|| manifest.media_type.clone());
            Err(ManifestError::Unrecognised { digest, media_type })
        }
    }
}

/// The image that an image names as its base, by the annotations of its manifest; `None` where it names none. What its tag
/// points to now is not known of it. Labels do not count: an image inherits those of its base.
///
/// Specification: <https://github.com/opencontainers/image-spec/blob/main/annotations.md#pre-defined-annotation-keys>
pub fn named_base(manifest: &RawManifest) -> Option<BaseImage> {
    let document: Option<Document> = serde_json::from_slice(&manifest.bytes).ok();
    let annotations = document.map(|document| document.annotations).unwrap_or_default();
    let annotated = |key: &str| annotations.get(key).and_then(|value| value.as_str());
    let (name, digest) = (annotated(BASE_NAME)?, annotated(BASE_DIGEST));
    let is_name =
        (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then(|| BaseImage {
        reference: with_host(name),
        digest: digest.and_then(|digest| digest.parse().ok()),
        evidence: BaseEvidence::Annotation,
        current: None,
    })
}

/// Whether `tag` is one that signing tools make beside an image: `sha256-<64 hex>`, alone or with `.sig`, `.att` or
/// `.sbom`. What it points to is never an image.
///
/// Specification: <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>
pub fn is_artifact_tag(tag: &Tag) -> bool {
    let Some(rest) = tag.as_str().strip_prefix("sha256-") else { return false };
    let (hex, suffix) = rest.split_once('.').map_or((rest, None), |(hex, suffix)| (hex, Some(suffix)));
    hex.len() == 64
        && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        && matches!(suffix, None | Some("sig" | "att" | "sbom"))
}

fn schema_1() -> Classified {
    Classified::Unsupported { reason: "manifest of schema 1".to_owned() }
}

fn not_an_image(reason: String) -> Classified {
    Classified::NotAnImage { reason }
}

/// Why something with this artifact type or subject is no image. An artifact type that is an image's own config type
/// says nothing more than the config does.
fn artifact_reason(artifact_type: Option<&str>, has_subject: bool) -> Option<String> {
    match artifact_type.filter(|name| !name.is_empty() && !media_type::is_image_config(name)) {
        Some(name) => Some(format!("artifact of type {name:?}")),
        None if has_subject => Some("artifact that refers to another manifest".to_owned()),
        None => None,
    }
}

fn image(
    config: &Descriptor,
    layers: Vec<Descriptor>,
    artifact_type: Option<&str>,
    has_subject: bool,
) -> Classified {
    if let Some(reason) = artifact_reason(artifact_type, has_subject) {
        return not_an_image(reason);
    }
    if !media_type::is_image_config(&config.media_type) {
        return not_an_image(format!("artifact with a config of type {:?}", config.media_type));
    }
    // Signatures and attestations carry the config of an ordinary image; only their layers tell.
    if let Some(layer) = layers.iter().find(|layer| media_type::is_statement(&layer.media_type)) {
        return not_an_image(format!("signature or attestation of type {:?}", layer.media_type));
    }
    let layers = layers.into_iter().map(LayerDescriptor::from).collect();
    Classified::Image { config: config.digest, layers }
}

impl From<Descriptor> for LayerDescriptor {
    fn from(layer: Descriptor) -> Self {
        let kind = if media_type::is_foreign_layer(&layer.media_type) || !layer.urls.is_empty() {
            LayerKind::Foreign
        } else if media_type::is_tar_layer(&layer.media_type) {
            LayerKind::Tar
        } else {
            LayerKind::Unknown
        };
        Self { digest: layer.digest, size: layer.size, media_type: layer.media_type, kind }
    }
}

/// The annotations that name the image that an image is based on.
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// The longest name of an image in bytes: more than any registry takes.
const LONGEST_NAME: usize = 512;

/// BuildKit's annotation that says what a child of an index is about another child.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// BuildKit's annotation that names the other child.
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

fn child(descriptor: Descriptor) -> ChildManifest {
    let kind = child_kind(&descriptor);
    let platform = descriptor.platform.and_then(|platform| platform.known());
    ChildManifest { digest: descriptor.digest, platform, kind }
}

fn child_kind(descriptor: &Descriptor) -> ChildKind {
    let artifact = |reason: String| ChildKind::Artifact { reason };
    match descriptor.annotations.get(REFERENCE_TYPE).map(String::as_str) {
        Some("attestation-manifest") => {
            let subject = descriptor.annotations.get(REFERENCE_DIGEST).and_then(|digest| digest.parse().ok());
            return ChildKind::Attestation { subject };
        }
        Some(other) => return artifact(format!("manifest of reference type {other:?}")),
        None => {}
    }
    if let Some(reason) = artifact_reason(descriptor.artifact_type.as_deref(), false) {
        return artifact(reason);
    }
    if media_type::is_index(&descriptor.media_type) {
        return ChildKind::Index;
    }
    if !media_type::is_image_manifest(&descriptor.media_type) {
        return artifact(format!("manifest of type {:?}", descriptor.media_type));
    }
    match &descriptor.platform {
        Some(platform) if platform.is_unknown() => {
            artifact("manifest for the platform unknown/unknown".to_owned())
        }
        Some(platform) if platform.os == "windows" => ChildKind::Windows,
        _ => ChildKind::Image,
    }
}
