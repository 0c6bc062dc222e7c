//! The forms that a registry holds, each as the documentation of its maker gives it.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The first digest that comes to mind, and another.
fn digest(seed: &str) -> Digest {
    Digest::of(seed.as_bytes())
}

fn raw(media_type: &str, document: &Value) -> RawManifest {
    let bytes = Bytes::from(document.to_string());
    RawManifest { digest: Digest::of(&bytes), media_type: media_type.to_owned(), bytes }
}

fn classified(document: &Value) -> Classified {
    classify(&raw("", document)).unwrap()
}

fn descriptor(media_type: &str, seed: &str) -> Value {
    json!({"mediaType": media_type, "digest": digest(seed).to_string(), "size": seed.len()})
}

fn image_with(config: &str, layers: &[&str]) -> Value {
    let layers: Vec<Value> = layers.iter().map(|media_type| descriptor(media_type, media_type)).collect();
    json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor(config, "config"), "layers": layers,
    })
}

fn child_with(platform: &Value, extra: &Value) -> Value {
    let mut child = descriptor(media_type::OCI_MANIFEST, "child");
    child["platform"] = platform.clone();
    for (key, value) in extra.as_object().unwrap() {
        child[key] = value.clone();
    }
    child
}

fn only_child(child: &Value) -> ChildManifest {
    match classified(&json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [child]})) {
        Classified::Index(children) => children.into_iter().next().unwrap(),
        other => panic!("{other:?} is no index"),
    }
}

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[test]
fn images_of_the_oci_and_of_docker_give_config_and_layers_in_order() {
    for (manifest, config, layers) in [
        (
            media_type::OCI_MANIFEST,
            media_type::OCI_CONFIG,
            [GZIP, "application/vnd.oci.image.layer.v1.tar+zstd"],
        ),
        (
            media_type::DOCKER_MANIFEST,
            media_type::DOCKER_CONFIG,
            [
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "application/vnd.docker.image.rootfs.diff.tar",
            ],
        ),
    ] {
        let mut document = image_with(config, &layers);
        document["mediaType"] = manifest.into();
        let layers = layers.map(|media_type| LayerDescriptor {
            digest: digest(media_type),
            size: media_type.len() as u64,
            media_type: media_type.to_owned(),
            kind: LayerKind::Tar,
        });
        assert_eq!(
            classified(&document),
            Classified::Image { config: digest("config"), layers: layers.to_vec() }
        );
    }
}

#[test]
fn a_manifest_without_a_media_type_is_known_by_its_keys() {
    let mut image = image_with(media_type::OCI_CONFIG, &[GZIP]);
    image.as_object_mut().unwrap().remove("mediaType");
    assert!(matches!(classified(&image), Classified::Image { .. }));
    assert_eq!(classified(&json!({"schemaVersion": 2, "manifests": []})), Classified::Index(Vec::new()));
}

#[test]
fn a_manifest_that_is_index_and_image_at_once_is_refused() {
    let mut both = image_with(media_type::OCI_CONFIG, &[GZIP]);
    both["manifests"] = json!([]);
    assert!(matches!(classify(&raw("", &both)), Err(ManifestError::Ambiguous { .. })));
}

#[test]
fn what_is_no_manifest_is_an_error_that_is_not_tried_again() {
    for document in [json!({}), json!([]), json!({"schemaVersion": 2, "layers": []}), json!("text")] {
        let error = classify(&raw("application/json", &document)).unwrap_err();
        assert_eq!(error.retry(), Retry::Never, "{document}");
    }
}

#[test]
fn schema_1_is_unsupported_whichever_way_it_is_named() {
    let document = json!({"schemaVersion": 1, "name": "web", "fsLayers": []});
    for media_type in ["", media_type::DOCKER_SCHEMA_1, media_type::DOCKER_SCHEMA_1_SIGNED] {
        let found = classify(&raw(media_type, &document)).unwrap();
        assert!(matches!(found, Classified::Unsupported { .. }), "{media_type:?} gave {found:?}");
    }
}

#[test]
fn an_image_that_is_served_as_signed_schema_1_is_not_taken_for_an_image() {
    let disguised = raw(media_type::DOCKER_SCHEMA_1_SIGNED, &image_with(media_type::OCI_CONFIG, &[GZIP]));
    assert!(matches!(classify(&disguised).unwrap(), Classified::Unsupported { .. }));
}

#[test]
fn charts_and_other_artifacts_are_no_images() {
    let mut typed = image_with(media_type::OCI_CONFIG, &[GZIP]);
    typed["artifactType"] = "application/vnd.example.sbom".into();
    let mut referring = image_with(media_type::OCI_CONFIG, &[GZIP]);
    referring["subject"] = descriptor(media_type::OCI_MANIFEST, "subject");
    let withdrawn = json!({"mediaType": media_type::OCI_ARTIFACT, "artifactType": "x/y", "blobs": []});
    for document in [
        image_with(
            "application/vnd.cncf.helm.config.v1+json",
            &["application/vnd.cncf.helm.chart.content.v1.tar+gzip"],
        ),
        image_with("application/vnd.oci.empty.v1+json", &[GZIP]),
        typed,
        referring,
        withdrawn,
    ] {
        let found = classified(&document);
        assert!(matches!(found, Classified::NotAnImage { .. }), "{document} gave {found:?}");
    }
}

#[test]
fn signatures_and_attestations_are_no_images_though_their_config_is_one() {
    for layer in ["application/vnd.dev.cosign.simplesigning.v1+json", "application/vnd.in-toto+json"] {
        let found = classified(&image_with(media_type::OCI_CONFIG, &[layer]));
        assert!(matches!(found, Classified::NotAnImage { .. }), "{layer} gave {found:?}");
    }
}

#[test]
fn layers_elsewhere_and_layers_of_no_known_type_are_marked() {
    let mut document = image_with(
        media_type::DOCKER_CONFIG,
        &[
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
            GZIP,
            "application/vnd.example.squashfs",
            GZIP,
        ],
    );
    document["layers"][2]["urls"] = json!(["https://example.com/layer"]);
    document["layers"][4]["urls"] = Value::Null;
    let Classified::Image { layers, .. } = classified(&document) else { panic!("{document} is no image") };
    let kinds: Vec<LayerKind> = layers.into_iter().map(|layer| layer.kind).collect();
    assert_eq!(
        kinds,
        [LayerKind::Foreign, LayerKind::Foreign, LayerKind::Foreign, LayerKind::Unknown, LayerKind::Tar]
    );
}

#[test]
fn children_of_an_index_carry_their_platform() {
    let child = only_child(&child_with(
        &json!({"os": "linux", "architecture": "arm64", "variant": "v8"}),
        &json!({}),
    ));
    assert_eq!((child.platform, child.kind), (Some(Platform::linux_arm64()), ChildKind::Image));
    let bare = only_child(&child_with(&Value::Null, &json!({})));
    assert_eq!((bare.platform, bare.kind), (None, ChildKind::Image));
    let strange = only_child(&child_with(&json!({"os": "li nux", "architecture": "a/b"}), &json!({})));
    assert_eq!(strange.platform, None);
}

#[test]
fn an_attestation_child_names_the_image_that_it_is_about() {
    let unknown = json!({"os": "unknown", "architecture": "unknown"});
    let about = |kind: &str| {
        let annotations = json!({REFERENCE_TYPE: kind, REFERENCE_DIGEST: digest("subject").to_string()});
        only_child(&child_with(&unknown, &json!({"annotations": annotations})))
    };
    let attestation = about("attestation-manifest");
    assert_eq!(attestation.kind, ChildKind::Attestation { subject: Some(digest("subject")) });
    assert_eq!(attestation.platform, None);
    assert!(matches!(about("something-newer").kind, ChildKind::Artifact { .. }));
    assert!(matches!(only_child(&child_with(&unknown, &json!({}))).kind, ChildKind::Artifact { .. }));
}

#[test]
fn children_for_windows_other_indexes_and_artifacts_are_told_apart() {
    let windows = only_child(&child_with(&json!({"os": "windows", "architecture": "amd64"}), &json!({})));
    assert_eq!(windows.kind, ChildKind::Windows);
    let nested = only_child(&child_with(&Value::Null, &json!({"mediaType": media_type::DOCKER_LIST})));
    assert_eq!(nested.kind, ChildKind::Index);
    let typed = only_child(&child_with(&Value::Null, &json!({"artifactType": "application/vnd.example"})));
    assert!(matches!(typed.kind, ChildKind::Artifact { .. }));
    let schema_1 = only_child(&child_with(&Value::Null, &json!({"mediaType": media_type::DOCKER_SCHEMA_1})));
    assert!(matches!(schema_1.kind, ChildKind::Artifact { .. }));
}

#[test]
fn tags_of_signing_tools_are_known_by_their_form() {
    let hex = digest("image").hex();
    for tag in ["", ".sig", ".att", ".sbom"].map(|suffix| format!("sha256-{hex}{suffix}")) {
        assert!(is_artifact_tag(&tag.parse().unwrap()), "{tag}");
    }
    for tag in
        ["latest", "sha256-abc", "sha256-abc.sig", &format!("sha256-{hex}.1"), &format!("x-sha256-{hex}")]
    {
        assert!(!is_artifact_tag(&tag.parse().unwrap()), "{tag}");
    }
}

#[test]
fn a_config_tells_platform_and_created_time() {
    let config = |document: Value| ImageConfig::parse(document.to_string().as_bytes()).unwrap();
    let full = config(json!({
        "os": "linux", "architecture": "arm", "variant": "v7", "created": "2024-05-06T07:08:09.123456789Z",
        "rootfs": {"type": "layers", "diff_ids": []},
    }));
    assert_eq!(full.platform, Some("linux/arm/v7".parse().unwrap()));
    assert_eq!(full.created, Some("2024-05-06T07:08:09.123456789Z".parse().unwrap()));
    assert_eq!(config(json!({})), ImageConfig::default());
    assert_eq!(config(json!({"os": "unknown", "architecture": "unknown"})).platform, None);
}

#[test]
fn a_config_tells_user_labels_and_history_and_keeps_no_environment() {
    let config = ImageConfig::parse(
        json!({
            "os": "linux", "architecture": "amd64", "created": "2024-05-06T07:08:09Z",
            "config": {
                "User": "1000:1000",
                "ExposedPorts": {"80/tcp": {}},
                "Env": ["PATH=/usr/bin", "TOKEN=secret"],
                "Cmd": ["nginx"],
                "Labels": {
                    "org.opencontainers.image.base.name": "docker.io/library/debian:12",
                    "maintainer": "somebody\n\u{1b}[2J\u{202e}",
                    "number": 5,
                },
            },
            "history": [
                {"created": "2024-05-05T00:00:00Z", "created_by": "# debian.sh --arch 'amd64' out/", "comment": "debuerreotype 0.15"},
                {"created": "1970-01-01T00:00:00Z", "created_by": "USER 1000:1000", "comment": "buildkit.dockerfile.v0", "empty_layer": true},
                {},
            ],
            "rootfs": {"type": "layers", "diff_ids": []},
        })
        .to_string()
        .as_bytes(),
    )
    .unwrap();
    assert_eq!(config.user.as_deref(), Some("1000:1000"));
    let labels: Vec<_> = config.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        labels,
        [
            ("maintainer", "somebody\\n\\u{1b}[2J\\u{202e}"),
            ("org.opencontainers.image.base.name", "docker.io/library/debian:12")
        ]
    );
    assert_eq!(
        config.history,
        [
            HistoryStep {
                created: Some("2024-05-05T00:00:00Z".parse().unwrap()),
                created_by: "# debian.sh --arch 'amd64' out/".to_owned(),
                comment: "debuerreotype 0.15".to_owned(),
                empty_layer: false,
            },
            HistoryStep {
                created: None,
                created_by: "USER 1000:1000".to_owned(),
                comment: "buildkit.dockerfile.v0".to_owned(),
                empty_layer: true,
            },
            HistoryStep::default(),
        ]
    );
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn what_a_config_says_in_another_form_is_as_if_it_were_not_there() {
    for (config, history) in [
        (Value::Null, Value::Null),
        (json!([1]), json!({"a": 1})),
        (json!({"User": 0, "Labels": ["a"]}), json!("x")),
        (json!({"User": "", "Labels": null}), json!([])),
    ] {
        let document = json!({"os": "linux", "architecture": "amd64", "config": config, "history": history});
        let parsed = ImageConfig::parse(document.to_string().as_bytes()).unwrap();
        let platform = Some("linux/amd64".parse().unwrap());
        assert_eq!(parsed, ImageConfig { platform, ..ImageConfig::default() }, "{document}");
    }
    let parsed =
        ImageConfig::parse(json!({"history": [5, "x", {"empty_layer": "yes"}]}).to_string().as_bytes())
            .unwrap();
    assert_eq!(parsed.history, vec![HistoryStep::default(); 3]);
}

#[test]
fn labels_steps_and_texts_of_a_config_have_a_limit() {
    let labels: serde_json::Map<String, Value> =
        (0..1001).map(|number| (format!("{number:04}"), json!("x"))).collect();
    let document = json!({
        "config": {"User": "ü".repeat(5000), "Labels": labels},
        "history": vec![json!({"created_by": "x".repeat(5000)}); 1001],
    });
    let config = ImageConfig::parse(document.to_string().as_bytes()).unwrap();
    assert_eq!(config.user.unwrap().chars().count(), 4096);
    assert_eq!((config.labels.len(), config.history.len()), (1000, 1000));
    assert_eq!(config.history[999].created_by.len(), 4096);
}

#[test]
fn a_created_time_before_1990_or_unreadable_is_unknown() {
    for created in [
        json!("0001-01-01T00:00:00Z"),
        json!("1970-01-01T00:00:00Z"),
        json!("1989-12-31T23:59:59.999Z"),
        json!("yesterday"),
        json!(5),
        Value::Null,
    ] {
        let config = ImageConfig::parse(json!({"created": created}).to_string().as_bytes()).unwrap();
        assert_eq!(config.created, None, "{created}");
    }
    let first = ImageConfig::parse(br#"{"created": "1990-01-01T00:00:00Z"}"#).unwrap();
    assert_eq!(first.created, Some("1990-01-01T00:00:00Z".parse().unwrap()));
}

proptest! {
    #[test]
    fn no_bytes_make_classification_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), media_type in ".{0,40}") {
        let bytes = Bytes::from(bytes);
        let manifest = RawManifest { digest: Digest::of(&bytes), media_type, bytes: bytes.clone() };
        let _ = classify(&manifest);
        let _ = ImageConfig::parse(&bytes);
    }
}

#[test]
fn the_base_of_an_image_is_what_its_annotations_name() {
    let mut manifest = image_with(media_type::OCI_CONFIG, &[GZIP]);
    let base = |manifest: &Value| named_base(&raw("", manifest));
    assert_eq!(base(&manifest), None);
    manifest["annotations"] = json!({
        "org.opencontainers.image.base.name": "docker.io/library/alpine:3.20",
        "org.opencontainers.image.base.digest": digest("base").to_string(),
    });
    let annotated = base(&manifest).unwrap();
    assert_eq!(annotated.reference, "docker.io/library/alpine:3.20");
    assert_eq!((annotated.digest, annotated.current), (Some(digest("base")), None));
    for (name, reference) in [
        ("node:18", Some("docker.io/library/node:18")),
        ("acme/base:1", Some("docker.io/acme/base:1")),
        ("ghcr.io/acme/base:1", Some("ghcr.io/acme/base:1")),
        ("a name", None),
    ] {
        manifest["annotations"] = json!({"org.opencontainers.image.base.name": name});
        assert_eq!(base(&manifest).map(|base| base.reference).as_deref(), reference, "{name}");
    }
    manifest["annotations"] = json!(["nonsense"]);
    assert_eq!(base(&manifest), None);
}
