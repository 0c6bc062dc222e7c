//! Layers, images and advisories of the tests. `openssl` 1 has a critical vulnerability that 2 fixes; `zlib` has a
//! medium one that nothing fixes.

use bytes::Bytes;
use serde_json::Value;
use tidewatch_core::Digest;
use tidewatch_testkit::advisory::AdvisoryBuilder;
use tidewatch_testkit::image::{BuiltImage, ImageBuilder, Manifest};
use tidewatch_testkit::layer::{Layer, LayerBuilder};

const CRITICAL: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
const MEDIUM: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N";

/// A layer with Debian 13 and these packages.
pub(crate) fn debian(packages: &[(&str, &str)]) -> Layer {
    distribution("debian", "13", packages)
}

/// A layer with a release of a distribution, and these packages in the form of dpkg.
pub(crate) fn distribution(id: &str, version: &str, packages: &[(&str, &str)]) -> Layer {
    let stanzas: Vec<String> = packages
        .iter()
        .map(|(name, version)| {
            format!(
                "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
            )
        })
        .collect();
    let os_release = format!("ID={id}\nVERSION_ID=\"{version}\"\nPRETTY_NAME=\"{id} {version}\"\n");
    let layer = LayerBuilder::new().file("etc/os-release", os_release);
    if packages.is_empty() {
        layer.build()
    } else {
        layer.file("var/lib/dpkg/status", stanzas.join("\n")).build()
    }
}

/// A layer with nothing but this file.
pub(crate) fn file(content: &str) -> Layer {
    LayerBuilder::new().file("srv/content", content).build()
}

/// A layer that was cut off before it was pushed: its digest is that of the half that there is.
pub(crate) fn cut_off(layer: &Layer) -> Layer {
    let bytes = layer.bytes.slice(..layer.bytes.len() / 2);
    Layer { digest: Digest::of(&bytes), bytes, ..layer.clone() }
}

pub(crate) fn image(layers: &[&Layer]) -> BuiltImage {
    let builder = ImageBuilder::new().created("2026-01-01T00:00:00Z".parse().unwrap());
    layers.iter().fold(builder, |image, layer| image.layer((*layer).clone())).build()
}

/// The image, with another media type for the layer at `position`.
pub(crate) fn with_layer_type(image: &BuiltImage, position: usize, media_type: &str) -> BuiltImage {
    with_layer(image, position, "mediaType", media_type.into())
}

/// The image, with another size for the layer at `position`.
pub(crate) fn with_layer_size(image: &BuiltImage, position: usize, size: u64) -> BuiltImage {
    with_layer(image, position, "size", size.into())
}

fn with_layer(image: &BuiltImage, position: usize, field: &str, value: Value) -> BuiltImage {
    let mut manifest: Value = serde_json::from_slice(&image.manifest().bytes).unwrap();
    manifest["layers"][position][field] = value;
    let bytes = Bytes::from(manifest.to_string());
    let digest = Digest::of(&bytes);
    let manifest = Manifest { media_type: image.manifest().media_type.clone(), bytes };
    BuiltImage { digest, manifests: [(digest, manifest)].into(), ..image.clone() }
}

/// The advisories for Debian 13.
pub(crate) fn advisories() -> Vec<Value> {
    vec![
        AdvisoryBuilder::new("DSA-1-1")
            .upstream(["CVE-2099-0001"])
            .severity("CVSS_V3", CRITICAL)
            .fixed("Debian:13", "openssl", "2")
            .build(),
        AdvisoryBuilder::new("DSA-2-1")
            .upstream(["CVE-2099-0002"])
            .severity("CVSS_V3", MEDIUM)
            .affects_all("Debian:13", "zlib")
            .build(),
    ]
}
