use serde_json::{Value, json};

use super::*;

const SUBJECT: &str = "e8275b2b76280af67e26f068e5d585eb905f8dfd2f1918b3229db98133cb4862";

fn statement(predicate_type: &str, predicate: &Value) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": predicate_type,
        "subject": [{
            "name": "pkg:docker/registry.example.org/app@latest?platform=linux%2Famd64",
            "digest": {"sha256": SUBJECT},
        }],
        "predicate": predicate,
    })
}

fn read(document: &Value) -> Result<Attestation, AttestationError> {
    Attestation::parse(document.to_string().as_bytes())
}

fn spdx() -> Value {
    json!({
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "/run/src/core",
        "spdxVersion": "SPDX-2.3",
        "creationInfo": {
            "created": "2022-11-09T10:12:01.338817553Z",
            "creators": ["Organization: Anchore, Inc", "Tool: syft-[not provided]"],
            "licenseListVersion": "3.18",
        },
        "dataLicense": "CC0-1.0",
        "documentNamespace": "https://anchore.com/syft/dir/run/src/core-4006bb64-24b1-4a22-a18f-94efc6b90edb",
        "files": [{
            "SPDXID": "SPDXRef-1ac501c94e2f9f81",
            "comment": "layerID: sha256:9b18e9b68314027565b90ff6189d65942c0f7986da80df008b8431276885218e",
            "fileName": "/bin/busybox",
            "licenseConcluded": "NOASSERTION",
        }],
        "packages": [
            {
                "SPDXID": "SPDXRef-980737451f148c56",
                "description": "Size optimized toolbox of many common UNIX utilities",
                "downloadLocation": "https://busybox.net/",
                "externalRefs": [
                    {"referenceCategory": "SECURITY", "referenceLocator": "cpe:2.3:a:busybox:busybox:1.35.0-r17:*:*:*:*:*:*:*",
                     "referenceType": "cpe23Type"},
                    {"referenceCategory": "PACKAGE_MANAGER",
                     "referenceLocator": "pkg:alpine/busybox@1.35.0-r17?arch=aarch64&upstream=busybox&distro=alpine-3.16.2",
                     "referenceType": "purl"},
                ],
                "filesAnalyzed": false,
                "hasFiles": ["SPDXRef-1ac501c94e2f9f81"],
                "licenseConcluded": "GPL-2.0-only",
                "licenseDeclared": "GPL-2.0-only",
                "name": "busybox",
                "originator": "Person: Sören Tempel <soeren+alpine@soeren-tempel.net>",
                "sourceInfo": "acquired package info from APK DB: lib/apk/db/installed",
                "versionInfo": "1.35.0-r17",
            },
            {"SPDXID": "SPDXRef-DocumentRoot-Directory", "name": "/run/src/core", "primaryPackagePurpose": "FILE"},
        ],
        "relationships": [{
            "relatedSpdxElement": "SPDXRef-1ac501c94e2f9f81",
            "relationshipType": "CONTAINS",
            "spdxElementId": "SPDXRef-980737451f148c56",
        }],
    })
}

fn provenance_1(internal_parameters: &Value) -> Value {
    let predicate = json!({
        "buildDefinition": {
            "buildType": "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
            "externalParameters": {
                "configSource": {"path": "Dockerfile"},
                "request": {"frontend": "dockerfile.v0", "args": {}, "locals": [{"name": "context"}, {"name": "dockerfile"}]},
            },
            "internalParameters": internal_parameters,
            "resolvedDependencies": [
                {
                    "uri": "pkg:docker/alpine@latest?platform=linux%2Famd64",
                    "digest": {"sha256": "8914eb54f968791faf6a8638949e480fef81e697984fba772b3976835194c6d4"},
                },
                {
                    "uri": "https://github.com/moby/buildkit.git#refs/tags/v0.11.0",
                    "digest": {"sha1": "4b220de5058abfd01ff619c9d2ff6b09a049bea0"},
                },
            ],
        },
        "runDetails": {
            "builder": {"id": ""},
            "metadata": {
                "invocationId": "yirbp1aosi1vqjmi3z6bc75nb",
                "startedOn": "2022-12-08T11:48:59.466513707Z",
                "finishedOn": "2022-12-08T11:49:01.256820297Z",
                "buildkit_completeness": {"request": false, "resolvedDependencies": false},
                "buildkit_metadata": {},
            },
        },
    });
    statement("https://slsa.dev/provenance/v1", &predicate)
}

fn provenance_02() -> Value {
    let predicate = json!({
        "builder": {"id": "https://github.com/example/app/actions/runs/1"},
        "buildType": "https://mobyproject.org/buildkit@v1",
        "materials": [{
            "uri": "pkg:docker/docker/dockerfile@1.4",
            "digest": {"sha256": "9ba7531bd80fb0a858632727cf7a112fbfd19b17e94c4e84ced81e24ef1a0dbc"},
        }],
        "invocation": {
            "configSource": {"entryPoint": "Dockerfile"},
            "parameters": {"frontend": "gateway.v0", "args": {"build-arg:A": "1", "cmdline": "docker/dockerfile:1.4"}},
            "environment": {"platform": "linux/amd64"},
        },
        "buildConfig": {
            "llbDefinition": [{"id": "step0", "op": {"Op": {"source": {"identifier": "docker-image://docker.io/library/alpine"}}}}],
        },
        "metadata": {
            "buildInvocationID": "rpv7a389uzil5lqmrgwhijwjz",
            "completeness": {"parameters": true, "environment": true, "materials": false},
            "https://mobyproject.org/buildkit@v1#metadata": {"source": {"infos": [{"filename": "Dockerfile"}]}},
        },
    });
    let mut document = statement("https://slsa.dev/provenance/v0.2", &predicate);
    document["_type"] = json!("https://in-toto.io/Statement/v0.1");
    document
}

#[test]
fn an_sbom_of_buildkit_lists_packages() {
    let attestation = read(&statement("https://spdx.dev/Document", &spdx())).unwrap();
    insta::assert_json_snapshot!(attestation);
    assert_eq!(read(&statement("https://spdx.dev/Document/v2.3", &spdx())).unwrap(), attestation);
}

#[test]
fn components_of_cyclonedx_count_with_those_within_them() {
    let inner = json!({"type": "library", "name": "inner", "version": "2", "purl": "pkg:npm/inner@2"});
    let predicate = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {"component": {"type": "container", "name": "app"}},
        "components": [
            {"type": "library", "group": "org.slf4j", "name": "slf4j-api", "version": "2.0.9",
             "purl": "pkg:maven/org.slf4j/slf4j-api@2.0.9", "components": [inner]},
            {"type": "operating-system", "name": "debian", "version": "12"},
        ],
    });
    insta::assert_json_snapshot!(read(&statement("https://cyclonedx.org/bom", &predicate)).unwrap().kind);
}

#[test]
fn provenance_of_version_1_names_what_went_in_and_has_its_mode() {
    let min = read(&provenance_1(&json!({"builderPlatform": "linux/amd64"}))).unwrap();
    insta::assert_json_snapshot!(min);
    let max = read(&provenance_1(&json!({"buildConfig": {"llbDefinition": [{"id": "step0"}]}}))).unwrap();
    let (AttestationKind::Provenance(min), AttestationKind::Provenance(max)) = (min.kind, max.kind) else {
        panic!("both are provenance");
    };
    assert_eq!(max, Provenance { mode: ProvenanceMode::Max, ..min.clone() });
    assert_eq!(min.materials.iter().map(Material::is_image).collect::<Vec<_>>(), [true, false]);
    let null = read(&provenance_1(&json!({"buildConfig": null}))).unwrap();
    assert_eq!(null.kind, AttestationKind::Provenance(min));
}

#[test]
fn in_the_mode_max_the_layers_of_stages_are_known() {
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let layers = json!({"step0:0": [[{"digest": digest, "size": 1}]], "step1:0": [[{"digest": digest}]]});
    let stages = |document: Value| match read(&document).unwrap().kind {
        AttestationKind::Provenance(provenance) => provenance.stages,
        other => panic!("{other:?}"),
    };
    let steps = json!({"buildConfig": {"llbDefinition": [
        {"id": "step0", "op": {"Op": {"source": {"identifier": "docker-image://docker.io/library/alpine:3.17"}}}},
        {"id": "step1", "op": {"Op": {"exec": {}}}},
    ]}});
    let mut version_1 = provenance_1(&steps);
    assert_eq!(stages(version_1.clone()), None, "the builder tells no layers");
    version_1["predicate"]["runDetails"]["metadata"]["buildkit_metadata"]["layers"] = layers.clone();
    let found = stages(version_1).unwrap();
    let of_alpine =
        Stage { image: "docker.io/library/alpine:3.17".to_owned(), layers: vec![digest.parse().unwrap()] };
    assert_eq!(found, [of_alpine]);
    let mut version_0_2 = provenance_02();
    version_0_2["predicate"]["metadata"]["https://mobyproject.org/buildkit@v1#metadata"]["layers"] = layers;
    assert_eq!(stages(version_0_2).unwrap()[0].image, "docker.io/library/alpine");
}

#[test]
fn provenance_of_version_0_2_is_the_same_in_other_words() {
    insta::assert_json_snapshot!(read(&provenance_02()).unwrap());
}

#[test]
fn an_openvex_document_is_what_somebody_says() {
    let predicate = json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "x", "author": "a", "timestamp": "2023-01-08T18:02:03Z",
        "statements": [{"vulnerability": {"name": "CVE-1"}, "status": "fixed"}, {"vulnerability": {"name": "CVE-2"}}],
    });
    insta::assert_json_snapshot!(read(&statement("https://openvex.dev/ns/v0.2.0", &predicate)).unwrap().kind);
}

#[test]
fn an_envelope_is_opened_and_its_signatures_are_not_looked_at() {
    let plain = provenance_02();
    for payload in
        [BASE64.encode(plain.to_string().as_bytes()), BASE64URL.encode(plain.to_string().as_bytes())]
    {
        let envelope = json!({
            "payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": [{"keyid": "", "sig": "MEUC"}],
        });
        assert_eq!(read(&envelope), read(&plain));
        let twice = json!({"payload": BASE64.encode(envelope.to_string().as_bytes())});
        assert_eq!(read(&twice), Err(AttestationError::NotAStatement(String::new())));
    }
    assert_eq!(read(&json!({"payload": "%"})), Err(AttestationError::Payload));
}

#[test]
fn another_type_is_told_and_nothing_more() {
    let found = read(&statement("https://example.org/\u{1b}x", &json!({"a": [1]}))).unwrap();
    assert_eq!(
        found.kind,
        AttestationKind::Other { predicate_type: "https://example.org/\\x1bx".to_owned() }
    );
    let found = read(&statement("https://spdx.dev/Documents", &spdx())).unwrap();
    assert!(matches!(found.kind, AttestationKind::Other { .. }));
}

#[test]
fn what_is_no_statement_or_not_what_its_type_says_is_an_error() {
    for (document, error) in [
        (json!({}), AttestationError::NotAStatement(String::new())),
        (json!([1]), AttestationError::NotAStatement(String::new())),
        (
            json!({"_type": "https://in-toto.io/Statement/v2"}),
            AttestationError::NotAStatement("https://in-toto.io/Statement/v2".to_owned()),
        ),
        (
            statement("https://spdx.dev/Document", &json!({"packages": []})),
            AttestationError::Predicate("SPDX document"),
        ),
        (
            statement("https://spdx.dev/Document", &json!("SPDXVersion: SPDX-2.3")),
            AttestationError::Predicate("SPDX document"),
        ),
        (
            statement("https://cyclonedx.org/bom/v1.4", &spdx()),
            AttestationError::Predicate("CycloneDX document"),
        ),
        (statement("https://openvex.dev/ns", &json!({})), AttestationError::Predicate("OpenVEX document")),
    ] {
        assert_eq!(read(&document), Err(error), "{document}");
    }
    assert!(matches!(Attestation::parse(b"{"), Err(AttestationError::Json(_))));
    assert_eq!(Attestation::parse(&vec![b' '; ATTESTATION_LIMIT + 1]), Err(AttestationError::TooLarge));
}

#[test]
fn subjects_without_a_sha256_digest_are_left_out() {
    let mut document = statement("x", &json!({}));
    document["subject"] = json!([{"digest": {"sha512": "00"}}, {"digest": {"sha1": "00", "sha256": SUBJECT}}, 5, {"digest": {"sha256": "0"}}]);
    assert_eq!(read(&document).unwrap().subjects, [format!("sha256:{SUBJECT}").parse().unwrap()]);
}

#[test]
fn packages_and_materials_have_a_limit() {
    let packages = vec![json!({"name": "a"}); 50_002];
    let AttestationKind::Sbom(sbom) = read(&statement(
        "https://spdx.dev/Document",
        &json!({"spdxVersion": "SPDX-2.3", "packages": packages}),
    ))
    .unwrap()
    .kind
    else {
        panic!("it is an SBOM");
    };
    assert_eq!((sbom.packages.len(), sbom.left_out), (50_000, 2));
    let deep = (0..6)
        .fold(json!({"name": "x".repeat(1025)}), |inner, _| json!({"name": "a", "components": [inner]}));
    let predicate = json!({"bomFormat": "CycloneDX", "components": [deep]});
    let AttestationKind::Sbom(sbom) = read(&statement("https://cyclonedx.org/bom", &predicate)).unwrap().kind
    else {
        panic!("it is an SBOM");
    };
    assert_eq!((sbom.packages.len(), sbom.left_out), (4, 0));
    let materials = vec![json!({"uri": "a"}); 10_001];
    let predicate = json!({"materials": materials, "builder": {"id": "x".repeat(1025)}});
    let AttestationKind::Provenance(provenance) =
        read(&statement("https://slsa.dev/provenance/v0.2", &predicate)).unwrap().kind
    else {
        panic!("it is provenance");
    };
    assert_eq!((provenance.materials.len(), provenance.left_out, provenance.builder), (10_000, 1, None));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_parsing_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = Attestation::parse(&bytes);
        let envelope = json!({"payload": BASE64.encode(&bytes)});
        let _ = read(&envelope);
    }

    #[test]
    fn whatever_a_predicate_holds_no_statement_panics(number in 0..6_usize, value in ".{0,30}", deep in 0..200_usize) {
        let types = ["https://spdx.dev/Document", "https://cyclonedx.org/bom", "https://slsa.dev/provenance/v1",
                     "https://slsa.dev/provenance/v0.2", "https://openvex.dev/ns", "x"];
        let text = format!(
            r#"{{"_type": "https://in-toto.io/Statement/v1", "predicateType": {}, "predicate": {{"packages": {}, "components": {1}, "statements": {1},
                "materials": {1}, "buildDefinition": {1}, {1}: {1}}}}}"#,
            json!(types[number]), json!(value),
        );
        let _ = Attestation::parse(text.as_bytes());
        let nested = format!(r#"{{"_type": "https://in-toto.io/Statement/v1", "predicate": {}{}}}"#, "{\"components\":[".repeat(deep), "]}".repeat(deep));
        let _ = Attestation::parse(nested.as_bytes());
    }
}
