//! Docker Hub.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::ports::registry::{ListedTag, RegistryError};
use tidewatch_core::rule::ImageTimes;

use super::support::{Product, digest, listed, platforms};

/// Docker Hub for the user `ci` with the token `dckr_pat_x`.
async fn hub(namespaces: &[&str], exchanges: &str) -> Product {
    let config = json!({
        "kind": "docker-hub", "url": "{registry}", "api_url": "{api}", "namespaces": namespaces,
        "credentials": {"env": "HUB"},
    });
    Product::open(&config, &[("HUB", "ci:dckr_pat_x")], exchanges).await
}

async fn anonymous(exchanges: &str) -> Product {
    let config =
        json!({"kind": "docker-hub", "url": "{registry}", "api_url": "{api}", "namespaces": ["acme"]});
    Product::open(&config, &[], exchanges).await
}

#[tokio::test]
async fn repositories_are_listed_namespace_after_namespace_with_one_token() {
    let hub = hub(&["acme", "library"], include_str!("../../exchanges/docker_hub/repositories.http")).await;
    let found = hub.repositories().await.unwrap();
    assert_eq!(found, ["acme/api", "acme/web", "acme/worker", "library/nginx"]);
    hub.replay.assert_done();
}

#[tokio::test]
async fn tags_are_listed_with_digest_times_size_and_platforms() {
    let hub = hub(&["acme"], include_str!("../../exchanges/docker_hub/tags.http")).await;
    let times = |pushed: &str, pulled: Option<&str>| ImageTimes {
        created_at: None,
        pushed_at: Some(pushed.parse().unwrap()),
        pulled_at: pulled.map(|pulled| pulled.parse().unwrap()),
    };
    let expected = [
        // An index of two platforms, with the attestations that BuildKit makes.
        ListedTag {
            digest: Some(digest('a')),
            times: times("2026-11-20T08:30:00.123456Z", Some("2026-11-21T07:00:00Z")),
            size: Some(31_457_280),
            platforms: platforms(&["linux/amd64", "linux/arm64"]),
            ..listed("1.4.2")
        },
        // Nobody has pulled it, and its digest is not told.
        ListedTag {
            times: times("2026-10-01T00:00:00Z", None),
            size: Some(1024),
            platforms: platforms(&["windows/amd64"]),
            ..listed("1.4.1-windows")
        },
        listed("bare"),
        // It moved while the pages were read, and is told twice.
        ListedTag {
            digest: Some(digest('b')),
            times: times("2026-11-21T11:59:00Z", None),
            ..listed("1.4.2")
        },
    ];
    assert_eq!(hub.tags("acme/web").await.unwrap(), expected);
    hub.replay.assert_done();
}

#[tokio::test]
async fn a_token_of_the_api_is_renewed_before_it_runs_out_and_when_it_is_refused() {
    let hub = hub(&["acme"], include_str!("../../exchanges/docker_hub/expiry.http")).await;
    assert_eq!(hub.tags("acme/web").await.unwrap(), [listed("1")]);
    hub.clock.advance(Duration::from_secs(541));
    assert_eq!(hub.tags("acme/web").await.unwrap(), [listed("2")]);
    hub.clock.advance(Duration::from_secs(60));
    assert_eq!(hub.tags("acme/web").await.unwrap(), [listed("3")]);
    hub.replay.assert_done();
}

#[tokio::test]
async fn throttling_is_told_with_the_wait_that_the_api_asks_for() {
    let hub = anonymous(include_str!("../../exchanges/docker_hub/throttled.http")).await;
    // By Retry-After, by the time at which the count begins anew, and not at all.
    for expected in [Some(Duration::from_secs(17)), Some(Duration::from_secs(60)), None] {
        let error = hub.tags("acme/web").await.unwrap_err();
        let RegistryError::Throttled { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after, expected);
    }
    hub.replay.assert_done();
}

#[tokio::test]
async fn an_empty_repository_has_no_tags_and_one_that_is_not_there_is_not_found() {
    let hub = anonymous(include_str!("../../exchanges/docker_hub/empty.http")).await;
    assert_eq!(hub.tags("acme/empty").await.unwrap(), []);
    let error = hub.tags("acme/gone").await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    hub.replay.assert_done();
}

#[tokio::test]
async fn an_official_image_is_read_in_the_namespace_library_and_asked_for_by_head_first() {
    let hub = hub(&["library"], include_str!("../../exchanges/docker_hub/pull.http")).await;
    let (repository, tag) = ("nginx".parse().unwrap(), "1.29".parse().unwrap());
    assert_eq!(hub.registry.resolve(&repository, &tag).await.unwrap(), digest('c'));
    let manifest = hub.registry.manifest(&repository, &ManifestReference::Tag(tag)).await.unwrap();
    assert_eq!(&*manifest.bytes, b"{\"schemaVersion\":2}");
    hub.replay.assert_done();
}

#[tokio::test]
async fn wrong_credentials_are_denied_without_being_shown() {
    let hub = hub(&["acme"], include_str!("../../exchanges/docker_hub/denied.http")).await;
    let error = hub.tags("acme/web").await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("dckr_pat_x"), "{error:?}");
    hub.replay.assert_done();
}

#[tokio::test]
async fn ten_thousand_tags_cost_a_hundred_requests() {
    let mut exchanges = String::new();
    for page in 1..=100 {
        let results: Vec<_> =
            (0..100).map(|tag| json!({"name": format!("{page}.{tag}"), "images": []})).collect();
        let next = (page < 100).then(|| "https://hub.docker.com/v2/next");
        let answer = json!({"count": 10_000, "next": next, "results": results});
        writeln!(
            exchanges,
            "> api GET /v2/namespaces/acme/repositories/web/tags?page={page}&page_size=100\n< 200\n{answer}\n###"
        )
        .unwrap();
    }
    let hub = anonymous(&exchanges).await;
    assert_eq!(hub.tags("acme/web").await.unwrap().len(), 10_000);
    hub.replay.assert_done();
    assert_eq!(hub.replay.requests(), 100);
}
