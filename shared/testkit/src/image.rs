//! Builds images and indexes out of layers, in the form of OCI or of Docker, and writes them as an OCI layout.
//!
//! Specification: <https://github.com/opencontainers/image-spec/blob/main/manifest.md>.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};
use tidewatch_core::image::Platform;
use tidewatch_core::{Digest, Timestamp};

use crate::layer::{Compression, Layer};

/// Whose media types an image has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManifestFormat {
    /// OCI image specification 1.
    #[default]
    Oci,
    /// Docker image manifest, version 2, schema 2. It knows no zstd: such layers keep OCI's media type.
    Docker,
}

impl ManifestFormat {
    /// Media type of an image manifest.
    pub const fn manifest(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.manifest.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    /// Media type of an index.
    pub const fn index(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.index.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    /// Media type of an image configuration.
    pub const fn config(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.config.v1+json",
            Self::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    /// Media type of a layer.
    pub const fn layer(self, compression: Compression) -> &'static str {
        match (self, compression) {
            (Self::Oci, Compression::None) => "application/vnd.oci.image.layer.v1.tar",
            (Self::Oci, Compression::Gzip) => "application/vnd.oci.image.layer.v1.tar+gzip",
            (_, Compression::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
            (Self::Docker, Compression::None) => "application/vnd.docker.image.rootfs.diff.tar",
            (Self::Docker, Compression::Gzip) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        }
    }
}

/// A manifest or index, as a registry holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its media type.
    pub media_type: String,
    /// Its bytes, JSON.
    pub bytes: Bytes,
}

/// An image, or an index of images: everything that a registry needs to serve it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltImage {
    /// Digest of the image's manifest, or of the index.
    pub digest: Digest,
    /// Platform of the image; `None` for an index.
    pub platform: Option<Platform>,
    /// The manifest or index, and for an index the manifests of its images.
    pub manifests: BTreeMap<Digest, Manifest>,
    /// The configurations and layers.
    pub blobs: BTreeMap<Digest, Bytes>,
}

impl BuiltImage {
    /// The image's own manifest, or the index.
    pub fn manifest(&self) -> &Manifest {
        &self.manifests[&self.digest]
    }

    fn descriptor(&self) -> Value {
        let manifest = self.manifest();
        let mut descriptor = descriptor(&manifest.media_type, &manifest.bytes);
        if let Some(platform) = &self.platform {
            descriptor["platform"] = json!({ "architecture": platform.architecture, "os": platform.os });
            if let Some(variant) = &platform.variant {
                descriptor["platform"]["variant"] = json!(variant);
            }
        }
        descriptor
    }
}

/// Builds an image of one platform.
#[derive(Clone, Debug)]
pub struct ImageBuilder {
    layers: Vec<Layer>,
    platform: Platform,
    created: Option<Timestamp>,
    user: Option<String>,
    annotations: BTreeMap<String, String>,
    format: ManifestFormat,
}

impl ImageBuilder {
    /// An image without layers for linux/amd64, in OCI's form, with no time of creation.
    pub fn new() -> Self {
        Self {
            layers: Vec::new(),
            platform: Platform::linux_amd64(),
            created: None,
            user: None,
            annotations: BTreeMap::new(),
            format: ManifestFormat::Oci,
        }
    }

    /// Adds a layer on top.
    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// Sets the platform.
    #[must_use]
    pub fn platform(mut self, platform: &Platform) -> Self {
        self.platform = platform.clone();
        self
    }

    /// Sets the time of creation.
    #[must_use]
    pub const fn created(mut self, created: Timestamp) -> Self {
        self.created = Some(created);
        self
    }

    /// Sets the user that a container runs as.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    /// Adds an annotation to the manifest.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets whose media types it has.
    #[must_use]
    pub const fn format(mut self, format: ManifestFormat) -> Self {
        self.format = format;
        self
    }

    /// The finished image.
    pub fn build(self) -> BuiltImage {
        let config = json_bytes(&self.config());
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|layer| descriptor(self.format.layer(layer.compression), &layer.bytes))
            .collect();
        let media_type = self.format.manifest();
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": descriptor(self.format.config(), &config),
            "layers": layers,
        });
        if !self.annotations.is_empty() {
            manifest["annotations"] = json!(self.annotations);
        }
        let manifest = json_bytes(&manifest);
        let digest = Digest::of(&manifest);
        let blobs = self.layers.into_iter().map(|layer| (layer.digest, layer.bytes));
        BuiltImage {
            digest,
            platform: Some(self.platform),
            manifests: BTreeMap::from([(
                digest,
                Manifest { media_type: media_type.to_owned(), bytes: manifest },
            )]),
            blobs: blobs.chain([(Digest::of(&config), config)]).collect(),
        }
    }

    fn config(&self) -> Value {
        let diff_ids: Vec<String> = self.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        let mut config = json!({
            "architecture": self.platform.architecture,
            "os": self.platform.os,
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        if let Some(variant) = &self.platform.variant {
            config["variant"] = json!(variant);
        }
        if let Some(created) = self.created {
            config["created"] = json!(created.to_string());
        }
        if let Some(user) = &self.user {
            config["config"]["User"] = json!(user);
        }
        config
    }
}

impl Default for ImageBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// Builds an index of images for several platforms.
#[derive(Clone, Debug, Default)]
pub struct IndexBuilder {
    images: Vec<BuiltImage>,
    attestations: Vec<(Value, BuiltImage)>,
    format: ManifestFormat,
}

impl IndexBuilder {
    /// An index without images, in OCI's form.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image.
    #[must_use]
    pub fn image(mut self, image: &BuiltImage) -> Self {
        self.images.push(image.clone());
        self
    }

    /// Adds attestations about `image`, as BuildKit attaches them: predicates, each with its type.
    #[must_use]
    pub fn attestations(mut self, image: &BuiltImage, predicates: &[(&str, Value)]) -> Self {
        let attestation = attestation(image, predicates);
        let mut descriptor = attestation.descriptor();
        descriptor["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        descriptor["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": image.digest,
        });
        self.attestations.push((descriptor, attestation));
        self
    }

    /// Sets whose media type it has.
    #[must_use]
    pub const fn format(mut self, format: ManifestFormat) -> Self {
        self.format = format;
        self
    }

    /// The finished index, with the manifests and blobs of its images.
    pub fn build(self) -> BuiltImage {
        let media_type = self.format.index();
        let images = self.images.iter().map(BuiltImage::descriptor);
        let attestations = self.attestations.iter().map(|(descriptor, _)| descriptor.clone());
        let descriptors: Vec<Value> = images.chain(attestations).collect();
        let bytes = json_bytes(&json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "manifests": descriptors,
        }));
        let digest = Digest::of(&bytes);
        let mut index = BuiltImage {
            digest,
            platform: None,
            manifests: BTreeMap::from([(digest, Manifest { media_type: media_type.to_owned(), bytes })]),
            blobs: BTreeMap::new(),
        };
        let attestations = self.attestations.into_iter().map(|(_, attestation)| attestation);
        for image in self.images.into_iter().chain(attestations) {
            index.manifests.extend(image.manifests);
            index.blobs.extend(image.blobs);
        }
        index
    }
}

/// An attestation about `image` as cosign attaches it after the build: a manifest that refers to the image, with a bundle that
/// holds the envelope of the statement.
///
/// Specification: <https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md>
pub fn attached_attestation(image: &BuiltImage, predicate_type: &str, predicate: &Value) -> BuiltImage {
    let statement = json_bytes(&json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": image.digest.hex()}}],
        "predicateType": predicate_type,
        "predicate": predicate,
    }));
    let bundle_type = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let payload = data_encoding::BASE64.encode(&statement);
    let bundle = json_bytes(&json!({
        "mediaType": bundle_type,
        "verificationMaterial": {},
        "dsseEnvelope": {
            "payload": payload, "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "eA=="}],
        },
    }));
    let config = Bytes::from_static(b"{}");
    let subject = image.descriptor();
    let bytes = json_bytes(&json!({
        "schemaVersion": 2,
        "mediaType": ManifestFormat::Oci.manifest(),
        "artifactType": bundle_type,
        "config": descriptor("application/vnd.oci.empty.v1+json", &config),
        "layers": [descriptor(bundle_type, &bundle)],
        "subject": {"mediaType": subject["mediaType"], "digest": subject["digest"], "size": subject["size"]},
        "annotations": {"dev.sigstore.bundle.predicateType": predicate_type},
    }));
    let digest = Digest::of(&bytes);
    let manifest = Manifest { media_type: ManifestFormat::Oci.manifest().to_owned(), bytes };
    let blobs = [config, bundle].map(|blob| (Digest::of(&blob), blob));
    BuiltImage {
        digest,
        platform: None,
        manifests: BTreeMap::from([(digest, manifest)]),
        blobs: blobs.into(),
    }
}

/// The manifest that holds statements about `image`.
///
/// Specification: <https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md>.
fn attestation(image: &BuiltImage, predicates: &[(&str, Value)]) -> BuiltImage {
    let config = json_bytes(&json!({"architecture": "unknown", "os": "unknown", "config": {}}));
    let mut blobs = BTreeMap::from([(Digest::of(&config), config.clone())]);
    let layers: Vec<Value> = predicates
        .iter()
        .map(|(predicate_type, predicate)| {
            let statement = json_bytes(&json!({
                "_type": "https://in-toto.io/Statement/v0.1",
                "subject": [{"name": "image", "digest": {"sha256": image.digest.hex()}}],
                "predicateType": predicate_type,
                "predicate": predicate,
            }));
            let mut layer = descriptor("application/vnd.in-toto+json", &statement);
            layer["annotations"] = json!({"in-toto.io/predicate-type": predicate_type});
            blobs.insert(Digest::of(&statement), statement);
            layer
        })
        .collect();
    let format = ManifestFormat::Oci;
    let bytes = json_bytes(&json!({
        "schemaVersion": 2,
        "mediaType": format.manifest(),
        "config": descriptor(format.config(), &config),
        "layers": layers,
    }));
    let digest = Digest::of(&bytes);
    let manifest = Manifest { media_type: format.manifest().to_owned(), bytes };
    BuiltImage { digest, platform: None, manifests: BTreeMap::from([(digest, manifest)]), blobs }
}

/// Writes `images`, each with its name (`org.opencontainers.image.ref.name`), as an OCI layout into the folder
/// `directory`, which is made when it is not there.
///
/// Specification: <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>.
pub fn write_oci_layout(directory: &Path, images: &[(&str, &BuiltImage)]) -> io::Result<()> {
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs)?;
    for (_, image) in images {
        let manifests = image.manifests.iter().map(|(digest, manifest)| (digest, &manifest.bytes));
        for (digest, bytes) in manifests.chain(&image.blobs) {
            std::fs::write(blobs.join(digest.hex()), bytes)?;
        }
    }
    let descriptors: Vec<Value> = images
        .iter()
        .map(|(name, image)| {
            let mut descriptor = image.descriptor();
            descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
            descriptor
        })
        .collect();
    let index = json!({
        "schemaVersion": 2,
        "mediaType": ManifestFormat::Oci.index(),
        "manifests": descriptors,
    });
    std::fs::write(directory.join("index.json"), json_bytes(&index))?;
    std::fs::write(directory.join("oci-layout"), json_bytes(&json!({ "imageLayoutVersion": "1.0.0" })))
}

fn descriptor(media_type: &str, bytes: &Bytes) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len() })
}

fn json_bytes(value: &Value) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("a JSON value can be written"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::LayerBuilder;

    #[test]
    fn every_digest_named_in_an_index_can_be_served() {
        let layer = LayerBuilder::new().file("a", "1").build();
        let amd64 = ImageBuilder::new().layer(layer.clone()).user("app").annotation("k", "v").build();
        let arm64 = ImageBuilder::new().layer(layer).platform(&Platform::linux_arm64()).build();
        let index = IndexBuilder::new().image(&amd64).image(&arm64).build();
        assert_eq!(index.manifests.len(), 3);
        assert_eq!(index.blobs.len(), 3);
        for (digest, manifest) in &index.manifests {
            assert_eq!(*digest, Digest::of(&manifest.bytes));
            let body: Value = serde_json::from_slice(&manifest.bytes).unwrap();
            assert_eq!(body["mediaType"], manifest.media_type.as_str());
            let named = ["layers", "manifests"].iter().filter_map(|key| body[key].as_array()).flatten();
            for descriptor in named.chain(body.get("config")) {
                let digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
                let bytes =
                    index.blobs.get(&digest).or_else(|| index.manifests.get(&digest).map(|m| &m.bytes));
                assert_eq!(descriptor["size"], bytes.unwrap().len());
            }
        }
    }
}
