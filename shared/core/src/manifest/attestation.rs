//! The manifests by which attestations are attached to an image: each layer is a statement. BuildKit puts them into the index
//! beside the image; what is attached later refers to it.
//!
//! Specification: <https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md>,
//! <https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md>

use super::ManifestError;
use super::document::Document;
use super::media_type;
use crate::Digest;
use crate::ports::registry::RawManifest;

/// The annotations of a layer that say what its statement is about: as BuildKit has it, and as cosign has it.
const PREDICATE_TYPES: [&str; 2] = ["in-toto.io/predicate-type", "predicateType"];

/// The annotation of a manifest that says what the statement in its bundle is about.
const BUNDLE_PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";

/// The most statements of one manifest. BuildKit writes one of each kind for each stage.
const BLOBS: usize = 100;

/// The longest predicate type in bytes.
const LONGEST_TYPE: usize = 512;

/// A blob that holds a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationBlob {
    /// Its digest.
    pub digest: Digest,
    /// Bytes of the blob as the manifest says.
    pub size: u64,
    /// The URI that says what the statement is, as the manifest has it: `https://spdx.dev/Document`.
    pub predicate_type: String,
}

/// The statements that a manifest holds, at most 100. None for a manifest that holds something else.
pub fn attestation_blobs(manifest: &RawManifest) -> Result<Vec<AttestationBlob>, ManifestError> {
    let digest = manifest.digest;
    let document: Document = serde_json::from_slice(&manifest.bytes)
        .map_err(|source| ManifestError::Malformed { what: "manifest", digest, source })?;
    let of_manifest = document.annotations.get(BUNDLE_PREDICATE_TYPE).and_then(|value| value.as_str());
    let layers = document.layers.unwrap_or_default().into_iter();
    let statements = layers.filter(|layer| media_type::is_statement(&layer.media_type)).take(BLOBS);
    let blobs = statements.filter_map(|mut layer| {
        let of_layer = PREDICATE_TYPES.iter().find_map(|key| layer.annotations.remove(*key));
        let predicate_type = of_layer.or_else(|| of_manifest.map(str::to_owned))?;
        let is_uri = predicate_type.len() <= LONGEST_TYPE
            && predicate_type.bytes().all(|byte| byte.is_ascii_graphic())
            && predicate_type.contains(':');
        is_uri.then_some(AttestationBlob { digest: layer.digest, size: layer.size, predicate_type })
    });
    Ok(blobs.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn blobs(manifest: &serde_json::Value) -> Vec<String> {
        let bytes = serde_json::to_vec(manifest).unwrap();
        let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
        let raw = RawManifest { digest: Digest::of(&bytes), media_type, bytes: bytes.into() };
        attestation_blobs(&raw).unwrap().into_iter().map(|blob| blob.predicate_type).collect()
    }

    #[test]
    fn statements_have_the_type_that_their_annotation_says() {
        let layer = |media_type: &str, annotations: serde_json::Value| {
            let digest = Digest::of(annotations.to_string().as_bytes());
            json!({"mediaType": media_type, "digest": digest, "size": 7, "annotations": annotations})
        };
        let statement = |predicate: &str| {
            layer("application/vnd.in-toto+json", json!({"in-toto.io/predicate-type": predicate}))
        };
        let manifest = json!({"schemaVersion": 2, "layers": [
            statement("https://spdx.dev/Document"),
            statement("https://slsa.dev/provenance/v0.2"),
            layer("application/vnd.in-toto+json", json!({})),
            layer("application/vnd.oci.image.layer.v1.tar", json!({"in-toto.io/predicate-type": "https://a"})),
            statement("no uri"),
        ]});
        assert_eq!(blobs(&manifest), ["https://spdx.dev/Document", "https://slsa.dev/provenance/v0.2"]);
        assert!(blobs(&json!({"schemaVersion": 2, "manifests": []})).is_empty());
        let bundle = json!({
            "schemaVersion": 2,
            "annotations": {"dev.sigstore.bundle.predicateType": "https://openvex.dev/ns/v0.2.0"},
            "layers": [layer("application/vnd.dev.sigstore.bundle.v0.3+json", json!({}))],
        });
        assert_eq!(blobs(&bundle), ["https://openvex.dev/ns/v0.2.0"]);
        let envelope = json!({"schemaVersion": 2, "layers": [
            layer("application/vnd.dsse.envelope.v1+json", json!({"predicateType": "https://slsa.dev/provenance/v1"})),
        ]});
        assert_eq!(blobs(&envelope), ["https://slsa.dev/provenance/v1"]);
    }
}
