//! `JFrog` Artifactory.

use std::time::Duration;

use serde_json::{Value, json};
use tidewatch_core::image::ManifestReference;
use tidewatch_core::ports::registry::{ListedTag, RegistryError, TagState};
use tidewatch_core::rule::ImageTimes;

use super::support::{Product, digest, listed};

const TOKEN: &str = "eyJ2ZXIiOiIyIn0.s3cret";

/// Artifactory for who has an access token.
async fn artifactory(namespaces: &[&str], exchanges: &str) -> Product {
    let config = json!({
        "kind": "jfrog", "url": "{registry}", "namespaces": namespaces, "credentials": {"env": "JFROG"},
    });
    Product::open(&config, &[("JFROG", TOKEN)], exchanges).await
}

/// The search for the tags of `team/web` in `docker-local`, as the exchanges have it.
fn search(tail: &str) -> String {
    let criteria = concat!(
        r#"{"$and":[{"$or":[{"repo":"docker-local"},{"repo":"docker-local-cache"}]},{"path":{"$match":"team/web/*"}},"#,
        r#"{"path":{"$nmatch":"team/web/*/*"}},{"path":{"$nmatch":"team/web/sha256:*"}},"#,
        r#"{"$or":[{"name":"manifest.json"},{"name":"list.manifest.json"}]}]}"#
    );
    format!(
        "> registry POST /artifactory/api/search/aql\n> authorization: Bearer {TOKEN}\n> content-type: text/plain\n>\n\
         > items.find({criteria}).include(\"repo\",\"path\",\"name\",\"sha256\",\"modified\"{tail}\n"
    )
}

fn full() -> String {
    search(r#","stat.downloaded","property")"#)
}

fn plain(offset: usize) -> String {
    search(&format!(r#").sort({{"$desc":["path","name"]}}).offset({offset}).limit(10000)"#))
}

/// The answer with the manifests of the tags with these numbers.
fn found(tags: std::ops::Range<usize>) -> Value {
    let count = tags.len();
    let results: Vec<_> = tags
        .map(|tag| {
            json!({"repo": "docker-local", "path": format!("team/web/{tag}"), "name": "manifest.json",
                   "sha256": "a".repeat(64), "modified": "2026-11-20T08:30:00.123Z"})
        })
        .collect();
    // What Artifactory calls `total` is what stands on the page.
    json!({"results": results, "range": {"start_pos": 0, "end_pos": count, "total": count}})
}

fn times(pushed: &str, pulled: Option<&str>) -> ImageTimes {
    ImageTimes {
        created_at: None,
        pushed_at: Some(pushed.parse().unwrap()),
        pulled_at: pulled.map(|pulled| pulled.parse().unwrap()),
    }
}

#[tokio::test]
async fn repositories_are_those_of_every_key_that_is_not_virtual() {
    let exchanges = include_str!("../../exchanges/jfrog/repositories.http");
    let artifactory = artifactory(&[], exchanges).await;
    let found = artifactory.repositories().await.unwrap();
    assert_eq!(
        found,
        ["charts/backend", "docker-local/api", "docker-local/team/web", "docker-remote/library/nginx"]
    );
    artifactory.replay.assert_done();
}

#[tokio::test]
async fn keys_that_are_named_are_read_whatever_they_are_and_those_that_are_no_names_are_left_out() {
    let exchanges = include_str!("../../exchanges/jfrog/namespaces.http");
    let artifactory = artifactory(&["docker-virtual", "Docker-Old"], exchanges).await;
    assert_eq!(artifactory.repositories().await.unwrap(), ["docker-virtual/team/web"]);
    artifactory.replay.assert_done();
}

#[tokio::test]
async fn a_page_that_leads_to_itself_ends_the_listing_as_wrong() {
    let exchanges = include_str!("../../exchanges/jfrog/loop.http");
    let artifactory = artifactory(&["docker-local"], exchanges).await;
    let error = artifactory.repositories().await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Invalid { reason, .. } if reason.contains("itself")),
        "{error:?}"
    );
    artifactory.replay.assert_done();
}

#[tokio::test]
async fn tags_are_listed_by_one_search_with_digest_and_times() {
    let artifactory = artifactory(&[], include_str!("../../exchanges/jfrog/tags.http")).await;
    let expected = [
        // Both a manifest and an index: the index is what is pulled.
        ListedTag {
            digest: Some(digest('b')),
            times: times("2026-11-21T10:00:00.5Z", Some("2026-11-21T11:00:00Z")),
            ..listed("1.4.2")
        },
        // Of two counts of downloads, one by another Artifactory, the later.
        ListedTag {
            digest: Some(digest('c')),
            times: times("2026-10-01T06:00:00Z", Some("2026-10-03T00:00:00Z")),
            ..listed("1.4.1")
        },
        ListedTag {
            digest: Some(digest('d')),
            times: times("2026-09-01T00:00:00Z", None),
            state: TagState::NotAnImage,
            ..listed("chart-0.1.0")
        },
        // An old file of which no SHA-256 was kept: a property tells the digest.
        ListedTag { digest: Some(digest('e')), ..listed("old") },
        listed("bare"),
    ];
    assert_eq!(artifactory.tags("docker-local/team/web").await.unwrap(), expected);
    artifactory.replay.assert_done();
}

#[tokio::test]
async fn a_virtual_repository_does_not_tell_which_of_two_images_a_tag_is() {
    let exchanges = include_str!("../../exchanges/jfrog/virtual.http");
    let artifactory = artifactory(&[], exchanges).await;
    let same =
        ListedTag { digest: Some(digest('a')), times: times("2026-11-02T00:00:00Z", None), ..listed("2") };
    assert_eq!(artifactory.tags("docker-virtual/web").await.unwrap(), [listed("1"), same]);
    artifactory.replay.assert_done();
}

#[tokio::test]
async fn a_cache_is_read_for_its_remote_repository_and_not_for_a_local_one_with_such_a_name() {
    let artifactory = artifactory(&[], include_str!("../../exchanges/jfrog/cache.http")).await;
    let tag = |name, digit| ListedTag { digest: Some(digest(digit)), ..listed(name) };
    assert_eq!(artifactory.tags("hub/library/nginx").await.unwrap(), [tag("1.29", 'a')]);
    assert_eq!(artifactory.tags("local/library/nginx").await.unwrap(), [tag("1.29", 'b')]);
    artifactory.replay.assert_done();
}

#[tokio::test]
async fn a_refused_search_is_made_for_the_files_alone_and_not_tried_again() {
    let refused = "< 400\nFailed to parse query: not allowed\n";
    let exchanges = [
        format!("{}{refused}", full()),
        format!("{}< 200\n{}", plain(0), found(1..2)),
        format!("{}< 200\n{}", plain(0), found(2..3)),
    ];
    let artifactory = artifactory(&[], &exchanges.join("\n###\n")).await;
    assert!(artifactory.registry.tells().pulled);
    let times = times("2026-11-20T08:30:00.123Z", None);
    for tag in ["1", "2"] {
        let expected = ListedTag { digest: Some(digest('a')), times, ..listed(tag) };
        assert_eq!(artifactory.tags("docker-local/team/web").await.unwrap(), [expected]);
        assert!(!artifactory.registry.tells().pulled);
    }
    artifactory.replay.assert_done();
}

#[tokio::test]
async fn a_search_that_was_cut_off_is_made_page_by_page_so_that_no_tag_is_lost() {
    let mut cut = found(0..3);
    cut["range"]["notification"] = json!("AQL query reached the search hard limit, results are trimmed.");
    let mut first = found(0..2);
    first["range"]["notification"] = cut["range"]["notification"].clone();
    let exchanges = [
        format!("{}< 200\n{cut}", full()),
        format!("{}< 200\n{first}", plain(0)),
        format!("{}< 200\n{}", plain(2), found(2..5)),
        // Another image is asked for everything again.
        format!("{}< 200\n{}", full(), found(0..1)),
    ];
    let artifactory = artifactory(&[], &exchanges.join("\n###\n")).await;
    assert_eq!(artifactory.tags("docker-local/team/web").await.unwrap().len(), 5);
    assert_eq!(artifactory.tags("docker-local/team/web").await.unwrap().len(), 1);
    artifactory.replay.assert_done();
}

#[tokio::test]
async fn a_total_that_is_larger_than_the_page_is_followed() {
    let mut first = found(0..2);
    first["range"]["total"] = json!(3);
    let mut second = found(2..3);
    second["range"]["total"] = json!(3);
    let exchanges = [
        format!("{}< 403\n", full()),
        format!("{}< 200\n{first}", plain(0)),
        format!("{}< 200\n{second}", plain(2)),
    ];
    let artifactory = artifactory(&[], &exchanges.join("\n###\n")).await;
    assert_eq!(artifactory.tags("docker-local/team/web").await.unwrap().len(), 3);
    artifactory.replay.assert_done();
}

#[tokio::test]
async fn ten_thousand_tags_cost_one_request() {
    let artifactory = artifactory(&[], &format!("{}< 200\n{}", full(), found(0..10_000))).await;
    assert_eq!(artifactory.tags("docker-local/team/web").await.unwrap().len(), 10_000);
    artifactory.replay.assert_done();
    assert_eq!(artifactory.replay.requests(), 1);
}

#[tokio::test]
async fn ten_thousand_tags_of_files_alone_cost_two_requests() {
    let exchanges = [
        format!("{}< 403\n", full()),
        format!("{}< 200\n{}", plain(0), found(0..10_000)),
        format!("{}< 200\n{}", plain(10_000), found(0..0)),
    ];
    let artifactory = artifactory(&[], &exchanges.join("\n###\n")).await;
    assert_eq!(artifactory.tags("docker-local/team/web").await.unwrap().len(), 10_000);
    artifactory.replay.assert_done();
    // The one that was refused is never made again.
    assert_eq!(artifactory.replay.requests() - 1, 2);
}

#[tokio::test]
async fn where_a_search_finds_nothing_the_registry_says_whether_there_is_something() {
    let artifactory = artifactory(&[], include_str!("../../exchanges/jfrog/empty.http")).await;
    assert_eq!(artifactory.tags("docker-local/empty").await.unwrap(), []);
    let error = artifactory.tags("docker-local/gone").await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    let error = artifactory.tags("docker-local/hidden").await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
    assert_eq!(artifactory.tags("docker-remote/unsearched").await.unwrap(), [listed("1"), listed("2")]);
    artifactory.replay.assert_done();
}

#[tokio::test]
async fn a_name_without_a_key_is_said_to_be_wrong_without_a_request() {
    let artifactory = artifactory(&[], "").await;
    let error = artifactory.tags("web").await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Invalid { reason, .. } if reason.contains("KEY/IMAGE")),
        "{error:?}"
    );
    artifactory.replay.assert_done();
}

#[tokio::test]
async fn throttling_is_told_with_the_wait_that_is_asked_for() {
    let exchanges =
        [format!("{}< 429\n< retry-after: 17\n", full()), format!("{}< 429\nToo many requests", full())];
    let artifactory = artifactory(&[], &exchanges.join("\n###\n")).await;
    for expected in [Some(Duration::from_secs(17)), None] {
        let error = artifactory.tags("docker-local/team/web").await.unwrap_err();
        let RegistryError::Throttled { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after, expected);
    }
    artifactory.replay.assert_done();
}

#[tokio::test]
async fn a_refused_token_is_denied_at_once_and_without_being_shown() {
    let refusal =
        json!({"errors": [{"status": 401, "message": format!("Token failed verification: {TOKEN}")}]});
    let artifactory = artifactory(&[], &format!("{}< 401\n{refusal}", full())).await;
    let error = artifactory.tags("docker-local/team/web").await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    assert!(artifactory.registry.tells().pulled);
    artifactory.replay.assert_done();
}

#[tokio::test]
async fn an_image_is_pulled_with_the_credentials_shown_at_once() {
    let config = json!({"kind": "jfrog", "url": "{registry}", "credentials": {"env": "JFROG"}});
    let exchanges = include_str!("../../exchanges/jfrog/pull.http");
    let artifactory = Product::open(&config, &[("JFROG", "ci:s3cret")], exchanges).await;
    let (repository, tag) = ("docker-local/team/web".parse().unwrap(), "1.4.2".parse().unwrap());
    assert_eq!(artifactory.registry.resolve(&repository, &tag).await.unwrap(), digest('c'));
    let manifest = artifactory.registry.manifest(&repository, &ManifestReference::Tag(tag)).await.unwrap();
    assert_eq!(&*manifest.bytes, b"{\"schemaVersion\":2}");
    artifactory.replay.assert_done();
}

#[tokio::test]
async fn who_has_no_credentials_gets_the_tokens_of_anonymous_access_and_a_new_one_for_one_that_is_refused() {
    let config = json!({"kind": "jfrog", "url": "{registry}"});
    let exchanges = include_str!("../../exchanges/jfrog/anonymous.http");
    let artifactory = Product::open(&config, &[], exchanges).await;
    let (repository, tag) = ("docker-public/web".parse().unwrap(), "1".parse().unwrap());
    for _ in 0..2 {
        assert_eq!(artifactory.registry.resolve(&repository, &tag).await.unwrap(), digest('c'));
    }
    artifactory.replay.assert_done();
}
