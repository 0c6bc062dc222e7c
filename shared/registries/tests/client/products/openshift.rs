//! The registry within `OpenShift` 4.

use std::time::Duration;

use serde_json::{Value, json};
use tidewatch_core::image::ManifestReference;
use tidewatch_core::ports::registry::{ListedTag, RegistryError, TagState};
use tidewatch_core::rule::ImageTimes;

use super::support::{Product, digest, listed};

/// The registry for a service account with the token `sha256~s3cret`.
async fn openshift(namespaces: &[&str], exchanges: &str) -> Product {
    with_credentials("sha256~s3cret\n", namespaces, exchanges).await
}

async fn with_credentials(credentials: &str, namespaces: &[&str], exchanges: &str) -> Product {
    let config = json!({
        "kind": "openshift", "url": "{registry}", "api_url": "{api}", "namespaces": namespaces,
        "credentials": {"env": "OPENSHIFT"},
    });
    Product::open(&config, &[("OPENSHIFT", credentials)], exchanges).await
}

fn get(path: &str, answer: &str) -> String {
    format!(
        "> api GET /apis/image.openshift.io/v1/{path}\n> authorization: Bearer sha256~s3cret\n< {answer}\n###\n"
    )
}

fn ok(value: &Value) -> String {
    format!("200\n< content-type: application/json\n{value}")
}

/// A stream with one tag, which points to the digest of this digit.
fn stream(name: &str, digit: char) -> Value {
    let event = json!({"created": "2026-11-20T08:30:00Z", "image": digest(digit).to_string()});
    json!({"metadata": {"namespace": "shop", "name": name}, "status": {"tags": [{"tag": "1", "items": [event]}]}})
}

fn tag(digit: char) -> ListedTag {
    let pushed_at = Some("2026-11-20T08:30:00Z".parse().unwrap());
    let times = ImageTimes { pushed_at, ..ImageTimes::default() };
    ListedTag { digest: Some(digest(digit)), times, ..listed("1") }
}

#[tokio::test]
async fn streams_of_the_cluster_are_listed_page_after_page_with_their_tags() {
    let openshift = openshift(&[], include_str!("../../exchanges/openshift/streams.http")).await;
    let found = openshift.repositories().await.unwrap();
    assert_eq!(found, ["shop/web", "shop/empty", "tools/builder"]);
    let times =
        |pushed: &str| ImageTimes { pushed_at: Some(pushed.parse().unwrap()), ..ImageTimes::default() };
    let expected = [
        // What it pointed to before is history.
        ListedTag { digest: Some(digest('a')), times: times("2026-11-20T08:30:00Z"), ..listed("1.4.2") },
        // By the name of the registry within the cluster, and by that of its route.
        ListedTag { digest: Some(digest('c')), times: times("2026-10-01T00:00:00Z"), ..listed("1.4.1") },
        // Imported by reference from elsewhere.
        ListedTag {
            digest: Some(digest('d')),
            times: times("2026-09-01T00:00:00Z"),
            state: TagState::Elsewhere,
            ..listed("base")
        },
        listed("bare"),
    ];
    assert_eq!(openshift.tags("shop/web").await.unwrap(), expected);
    assert_eq!(openshift.tags("shop/empty").await.unwrap(), []);
    openshift.replay.assert_done();
}

#[tokio::test]
async fn projects_that_are_named_are_listed_one_after_another() {
    let openshift =
        openshift(&["shop", "tools"], include_str!("../../exchanges/openshift/projects.http")).await;
    assert_eq!(openshift.repositories().await.unwrap(), ["shop/api", "shop/web", "tools/builder"]);
    openshift.replay.assert_done();
}

#[tokio::test]
async fn what_a_listing_told_of_tags_is_used_once_and_not_when_it_is_old() {
    let list = ok(&json!({"metadata": {"continue": ""}, "items": [stream("web", 'a')]}));
    let exchanges = [
        get("imagestreams?limit=500", &list),
        // It moved meanwhile.
        get("namespaces/shop/imagestreams/web", &ok(&stream("web", 'b'))),
        get("imagestreams?limit=500", &list),
        get("namespaces/shop/imagestreams/web", &ok(&stream("web", 'c'))),
    ];
    let openshift = openshift(&[], &exchanges.concat()).await;
    openshift.repositories().await.unwrap();
    assert_eq!(openshift.tags("shop/web").await.unwrap(), [tag('a')]);
    assert_eq!(openshift.tags("shop/web").await.unwrap(), [tag('b')]);
    openshift.repositories().await.unwrap();
    openshift.clock.advance(Duration::from_mins(5));
    assert_eq!(openshift.tags("shop/web").await.unwrap(), [tag('c')]);
    openshift.replay.assert_done();
}

#[tokio::test]
async fn of_very_many_tags_only_as_many_are_kept_as_there_is_room_for() {
    let event = json!({"created": "2026-11-20T08:30:00Z", "image": digest('a').to_string()});
    let tags: Vec<_> = (0..12_000).map(|tag| json!({"tag": format!("{tag}"), "items": [event]})).collect();
    let large = |name| json!({"metadata": {"namespace": "shop", "name": name}, "status": {"tags": tags}});
    let list = json!({"metadata": {}, "items": [large("first"), large("second"), stream("small", 'a')]});
    let exchanges = [
        get("imagestreams?limit=500", &ok(&list)),
        get("namespaces/shop/imagestreams/second", &ok(&large("second"))),
    ];
    let openshift = openshift(&[], &exchanges.concat()).await;
    openshift.repositories().await.unwrap();
    for (name, count) in [("shop/first", 12_000), ("shop/second", 12_000), ("shop/small", 1)] {
        assert_eq!(openshift.tags(name).await.unwrap().len(), count, "{name}");
    }
    openshift.replay.assert_done();
}

#[tokio::test]
async fn ten_thousand_tags_of_five_hundred_streams_cost_one_request() {
    let event = json!({"created": "2026-11-20T08:30:00Z", "image": digest('a').to_string()});
    let tags: Vec<_> = (0..20).map(|tag| json!({"tag": format!("{tag}"), "items": [event]})).collect();
    let streams: Vec<_> = (0..500)
        .map(|name| json!({"metadata": {"namespace": "shop", "name": format!("web{name}")}, "status": {"tags": tags}}))
        .collect();
    let list = json!({"kind": "ImageStreamList", "metadata": {"resourceVersion": "1"}, "items": streams});
    let openshift = openshift(&[], &get("imagestreams?limit=500", &ok(&list))).await;
    let mut count = 0;
    for repository in openshift.repositories().await.unwrap() {
        count += openshift.tags(&repository).await.unwrap().len();
    }
    openshift.replay.assert_done();
    assert_eq!((count, openshift.replay.requests()), (10_000, 1));
}

#[tokio::test]
async fn a_listing_whose_place_has_expired_goes_on_where_the_server_says_or_has_to_begin_anew() {
    let first = ok(&json!({"metadata": {"continue": "a+b/c="}, "items": [stream("api", 'a')]}));
    let message = "The provided continue parameter is too old to display a consistent list result.";
    let gone = |next: &str| {
        let status = json!({"kind": "Status", "metadata": {"continue": next}, "status": "Failure",
                            "message": message, "reason": "Expired", "code": 410});
        format!("410\n{status}")
    };
    let exchanges = [
        get("imagestreams?limit=500", &first),
        get("imagestreams?limit=500&continue=a%2Bb%2Fc%3D", &gone("now")),
        get(
            "imagestreams?limit=500&continue=now",
            &ok(&json!({"metadata": {}, "items": [stream("web", 'a')]})),
        ),
        get("imagestreams?limit=500", &first),
        get("imagestreams?limit=500&continue=a%2Bb%2Fc%3D", &gone("")),
        get("imagestreams?limit=500&continue=a%2Bb%2Fc%3D", &gone("again")),
        get("imagestreams?limit=500&continue=again", &gone("again")),
    ];
    let openshift = openshift(&[], &exchanges.concat()).await;
    assert_eq!(openshift.repositories().await.unwrap(), ["shop/api", "shop/web"]);
    let error = openshift.repositories().await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Invalid { reason, .. } if reason.contains("beginning")),
        "{error:?}"
    );
    // A server that always says so is not asked for ever.
    let error = openshift.registry.repositories(Some("0:a+b/c=")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Invalid { .. }), "{error:?}");
    openshift.replay.assert_done();
}

#[tokio::test]
async fn a_page_that_leads_to_itself_ends_the_listing_as_wrong() {
    let page = ok(&json!({"metadata": {"continue": "x"}, "items": []}));
    let exchanges = [get("imagestreams?limit=500", &page), get("imagestreams?limit=500&continue=x", &page)];
    let error = openshift(&[], &exchanges.concat()).await.repositories().await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Invalid { reason, .. } if reason.contains("itself")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_not_found_and_a_name_of_another_form_is_none() {
    let status = json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404,
                        "message": "imagestreams.image.openshift.io \"gone\" not found"});
    let openshift =
        openshift(&[], &get("namespaces/shop/imagestreams/gone", &format!("404\n{status}"))).await;
    let error = openshift.tags("shop/gone").await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    for name in ["web", "shop/web/api"] {
        let error = openshift.tags(name).await.unwrap_err();
        assert!(matches!(error, RegistryError::Invalid { .. }), "{error:?}");
    }
    openshift.replay.assert_done();
}

#[tokio::test]
async fn throttling_is_told_with_the_wait_that_is_asked_for() {
    let exchanges = [
        get("imagestreams?limit=500", "429\n< retry-after: 1\nToo many requests, please try again later."),
        get("imagestreams?limit=500", "429"),
    ];
    let openshift = openshift(&[], &exchanges.concat()).await;
    for expected in [Some(Duration::from_secs(1)), None] {
        let error = openshift.repositories().await.unwrap_err();
        let RegistryError::Throttled { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after, expected);
    }
    openshift.replay.assert_done();
}

#[tokio::test]
async fn a_refused_token_is_denied_without_being_shown_and_no_token_is_asked_for() {
    let openshift = openshift(&[], include_str!("../../exchanges/openshift/denied.http")).await;
    let list = openshift.repositories().await.unwrap_err();
    let (repository, tag) = ("shop/web".parse().unwrap(), "1".parse().unwrap());
    let pull = openshift.registry.resolve(&repository, &tag).await.unwrap_err();
    for error in [list, pull] {
        assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
    openshift.replay.assert_done();
}

#[tokio::test]
async fn an_image_is_pulled_with_the_token_shown_at_once_whatever_user_stands_before_it() {
    for credentials in
        ["sha256~s3cret", "unused:sha256~s3cret", "system:serviceaccount:ci:scan:sha256~s3cret\n"]
    {
        let exchanges = include_str!("../../exchanges/openshift/pull.http");
        let openshift = with_credentials(credentials, &[], exchanges).await;
        let (repository, tag) = ("shop/web".parse().unwrap(), "1.4.2".parse().unwrap());
        assert_eq!(openshift.registry.resolve(&repository, &tag).await.unwrap(), digest('c'));
        let manifest = openshift.registry.manifest(&repository, &ManifestReference::Tag(tag)).await.unwrap();
        assert_eq!(&*manifest.bytes, b"{\"schemaVersion\":2}");
        openshift.replay.assert_done();
    }
}
