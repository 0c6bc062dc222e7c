//! Quay.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::ports::Registries as _;
use tidewatch_core::ports::registry::{ListedTag, RegistryError};
use tidewatch_core::rule::ImageTimes;
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, Ports};
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness, SettableClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::support::{NOW, Product, digest, listed};

const SECRETS: [(&str, &str); 2] =
    [("ROBOT", "acme+tidewatch:r0b0t-token"), ("APPLICATION", "oauth-application-token\n")];

/// Quay for a robot account of the organisation `acme`, and an OAuth application.
async fn quay(namespaces: &[&str], exchanges: &str) -> Product {
    let config = json!({
        "kind": "quay", "url": "{registry}", "namespaces": namespaces,
        "credentials": {"env": "ROBOT"}, "api_credentials": {"env": "APPLICATION"},
    });
    Product::open(&config, &SECRETS, exchanges).await
}

async fn anonymous(exchanges: &str) -> Product {
    let config = json!({"kind": "quay", "url": "{registry}", "namespaces": ["acme"]});
    Product::open(&config, &[], exchanges).await
}

#[tokio::test]
async fn repositories_are_listed_namespace_after_namespace_without_those_of_another_kind() {
    let quay = quay(&["acme", "a&b"], include_str!("../../exchanges/quay/repositories.http")).await;
    let found = quay.repositories().await.unwrap();
    assert_eq!(found, ["acme/web", "acme/mirror/nginx", "acme/frozen", "acme/plain"]);
    quay.replay.assert_done();
}

#[tokio::test]
async fn a_page_that_leads_to_itself_is_told_and_not_followed() {
    let quay = quay(&["acme"], include_str!("../../exchanges/quay/circle.http")).await;
    let error = quay.repositories().await.unwrap_err();
    assert!(matches!(error, RegistryError::Invalid { .. }), "{error:?}");
    quay.replay.assert_done();
}

#[tokio::test]
async fn tags_are_listed_with_digest_push_time_and_size_until_they_run_out() {
    let quay = quay(&["acme"], include_str!("../../exchanges/quay/tags.http")).await;
    let pushed = |text: &str| ImageTimes { pushed_at: Some(text.parse().unwrap()), ..ImageTimes::default() };
    let expected = [
        ListedTag { digest: Some(digest('a')), times: pushed("2026-11-20T12:00:00Z"), ..listed("1.29") },
        ListedTag {
            digest: Some(digest('b')),
            times: pushed("2026-11-19T12:00:00Z"),
            size: Some(31_457_280),
            ..listed("1.28")
        },
        ListedTag { digest: Some(digest('d')), times: pushed("2026-11-18T12:00:00Z"), ..listed("1.25") },
        listed("bare"),
        // It moved while the pages were read, and is told twice.
        ListedTag {
            digest: Some(digest('e')),
            times: pushed("2026-11-18T12:00:00Z"),
            size: Some(2048),
            ..listed("1.29")
        },
    ];
    assert_eq!(quay.tags("acme/mirror/nginx").await.unwrap(), expected);
    quay.replay.assert_done();
}

#[tokio::test]
async fn throttling_is_told_at_once_and_with_the_wait_where_there_is_one() {
    let quay = quay(&["acme"], include_str!("../../exchanges/quay/throttled.http")).await;
    for expected in [None, Some(Duration::from_secs(17))] {
        let error = quay.tags("acme/web").await.unwrap_err();
        let RegistryError::Throttled { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after, expected);
    }
    quay.replay.assert_done();
}

#[tokio::test]
async fn without_credentials_the_api_is_asked_anonymously_and_an_empty_repository_has_no_tags() {
    let quay = anonymous(include_str!("../../exchanges/quay/empty.http")).await;
    assert_eq!(quay.tags("acme/empty").await.unwrap(), []);
    let error = quay.tags("acme/gone").await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    quay.replay.assert_done();
}

#[tokio::test]
async fn a_name_without_a_namespace_is_not_found_and_not_asked_for() {
    let quay = anonymous("").await;
    let error = quay.tags("web").await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    quay.replay.assert_done();
}

#[tokio::test]
async fn wrong_credentials_are_denied_by_the_api_and_the_registry_without_being_shown() {
    let quay = quay(&["acme"], include_str!("../../exchanges/quay/denied.http")).await;
    let of_api = quay.tags("acme/web").await.unwrap_err();
    assert!(of_api.to_string().contains("Invalid bearer token"), "{of_api}");
    let of_registry =
        quay.registry.resolve(&"acme/web".parse().unwrap(), &"1".parse().unwrap()).await.unwrap_err();
    assert!(of_registry.to_string().contains("Could not find robot"), "{of_registry}");
    for error in [of_api, of_registry] {
        assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
        let shown = format!("{error:?}");
        assert!(!shown.contains("oauth-application-token") && !shown.contains("r0b0t-token"), "{shown}");
    }
    quay.replay.assert_done();
}

#[tokio::test]
async fn api_credentials_with_a_user_are_a_mistake_of_the_configuration() {
    let config = json!({
        "id": "reg", "kind": "quay", "namespaces": ["acme"], "api_credentials": {"env": "APPLICATION"},
    });
    let ports = Ports {
        clock: Arc::new(SettableClock::at(NOW)),
        sleeper: Arc::new(InstantSleeper::new()),
        randomness: Arc::new(SeededRandomness::new(1)),
    };
    let secrets = LocalSecrets::new(|_| Some("$oauthtoken:s3cret".to_owned()));
    let registries = ConfiguredRegistries::new(Arc::new(secrets), ports);
    let opened = registries.open(&serde_json::from_value(config).unwrap()).await;
    let Err(error) = opened else { panic!("it was opened") };
    assert!(matches!(error, RegistryError::Misconfigured { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
}

#[tokio::test]
async fn a_token_of_the_registry_is_for_one_repository_and_says_itself_when_it_runs_out() {
    let quay = quay(&["acme"], include_str!("../../exchanges/quay/pull.http")).await;
    let (repository, tag) = ("acme/mirror/nginx".parse().unwrap(), "1.29".parse().unwrap());
    assert_eq!(quay.registry.resolve(&repository, &tag).await.unwrap(), digest('a'));
    let reference = ManifestReference::Tag(tag.clone());
    let manifest = quay.registry.manifest(&repository, &reference).await.unwrap();
    assert_eq!(&*manifest.bytes, b"{\"schemaVersion\":2}");
    quay.clock.advance(Duration::from_secs(3301));
    assert_eq!(quay.registry.resolve(&repository, &tag).await.unwrap(), digest('b'));
    assert_eq!(quay.registry.resolve(&repository, &tag).await.unwrap(), digest('c'));
    quay.replay.assert_done();
}

#[tokio::test]
async fn ten_thousand_tags_cost_a_hundred_requests() {
    let path = "/api/v1/repository/acme/web/tag/?onlyActiveTags=true&limit=100";
    let mut exchanges = String::new();
    for page in 1..=100 {
        let tags: Vec<_> = (0..100).map(|tag| json!({"name": format!("{page}.{tag}")})).collect();
        let answer = json!({"tags": tags, "page": page, "has_additional": page < 100});
        writeln!(exchanges, "> registry GET {path}&page={page}\n< 200\n{answer}\n###").unwrap();
    }
    let quay = anonymous(&exchanges).await;
    assert_eq!(quay.tags("acme/web").await.unwrap().len(), 10_000);
    quay.replay.assert_done();
    assert_eq!(quay.replay.requests(), 100);
}

/// How long a server waits for one more request than there should be at once.
const PATIENCE: Duration = Duration::from_millis(200);

/// Serves `rounds` times three requests that come together, and fails on a fourth. An answer is given only when all three are
/// there, so that fewer at once never end.
async fn serve_in_threes(listener: TcpListener, rounds: usize) {
    for round in 0..rounds {
        let mut together = Vec::new();
        for _ in 0..3 {
            together.push(requested(&listener).await);
        }
        let more = tokio::time::timeout(PATIENCE, requested(&listener)).await;
        assert!(more.is_err(), "a fourth request came together with three others in round {round}");
        for mut connection in together {
            let body = r#"{"tags":[{"name":"1"}],"page":1,"has_additional":false}"#;
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            connection.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    }
}

/// A connection whose request has come.
async fn requested(listener: &TcpListener) -> TcpStream {
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(connection.read_u8().await.unwrap());
    }
    connection
}

#[tokio::test]
async fn three_pages_of_tags_are_asked_for_at_once_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(serve_in_threes(listener, 3));
    let quay = Product::open(&json!({"kind": "quay", "url": url, "namespaces": ["acme"]}), &[], "").await;
    let names: Vec<String> = (0..9).map(|number| format!("acme/r{number}")).collect();
    let listings = futures::future::join_all(names.iter().map(|name| quay.tags(name)));
    let (rounds, found) = tokio::join!(server, listings);
    rounds.unwrap();
    assert!(found.iter().all(|tags| tags.as_deref().unwrap() == [listed("1")]), "{found:?}");
}
