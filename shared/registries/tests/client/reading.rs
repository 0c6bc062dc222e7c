//! Reading a registry: listings, tags, manifests and blobs.

use crate::support::{blob, bytes, client, push_image, repository, repository_pages, tag, tag_pages};
use tidewatch_core::Digest;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::manifest::{Classified, classify, media_type};
use tidewatch_core::names::RegistryId;
use tidewatch_core::ports::Registry as _;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_testkit::registry::{Fault, TestRegistry};

#[tokio::test]
async fn repositories_and_tags_come_page_by_page_and_each_once() {
    let registry = TestRegistry::start().await.unwrap();
    for name in ["a", "b", "c/d", "e", "f"] {
        registry.push_blob(name, "x");
    }
    for name in ["1", "2", "3", "4", "5"] {
        registry.tag("a", name, Digest::of(b"x"));
    }
    registry.set_page_size(2);
    let client = client(&registry).registry;
    assert_eq!(repository_pages(&*client).await, [vec!["a", "b"], vec!["c/d", "e"], vec!["f"]]);
    assert_eq!(tag_pages(&*client, "a").await, [vec!["1", "2"], vec!["3", "4"], vec!["5"]]);
    registry.assert_no_violations();
}

#[tokio::test]
async fn a_registry_without_repositories_and_a_repository_without_tags_are_empty() {
    let registry = TestRegistry::start().await.unwrap();
    let client = client(&registry).registry;
    assert_eq!(repository_pages(&*client).await, [Vec::<String>::new()]);
    registry.push_blob("web", "x");
    assert_eq!(tag_pages(&*client, "web").await, [Vec::<String>::new()]);
    let missing = client.tags(&repository("other"), None).await;
    assert!(matches!(missing, Err(RegistryError::NotFound { .. })), "{missing:?}");
    registry.assert_no_violations();
}

#[tokio::test]
async fn a_registry_that_refuses_the_page_size_is_asked_without_one() {
    let registry = TestRegistry::start().await.unwrap();
    registry.push_blob("web", "x");
    registry.inject(Fault::RefusePageSize);
    assert_eq!(repository_pages(&*client(&registry).registry).await, [vec!["web"]]);
}

#[tokio::test]
async fn repositories_of_the_configuration_are_not_asked_for() {
    let registry = TestRegistry::start().await.unwrap();
    let mut config = registry.config("test");
    config.repositories = vec![repository("team/web")];
    let client = crate::support::client_of(&config, None, tidewatch_registries::Timeouts::default());
    assert_eq!(repository_pages(&*client.registry).await, [vec!["team/web"]]);
    assert_eq!(registry.requests(), []);
}

#[tokio::test]
async fn a_next_page_on_another_server_or_on_itself_is_not_followed() {
    let registry = TestRegistry::start().await.unwrap();
    registry.push_blob("web", "x");
    let client = client(&registry).registry;
    for target in [
        "https://evil.example/v2/_catalog?last=a".to_owned(),
        "http://127.0.0.1:1/v2/_catalog".to_owned(),
        "//evil.example/v2/_catalog".to_owned(),
        "/admin".to_owned(),
        format!("{}/v2/_catalog?n=100", registry.url()),
    ] {
        registry.clear_faults();
        registry.inject(Fault::ForeignLink { target: target.clone() });
        let page = client.repositories(None).await;
        assert!(matches!(page, Err(RegistryError::Invalid { .. })), "{target} gave {page:?}");
    }
    let page = client.repositories(Some("https://evil.example/v2/_catalog")).await;
    assert!(matches!(page, Err(RegistryError::Invalid { .. })), "a cursor gave {page:?}");
    registry.assert_no_violations();
}

#[tokio::test]
async fn a_tag_resolves_without_pulling_and_follows_its_moves() {
    let registry = TestRegistry::start().await.unwrap();
    let first = push_image(&registry);
    let client = client(&registry).registry;
    assert_eq!(client.resolve(&repository("team/web"), &tag("latest")).await.unwrap(), first);
    let second = registry.push_manifest("team/web", "latest", media_type::OCI_INDEX, r#"{"manifests":[]}"#);
    assert_eq!(client.resolve(&repository("team/web"), &tag("latest")).await.unwrap(), second);
    assert_eq!((registry.manifest_pulls(&first), registry.manifest_pulls(&second)), (0, 0));
    registry.delete_tag("team/web", "latest");
    let gone = client.resolve(&repository("team/web"), &tag("latest")).await;
    assert!(matches!(gone, Err(RegistryError::NotFound { .. })), "{gone:?}");
    registry.assert_no_violations();
}

#[tokio::test]
async fn a_tag_of_a_registry_that_names_no_digests_is_resolved_by_pulling() {
    let registry = TestRegistry::start().await.unwrap();
    let digest = push_image(&registry);
    registry.inject(Fault::OmitDigestHeader);
    let found = client(&registry).registry.resolve(&repository("team/web"), &tag("latest")).await.unwrap();
    assert_eq!((found, registry.manifest_pulls(&digest)), (digest, 1));
}

#[tokio::test]
async fn manifests_come_by_tag_and_by_digest_and_can_be_classified() {
    let registry = TestRegistry::start().await.unwrap();
    let digest = push_image(&registry);
    let client = client(&registry).registry;
    for reference in [ManifestReference::Tag(tag("latest")), ManifestReference::Digest(digest)] {
        let manifest = client.manifest(&repository("team/web"), &reference).await.unwrap();
        assert_eq!((manifest.digest, manifest.media_type.as_str()), (digest, media_type::OCI_MANIFEST));
        assert!(matches!(classify(&manifest).unwrap(), Classified::Image { .. }));
    }
    registry.assert_no_violations();
}

#[tokio::test]
async fn a_manifest_whose_bytes_do_not_match_is_refused_by_tag_and_by_digest() {
    let registry = TestRegistry::start().await.unwrap();
    let digest = push_image(&registry);
    registry.inject(Fault::CorruptManifest { digest });
    let client = client(&registry).registry;
    for reference in [ManifestReference::Tag(tag("latest")), ManifestReference::Digest(digest)] {
        let manifest = client.manifest(&repository("team/web"), &reference).await;
        assert!(matches!(manifest, Err(RegistryError::Invalid { .. })), "{reference} gave {manifest:?}");
    }
}

#[tokio::test]
async fn a_manifest_that_is_too_large_is_refused() {
    let registry = TestRegistry::start().await.unwrap();
    let digest = registry.push_manifest("web", "latest", media_type::OCI_MANIFEST, bytes((4 << 20) + 1));
    let manifest =
        client(&registry).registry.manifest(&repository("web"), &ManifestReference::Digest(digest)).await;
    assert!(matches!(manifest, Err(RegistryError::Invalid { .. })), "{:?}", manifest.err());
}

#[tokio::test]
async fn a_signed_schema_1_manifest_is_told_as_such_although_its_digest_is_not_that_of_its_bytes() {
    let registry = TestRegistry::start().await.unwrap();
    let bytes = r#"{"schemaVersion":1,"signatures":[]}"#;
    let digest = registry.push_manifest("web", "old", media_type::DOCKER_SCHEMA_1_SIGNED, bytes);
    registry.inject(Fault::CorruptManifest { digest });
    let reference = ManifestReference::Digest(digest);
    let manifest = client(&registry).registry.manifest(&repository("web"), &reference).await.unwrap();
    assert!(matches!(classify(&manifest).unwrap(), Classified::Unsupported { .. }));
}

#[tokio::test]
async fn a_blob_comes_whole_and_small_ones_can_be_checked_and_capped() {
    let registry = TestRegistry::start().await.unwrap();
    let content = bytes(300_000);
    let digest = registry.push_blob("team/web", content.clone());
    let client = client(&registry).registry;
    assert_eq!(blob(&*client, "team/web", &digest).await.unwrap(), content);
    assert_eq!(registry.blob_pulls(&digest), 1);
    let (id, repository): (RegistryId, _) = ("test".parse().unwrap(), repository("team/web"));
    let read = |limit| tidewatch_core::manifest::read_blob(&*client, &id, &repository, &digest, limit);
    assert_eq!(read(300_000).await.unwrap(), content);
    assert!(matches!(read(299_999).await, Err(RegistryError::Invalid { .. })));
    registry.inject(Fault::CorruptBlob { digest });
    assert!(matches!(read(300_000).await, Err(RegistryError::Invalid { .. })));
    registry.delete_blob("team/web", digest);
    assert!(matches!(read(300_000).await, Err(RegistryError::NotFound { .. })));
    registry.assert_no_violations();
}

#[tokio::test]
async fn what_a_scanner_has_no_business_asking_is_a_violation() {
    let registry = TestRegistry::start().await.unwrap();
    let http = reqwest::Client::new();
    let url = registry.url();
    for request in [
        http.put(format!("{url}/v2/web/manifests/latest")),
        http.delete(format!("{url}/v2/web/blobs/{}", Digest::of(b"x"))),
        http.post(format!("{url}/v2/web/blobs/uploads/")),
        http.get(format!("{url}/v2/web/manifests/latest")),
        http.get(format!("{url}/v2/UPPER/tags/list")),
        http.get(format!("{url}/admin")),
    ] {
        assert_eq!(request.send().await.unwrap().status(), 500);
    }
    assert_eq!(registry.violations().len(), 6, "{:#?}", registry.violations());
}
