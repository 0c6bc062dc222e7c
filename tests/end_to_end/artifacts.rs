//! What lies in a registry and is no image is skipped with its reason, and never fails anything.

use serde_json::{Value, json};
use tidewatch_core::image::Platform;
use tidewatch_testkit::image::{BuiltImage, ImageBuilder, IndexBuilder, ManifestFormat};
use tidewatch_testkit::registry::TestRegistry;

use crate::images::{OLD_LIBC, base_layer, debian_image, numbers, package_layer, push};
use crate::installation::{Configuration, Installation, ORG, settle};

/// Puts a manifest with this config and these layers into the registry, all of the given media types.
fn push_artifact(registry: &TestRegistry, repository: &str, tag: &str, config: &str, layer: &str) {
    let blob = |media_type: &str, content: &'static str| {
        let digest = registry.push_blob(repository, content);
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": content.len()})
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": ManifestFormat::Oci.manifest(),
        "config": blob(config, "{}"),
        "layers": [blob(layer, "content")],
    });
    registry.push_manifest(repository, tag, ManifestFormat::Oci.manifest(), manifest.to_string());
}

/// The index of `image` to which another child is added: its manifest, with these fields of its descriptor besides.
fn with_child(image: &BuiltImage, child: &BuiltImage, fields: &Value) -> BuiltImage {
    let mut index = IndexBuilder::new().image(image).image(child).build();
    let manifest = index.manifests.remove(&index.digest).unwrap();
    let mut document: Value = serde_json::from_slice(&manifest.bytes).unwrap();
    let descriptor = document["manifests"][1].as_object_mut().unwrap();
    descriptor.extend(fields.as_object().unwrap().clone());
    let bytes = document.to_string().into_bytes();
    index.digest = tidewatch_core::Digest::of(&bytes);
    let manifest = tidewatch_testkit::image::Manifest { bytes: bytes.into(), ..manifest };
    index.manifests.insert(index.digest, manifest);
    index
}

fn windows_image() -> BuiltImage {
    let windows: Platform = "windows/amd64".parse().unwrap();
    ImageBuilder::new().platform(&windows).layer(base_layer("windows")).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_and_windows_images_are_skipped_with_a_reason_and_nothing_fails() {
    let registry = TestRegistry::start().await.unwrap();
    let image = debian_image(&[OLD_LIBC]);
    push(&registry, "team/web", "1", &image);
    // A signature beside it, as cosign names them.
    let signature = format!("sha256-{}.sig", image.digest.hex());
    let simple_signing = "application/vnd.dev.cosign.simplesigning.v1+json";
    push_artifact(&registry, "team/web", &signature, ManifestFormat::Oci.config(), simple_signing);
    // One that somebody has copied to a name of his own.
    push_artifact(&registry, "team/signature", "mine", ManifestFormat::Oci.config(), simple_signing);
    let (chart, content) =
        ("application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip");
    push_artifact(&registry, "team/chart", "0.1.0", chart, content);
    push(&registry, "team/windows", "1", &windows_image());
    push(&registry, "team/windows-only", "1", &IndexBuilder::new().image(&windows_image()).build());
    let both = ImageBuilder::new().layer(base_layer("both")).layer(package_layer(&[OLD_LIBC])).build();
    push(&registry, "team/both", "1", &IndexBuilder::new().image(&windows_image()).image(&both).build());
    let attestation = json!({
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": image.digest.to_string(),
        },
    });
    let statement = ImageBuilder::new().layer(base_layer("statement")).build();
    push(&registry, "team/attested", "1", &with_child(&image, &statement, &attestation));

    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    let run = installation.run_rule();
    assert_eq!((&run["errors"], &run["skipped"]), (&json!([]), &json!(4)), "{run}");
    settle(&local, ORG, &token, &numbers(&[&[OLD_LIBC], &[OLD_LIBC], &[OLD_LIBC]])).await;

    let document = installation.json(&["images"]);
    let mut scanned: Vec<String> = document["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| format!("{} {}", image["repository"], image["state"]).replace('"', ""))
        .collect();
    scanned.sort();
    assert_eq!(scanned, ["team/attested scanned", "team/both scanned", "team/web scanned"]);
    let mut skipped: Vec<String> = document["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| format!("{}: {}", tag["repository"].as_str().unwrap(), tag["reason"].as_str().unwrap()))
        .collect();
    skipped.sort();
    insta::assert_snapshot!(skipped.join("\n"), @r#"
    team/chart: artifact with a config of type "application/vnd.cncf.helm.config.v1+json"
    team/signature: signature or attestation of type "application/vnd.dev.cosign.simplesigning.v1+json"
    team/windows-only: it has none of the configured platforms, but: windows/amd64
    team/windows: it has none of the configured platforms, but: windows/amd64
    "#);
    assert_eq!(registry.blob_pulls(&base_layer("statement").digest), 0);
    assert_eq!(registry.blob_pulls(&base_layer("windows").digest), 0);
    assert_eq!(installation.work_rows(ORG, "local").await, 0);
    let shown = installation.run(&["images"]);
    assert!(shown.stderr.contains("skipped local/team/chart:0.1.0: artifact"), "{}", shown.stderr);
    registry.assert_no_violations();
}
