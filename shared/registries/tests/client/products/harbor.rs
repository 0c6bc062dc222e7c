//! Harbor.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::ports::registry::{ListedTag, RegistryError, TagState};
use tidewatch_core::rule::ImageTimes;

use super::support::{Product, digest, listed, platforms};

const ROBOT: &str = "robot$team+tidewatch:h4rb0r-secret";

/// Harbor for the robot account `tidewatch` of the project `team`.
async fn harbor(projects: &[&str], exchanges: &str) -> Product {
    let config = json!({
        "kind": "harbor", "url": "{registry}", "namespaces": projects, "credentials": {"env": "HARBOR"},
    });
    Product::open(&config, &[("HARBOR", ROBOT)], exchanges).await
}

/// When it was created, pushed and pulled; an empty text is no time.
fn times(created: &str, pushed: &str, pulled: &str) -> ImageTimes {
    ImageTimes {
        created_at: created.parse().ok(),
        pushed_at: pushed.parse().ok(),
        pulled_at: pulled.parse().ok(),
    }
}

#[tokio::test]
async fn every_repository_that_the_account_sees_is_listed_and_an_odd_entry_is_left_out() {
    let harbor = harbor(&[], include_str!("../../exchanges/harbor/repositories.http")).await;
    assert_eq!(harbor.repositories().await.unwrap(), ["team/web", "team/web/front", "library/nginx"]);
    harbor.replay.assert_done();
}

#[tokio::test]
async fn repositories_are_listed_project_after_project_where_some_are_named() {
    let harbor = harbor(&["team", "a/b?x"], include_str!("../../exchanges/harbor/projects.http")).await;
    assert_eq!(harbor.repositories().await.unwrap(), ["team/web", "team/web/front"]);
    harbor.replay.assert_done();
}

#[tokio::test]
async fn tags_are_listed_with_all_that_is_known_of_their_artifact() {
    let harbor = harbor(&[], include_str!("../../exchanges/harbor/tags.http")).await;
    let index = ListedTag {
        digest: Some(digest('a')),
        size: Some(31_457_280),
        platforms: platforms(&["linux/amd64", "linux/arm/v7"]),
        ..listed("1.4.2")
    };
    let expected = [
        // It was pulled by its digest after it was pulled by this tag, and after that by the other one.
        ListedTag { times: times("", "2026-11-20T08:30:01Z", "2026-11-21T07:00:00Z"), ..index.clone() },
        ListedTag {
            tag: "latest".parse().unwrap(),
            times: times("", "2026-11-20T08:31:00Z", "2026-11-21T08:00:00Z"),
            ..index
        },
        // Nobody has pulled it, and when its tag was pushed is not told.
        ListedTag {
            digest: Some(digest('b')),
            times: times("2026-10-01T08:00:00.5Z", "2026-10-02T00:00:00Z", ""),
            size: Some(1024),
            platforms: platforms(&["linux/amd64"]),
            ..listed("1.4.1")
        },
        ListedTag {
            digest: Some(digest('c')),
            times: times("", "2026-09-01T00:00:00Z", ""),
            size: Some(4096),
            state: TagState::NotAnImage,
            ..listed("chart-0.1.0")
        },
        listed("bare"),
        // It moved while the pages were read, and is told twice.
        ListedTag {
            digest: Some(digest('e')),
            times: times("", "2026-11-21T11:59:00Z", ""),
            ..listed("latest")
        },
    ];
    assert_eq!(harbor.tags("team/web/front").await.unwrap(), expected);
    harbor.replay.assert_done();
}

#[tokio::test]
async fn a_name_without_a_project_is_not_found_and_not_asked_for() {
    let harbor = harbor(&[], "").await;
    let error = harbor.tags("web").await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    harbor.replay.assert_done();
}

#[tokio::test]
async fn throttling_is_told_with_the_wait_where_there_is_one() {
    let harbor = harbor(&[], include_str!("../../exchanges/harbor/throttled.http")).await;
    for expected in [Some(Duration::from_secs(17)), None] {
        let error = harbor.tags("team/web").await.unwrap_err();
        let RegistryError::Throttled { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after, expected);
    }
    harbor.replay.assert_done();
}

#[tokio::test]
async fn an_empty_repository_has_no_tags_and_a_project_that_is_not_there_is_not_found() {
    let harbor = harbor(&[], include_str!("../../exchanges/harbor/empty.http")).await;
    assert_eq!(harbor.tags("team/empty").await.unwrap(), []);
    let error = harbor.tags("gone/web").await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    harbor.replay.assert_done();
}

#[tokio::test]
async fn wrong_credentials_and_missing_rights_are_denied_without_being_shown() {
    let harbor = harbor(&["other"], include_str!("../../exchanges/harbor/denied.http")).await;
    for error in [harbor.tags("team/web").await.unwrap_err(), harbor.repositories().await.unwrap_err()] {
        assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
        assert!(!format!("{error:?}").contains("h4rb0r-secret"), "{error:?}");
    }
    harbor.replay.assert_done();
}

#[tokio::test]
async fn a_token_of_the_registry_is_renewed_before_it_runs_out_and_when_a_password_is_asked_for_instead() {
    let harbor = harbor(&[], include_str!("../../exchanges/harbor/pull.http")).await;
    let (repository, tag) = ("team/web/front".parse().unwrap(), "1.4.2".parse().unwrap());
    assert_eq!(harbor.registry.resolve(&repository, &tag).await.unwrap(), digest('a'));
    let reference = ManifestReference::Tag(tag.clone());
    let manifest = harbor.registry.manifest(&repository, &reference).await.unwrap();
    assert_eq!(&*manifest.bytes, b"{\"schemaVersion\":2}");
    harbor.clock.advance(Duration::from_secs(1621));
    assert_eq!(harbor.registry.resolve(&repository, &tag).await.unwrap(), digest('b'));
    assert_eq!(harbor.registry.resolve(&repository, &tag).await.unwrap(), digest('c'));
    harbor.replay.assert_done();
}

#[tokio::test]
async fn ten_thousand_tags_cost_a_hundred_requests() {
    let query = "with_tag=true&with_label=false&with_scan_overview=false&with_accessory=false&q=tags%3D*&sort=-push_time";
    let path = "/api/v2.0/projects/team/repositories/web/artifacts";
    let mut exchanges = String::new();
    for page in 1..=100 {
        let artifact = |tag: u32| json!({"type": "IMAGE", "tags": [{"name": format!("{page}.{tag}")}]});
        let answer: Vec<_> = (0..100).map(artifact).collect();
        writeln!(
            exchanges,
            "> registry GET {path}?{query}&page_size=100&page={page}\n< 200\n< x-total-count: 10000\n{}\n###",
            json!(answer)
        )
        .unwrap();
    }
    let config = json!({"kind": "harbor", "url": "{registry}"});
    let harbor = Product::open(&config, &[], &exchanges).await;
    assert_eq!(harbor.tags("team/web").await.unwrap().len(), 10_000);
    harbor.replay.assert_done();
    assert_eq!(harbor.replay.requests(), 100);
}
