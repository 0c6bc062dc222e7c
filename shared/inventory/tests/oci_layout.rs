//! A built image, written as an OCI layout and read back from its files alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Helpers of tests fail by panic.

mod common;

use std::path::Path;

use common::{apk, dpkg};
use serde_json::Value;
use tidewatch_core::Digest;
use tidewatch_inventory::{LayerInventory, LayerReader, Limits, merge};
use tidewatch_testkit::image::{ImageBuilder, IndexBuilder, ManifestFormat, write_oci_layout};
use tidewatch_testkit::layer::{Compression, LayerBuilder};

fn blob(layout: &Path, descriptor: &Value) -> (Digest, Vec<u8>) {
    let digest: Digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
    let bytes = std::fs::read(layout.join("blobs/sha256").join(digest.hex())).unwrap();
    assert_eq!(Digest::of(&bytes), digest);
    assert_eq!(descriptor["size"], bytes.len());
    (digest, bytes)
}

fn json(layout: &Path, descriptor: &Value) -> Value {
    serde_json::from_slice(&blob(layout, descriptor).1).unwrap()
}

#[test]
fn an_image_is_read_back_from_its_layout_through_the_index() {
    let lower = LayerBuilder::new().file("lib/apk/db/installed", apk(&["musl"])).build();
    let upper = LayerBuilder::new()
        .compression(Compression::Zstd)
        .whiteout("lib")
        .file("var/lib/dpkg/status", dpkg(&["libc6"]))
        .build();
    let image = ImageBuilder::new().format(ManifestFormat::Docker).layer(lower).layer(upper).build();
    let index = IndexBuilder::new().image(&image).build();
    let folder = tempfile::tempdir().unwrap();
    write_oci_layout(folder.path(), &[("v1", &index)]).unwrap();

    let root: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("index.json")).unwrap()).unwrap();
    assert_eq!(root["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "v1");
    let index = json(folder.path(), &root["manifests"][0]);
    let manifest = json(folder.path(), &index["manifests"][0]);
    let layers: Vec<LayerInventory> = manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| {
            let (digest, bytes) = blob(folder.path(), layer);
            let mut reader = LayerReader::new(digest, Limits::default());
            reader.push(&bytes);
            reader.finish().unwrap()
        })
        .collect();
    let names: Vec<String> = merge(&layers).packages.into_iter().map(|package| package.name).collect();
    assert_eq!(names, ["libc6"]);
}
