//! Reading what `docker save` writes.

use std::io::Write as _;
use std::sync::Arc;

use tidewatch_core::Digest;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::manifest::{Classified, classify};
use tidewatch_core::ports::Registry as _;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_registries::{Archive, ChoiceError, DockerArchive, DockerArchiveError};
use tidewatch_testkit::image::{BuiltImage, ImageBuilder};
use tidewatch_testkit::layer::{Compression, Layer, LayerBuilder};
use tidewatch_testkit::saved::{Members, docker_archive};

use crate::support::{blob, repository, tag, tag_pages};

fn layer(content: &str) -> Layer {
    LayerBuilder::new().file("a", content).build()
}

fn image() -> BuiltImage {
    ImageBuilder::new().layer(layer("1")).layer(layer("2")).layer(layer("1")).build()
}

async fn open(members: &Members, name: Option<&str>) -> Result<DockerArchive, DockerArchiveError> {
    let folder = tempfile::tempdir().unwrap();
    // It is opened again for each blob, so it stays as long as the process.
    let path = folder.keep().join("image.tar");
    std::fs::write(&path, members.archive()).unwrap();
    let archive = Archive::open(&path).unwrap();
    DockerArchive::open("archive".parse().unwrap(), repository("local"), Arc::new(archive), name).await
}

fn config_name(members: &Members) -> String {
    members.names().find(|name| name.len() == 64 + ".json".len()).unwrap().to_owned()
}

#[tokio::test]
async fn layers_are_unpacked_and_known_by_the_digests_of_the_config() {
    for compression in [Compression::None, Compression::Gzip] {
        let members = docker_archive(&image(), &["team/web:1.0", "team/web:latest"], compression);
        let archive = open(&members, Some("1.0")).await.unwrap();
        assert_eq!(tag_pages(&archive, "local").await, [vec!["1.0", "latest"]]);
        let digest = archive.resolve(&repository("local"), &tag("1.0")).await.unwrap();
        let reference = ManifestReference::Digest(digest);
        let manifest = archive.manifest(&repository("local"), &reference).await.unwrap();
        assert_eq!(manifest.digest, Digest::of(&manifest.bytes));
        let Classified::Image { config, layers } = classify(&manifest).unwrap() else { panic!("no image") };
        assert_eq!(format!("{}.json", config.hex()), config_name(&members));
        assert_eq!(Digest::of(&blob(&archive, "local", &config).await.unwrap()), config);
        let digests: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
        assert_eq!(digests, ["1", "2", "1"].map(|content| layer(content).diff_id));
        for digest in digests {
            assert_eq!(Digest::of(&blob(&archive, "local", &digest).await.unwrap()), digest);
        }
        let missing = archive.blob(&repository("local"), &Digest::of(b"missing")).await;
        assert!(matches!(missing.err(), Some(RegistryError::NotFound { .. })));
    }
}

#[tokio::test]
async fn a_config_that_is_not_what_its_name_says_or_has_other_layers_is_refused() {
    let members = docker_archive(&image(), &[], Compression::None);
    assert!(open(&members, None).await.is_ok(), "an image needs no name");
    let config = config_name(&members);
    let bytes = members.bytes(&config);
    let changed = members.clone().file(&config, [&bytes[..], b" "].concat());
    let error = open(&changed, None).await.err().unwrap();
    assert!(error.to_string().contains("its digest is sha256:"), "{error}");

    let list = String::from_utf8(members.bytes("manifest.json").to_vec()).unwrap();
    let named_otherwise = list.replace(&config, "config.json");
    let members = members.file("manifest.json", named_otherwise).file("config.json", bytes);
    assert!(open(&members, None).await.is_ok(), "other tools name it otherwise");
    let fewer = members.clone().file("config.json", r#"{"rootfs": {"diff_ids": []}}"#);
    let error = open(&fewer, None).await.err().unwrap();
    assert!(error.to_string().contains("it has 0 layers, and manifest.json 3"), "{error}");
    let error = open(&members, Some("web")).await.err().unwrap();
    assert!(matches!(error, DockerArchiveError::Choice(ChoiceError::Unknown { .. })), "{error}");
}

#[tokio::test]
async fn a_layer_that_expands_without_end_is_refused() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..260 {
        gzip.write_all(&zeros).unwrap();
    }
    let members = docker_archive(&ImageBuilder::new().layer(layer("1")).build(), &[], Compression::None);
    let name = members.names().find(|name| name.ends_with("layer.tar")).unwrap().to_owned();
    let archive = open(&members.file(&name, gzip.finish().unwrap()), None).await.unwrap();
    let error = blob(&archive, "local", &layer("1").diff_id).await.unwrap_err();
    assert!(error.to_string().contains("more than 250 bytes for each compressed byte"), "{error}");
}

#[tokio::test]
async fn a_compressed_layer_that_is_damaged_is_refused() {
    let members = docker_archive(&ImageBuilder::new().layer(layer("1")).build(), &[], Compression::Gzip);
    let name = members.names().find(|name| name.ends_with("layer.tar")).unwrap().to_owned();
    let bytes = members.bytes(&name);
    let archive = open(&members.file(&name, bytes.slice(..bytes.len() - 9)), None).await.unwrap();
    let error = blob(&archive, "local", &layer("1").diff_id).await.unwrap_err();
    assert!(error.to_string().contains("failed to unpack it"), "{error}");
}
