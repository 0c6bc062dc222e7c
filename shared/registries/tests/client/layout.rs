//! Reading image layouts.

use std::path::Path;

use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;
use tidewatch_core::Digest;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::manifest::{Classified, classify, media_type};
use tidewatch_core::ports::Registry as _;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_registries::{ChoiceError, OciLayout};

use crate::support::{blob, bytes, repository, tag, tag_pages};

/// Writes a blob and gives its digest.
fn write_blob(directory: &Path, bytes: &[u8]) -> Digest {
    let digest = Digest::of(bytes);
    let folder = directory.join("blobs/sha256");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(digest.hex()), bytes).unwrap();
    digest
}

/// A layout with one image for each name, each with a layer of its own.
fn layout_of(names: &[Option<&str>]) -> (TempDir, Vec<Digest>) {
    let directory = tempfile::tempdir().unwrap();
    let (mut digests, mut entries) = (Vec::new(), Vec::new());
    for (number, name) in names.iter().enumerate() {
        let layer = write_blob(directory.path(), &bytes(100_000 + number));
        let config = write_blob(directory.path(), br#"{"os":"linux","architecture":"amd64"}"#);
        let manifest = json!({
            "schemaVersion": 2,
            "config": {"mediaType": media_type::OCI_CONFIG, "digest": config.to_string(), "size": 37},
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": layer.to_string(), "size": 100_000 + number,
            }],
        });
        let digest = write_blob(directory.path(), manifest.to_string().as_bytes());
        let mut entry =
            json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest.to_string(), "size": 1});
        if let Some(name) = name {
            entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        }
        entries.push(entry);
        digests.push(digest);
    }
    let index = json!({"schemaVersion": 2, "manifests": entries});
    std::fs::write(directory.path().join("index.json"), index.to_string()).unwrap();
    (directory, digests)
}

async fn open(directory: &Path) -> Result<OciLayout, RegistryError> {
    OciLayout::open("layout".parse().unwrap(), repository("local"), directory).await
}

#[tokio::test]
async fn a_layout_is_a_registry_with_one_repository_and_the_tags_of_its_index() {
    let (directory, digests) = layout_of(&[Some("1.0"), Some("registry.example:5000/team/web:latest"), None]);
    let layout = open(directory.path()).await.unwrap();
    assert_eq!(crate::support::repository_pages(&layout).await, [vec!["local"]]);
    assert_eq!(tag_pages(&layout, "local").await, [vec!["1.0", "latest"]]);
    assert_eq!(layout.resolve(&repository("local"), &tag("latest")).await.unwrap(), digests[1]);
    let missing = layout.resolve(&repository("local"), &tag("2.0")).await;
    assert!(matches!(missing, Err(RegistryError::NotFound { .. })), "{missing:?}");
    let other = layout.tags(&repository("other"), None).await;
    assert!(matches!(other, Err(RegistryError::NotFound { .. })), "{other:?}");
}

#[tokio::test]
async fn an_image_of_a_layout_is_read_down_to_its_layers() {
    let (directory, digests) = layout_of(&[Some("1.0")]);
    let layout = open(directory.path()).await.unwrap();
    let reference = ManifestReference::Tag(tag("1.0"));
    let manifest = layout.manifest(&repository("local"), &reference).await.unwrap();
    assert_eq!((manifest.digest, manifest.media_type.as_str()), (digests[0], media_type::OCI_MANIFEST));
    let Classified::Image { layers, .. } = classify(&manifest).unwrap() else { panic!("{manifest:?}") };
    assert_eq!(blob(&layout, "local", &layers[0].digest).await.unwrap(), bytes(100_000));
    let missing = blob(&layout, "local", &Digest::of(b"missing")).await;
    assert!(matches!(missing, Err(RegistryError::NotFound { .. })), "{missing:?}");
}

#[tokio::test]
async fn only_a_layout_with_one_image_needs_no_tag() {
    let (one, digests) = layout_of(&[None]);
    assert_eq!(open(one.path()).await.unwrap().choose(None).unwrap(), digests[0]);
    let (two, _) = layout_of(&[Some("1.0"), Some("2.0")]);
    let error = open(two.path()).await.unwrap().choose(None).unwrap_err();
    assert!(error.to_string().contains("1.0, 2.0"), "{error}");
    let (none, _) = layout_of(&[]);
    let error = open(none.path()).await.unwrap().choose(None).unwrap_err();
    assert_eq!(error, ChoiceError::Nothing);
}

#[tokio::test]
async fn what_is_no_layout_or_was_changed_is_told() {
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(open(empty.path()).await, Err(RegistryError::NotFound { .. })));
    std::fs::write(empty.path().join("index.json"), "{}").unwrap();
    assert!(matches!(open(empty.path()).await, Err(RegistryError::Invalid { .. })));
    let (twice, _) = layout_of(&[Some("1.0"), Some("web:1.0")]);
    assert!(matches!(open(twice.path()).await, Err(RegistryError::Invalid { .. })));

    let (changed, digests) = layout_of(&[Some("1.0")]);
    let file = changed.path().join("blobs/sha256").join(digests[0].hex());
    std::fs::write(file, Bytes::from_static(b"{}")).unwrap();
    let layout = open(changed.path()).await.unwrap();
    let manifest = layout.manifest(&repository("local"), &ManifestReference::Digest(digests[0])).await;
    assert!(matches!(manifest, Err(RegistryError::Invalid { .. })), "{manifest:?}");
}
