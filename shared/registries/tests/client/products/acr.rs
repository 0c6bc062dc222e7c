//! Azure Container Registry.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use tidewatch_core::image::ManifestReference;
use tidewatch_core::ports::registry::{ListedTag, ListingTells, RegistryError, TagState};
use tidewatch_core::rule::ImageTimes;

use super::support::{Product, digest, listed, platforms};

/// A registry of which a token named `tidewatch` is known.
async fn with_token(exchanges: &str) -> Product {
    let config = json!({"kind": "acr", "url": "{registry}", "credentials": {"env": "ACR"}});
    Product::open(&config, &[("ACR", "tidewatch:s3cret")], exchanges).await
}

/// A registry that is read as the service principal `app-1`.
async fn with_principal(exchanges: &str) -> Product {
    let config = json!({
        "kind": "acr", "url": "{registry}", "authority_url": "{authority}", "azure_tenant": "contoso.onmicrosoft.com",
        "credentials": {"env": "ACR"},
    });
    let acr = Product::open(&config, &[("ACR", "app-1:s3/cret~")], "").await;
    // The registry is named by its host, as a form writes it.
    let service = acr.replay.url("registry").replace("http://", "").replace(':', "%3A");
    acr.replay.add(&exchanges.replace("{service}", &service));
    acr
}

async fn anonymous(exchanges: &str) -> Product {
    Product::open(&json!({"kind": "acr", "url": "{registry}"}), &[], exchanges).await
}

#[tokio::test]
async fn repositories_are_listed_page_after_page_with_the_token_that_the_challenge_names() {
    let acr = with_token(include_str!("../../exchanges/acr/repositories.http")).await;
    assert_eq!(acr.repositories().await.unwrap(), ["api", "team/web", "worker"]);
    acr.replay.assert_done();
}

#[tokio::test]
async fn tags_are_listed_by_their_manifests_as_a_service_principal() {
    let acr = with_principal(include_str!("../../exchanges/acr/tags.http")).await;
    let pushed = |at: &str| ImageTimes { pushed_at: Some(at.parse().unwrap()), ..ImageTimes::default() };
    // An index of two platforms with attestations, whose size is not told.
    let index = ListedTag {
        digest: Some(digest('a')),
        times: pushed("2026-11-20T08:30:00.1234567Z"),
        platforms: platforms(&["linux/amd64", "linux/arm64"]),
        ..listed("1.4.2")
    };
    let expected = [
        index.clone(),
        ListedTag { tag: "latest".parse().unwrap(), ..index },
        ListedTag {
            digest: Some(digest('b')),
            times: pushed("2026-10-01T00:00:00Z"),
            size: Some(22_906_605),
            platforms: platforms(&["linux/amd64"]),
            state: TagState::Locked,
            ..listed("1.4.1")
        },
        ListedTag {
            digest: Some(digest('d')),
            times: pushed("2026-09-01T00:00:00Z"),
            size: Some(2068),
            state: TagState::NotAnImage,
            ..listed("chart-0.1.0")
        },
        ListedTag { digest: Some(digest('e')), ..listed("bare") },
        // It moved while the pages were read, and is told twice.
        ListedTag {
            digest: Some(digest('f')),
            times: pushed("2026-08-01T00:00:00Z"),
            size: Some(700),
            platforms: platforms(&["windows/amd64"]),
            ..listed("latest")
        },
    ];
    assert_eq!(acr.tags("team/web").await.unwrap(), expected);
    let told =
        ListingTells { digest: true, pushed: true, size: true, platforms: true, ..ListingTells::NAMES };
    assert_eq!(acr.registry.tells(), told);
    acr.replay.assert_done();
}

#[tokio::test]
async fn tokens_are_renewed_when_they_run_out_and_exchanged_anew_when_they_are_refused() {
    let acr = with_principal(include_str!("../../exchanges/acr/expiry.http")).await;
    let tags = async || acr.tags("web").await.unwrap().pop().unwrap().tag.to_string();
    assert_eq!(tags().await, "1");
    acr.clock.advance(Duration::from_secs(4201));
    assert_eq!(tags().await, "2");
    acr.clock.advance(Duration::from_secs(60));
    assert_eq!(tags().await, "3");
    acr.replay.assert_done();
}

#[tokio::test]
async fn throttling_is_told_with_the_wait_that_the_registry_asks_for() {
    let acr = anonymous(include_str!("../../exchanges/acr/throttled.http")).await;
    for expected in [Some(Duration::from_secs(12)), None] {
        let error = acr.tags("web").await.unwrap_err();
        let RegistryError::Throttled { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after, expected);
    }
    acr.replay.assert_done();
}

#[tokio::test]
async fn an_empty_repository_has_no_tags_and_one_that_is_not_there_is_not_found() {
    let acr = anonymous(include_str!("../../exchanges/acr/empty.http")).await;
    assert_eq!(acr.tags("empty").await.unwrap(), []);
    let error = acr.tags("gone").await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    acr.replay.assert_done();
}

#[tokio::test]
async fn wrong_credentials_are_denied_without_being_shown() {
    for (acr, secret) in [
        (with_token(include_str!("../../exchanges/acr/denied.http")).await, "s3cret"),
        (with_principal(include_str!("../../exchanges/acr/denied_by_entra.http")).await, "s3/cret~"),
    ] {
        let error = acr.repositories().await.unwrap_err();
        assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
        assert!(!format!("{error:?}").contains(secret), "{error:?}");
        acr.replay.assert_done();
    }
}

#[tokio::test]
async fn a_tenant_without_credentials_or_with_a_path_is_misconfigured() {
    for (tenant, secret) in
        [("contoso", None), ("../contoso", Some("app-1:s3cret")), ("contoso", Some("s3cret"))]
    {
        let mut config: Value = json!({"kind": "acr", "url": "{registry}", "azure_tenant": tenant});
        let secret = secret.map(|secret| ("ACR", secret));
        if secret.is_some() {
            config["credentials"] = json!({"env": "ACR"});
        }
        let error = Product::try_open(&config, secret.as_slice(), "").await.err().unwrap();
        assert!(matches!(error, RegistryError::Misconfigured { .. }), "{error:?}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn an_image_is_asked_for_by_head_first_and_pulled_with_a_token_for_its_repository() {
    let acr = with_token(include_str!("../../exchanges/acr/pull.http")).await;
    let (repository, tag) = ("team/web".parse().unwrap(), "1.4.2".parse().unwrap());
    assert_eq!(acr.registry.resolve(&repository, &tag).await.unwrap(), digest('c'));
    let manifest = acr.registry.manifest(&repository, &ManifestReference::Tag(tag)).await.unwrap();
    assert_eq!(&*manifest.bytes, b"{\"schemaVersion\":2}");
    acr.replay.assert_done();
}

#[tokio::test]
async fn ten_thousand_tags_cost_as_many_requests_as_the_registry_gives_pages() {
    for page_size in [1000, 100] {
        let pages = 10_000 / page_size;
        let mut exchanges = String::new();
        let mut path = "/acr/v1/web/_manifests?n=1000&orderby=timedesc".to_owned();
        for page in 1..=pages {
            let manifest = |tag| json!({"digest": format!("sha256:{page:032}{tag:032}"), "tags": [format!("{page}.{tag}")]});
            let manifests: Vec<_> = (0..page_size).map(manifest).collect();
            let next = format!("/acr/v1/web/_manifests?last={page}&n={page_size}&orderby=timedesc");
            let link = if page < pages { format!("< link: <{next}>; rel=\"next\"\n") } else { String::new() };
            let answer = json!({"imageName": "web", "manifests": manifests});
            writeln!(exchanges, "> registry GET {path}\n< 200\n{link}{answer}\n###").unwrap();
            path = next;
        }
        let acr = anonymous(&exchanges).await;
        assert_eq!(acr.tags("web").await.unwrap().len(), 10_000);
        acr.replay.assert_done();
        assert_eq!(acr.replay.requests(), pages);
    }
}
