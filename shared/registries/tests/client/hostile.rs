//! A registry that means ill: each of its tricks ends in a named error within its limit, and no credential leaves its host. That
//! listings without an end are not followed for ever, the tests of `resolve-images` show.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidewatch_core::config::{Credentials, RegistryConfig, RegistryKind};
use tidewatch_core::image::ManifestReference;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::ports::{Registries as _, Registry as _};
use tidewatch_core::{Digest, Retry, Retryable as _};
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, Ports, Timeouts};
use tidewatch_testkit::hostile::{HostileServer, Trick};
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness, SettableClock};

use crate::support::{Client, blob, client_of, repository, tag};

/// What a client waits that is to be done soon.
const SHORT: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    read: Duration::from_secs(5),
    whole: Duration::from_millis(400),
};

async fn hostile(trick: Trick) -> (HostileServer, Client) {
    let server = HostileServer::start(trick).await.unwrap();
    let config = RegistryConfig::new("evil".parse().unwrap(), RegistryKind::Oci, Some(server.url()));
    let client = client_of(&config, Some("robot:hunter2"), SHORT);
    (server, client)
}

fn answer(status: u16, headers: Vec<(&'static str, String)>, body: &'static str) -> Trick {
    Trick::Answer { status, headers, body: Bytes::from_static(body.as_bytes()) }
}

/// Registries in a process whose variables all hold this secret.
fn registries(secret: &'static str) -> ConfiguredRegistries {
    let ports = Ports {
        clock: Arc::new(SettableClock::at("2026-01-01T00:00:00Z")),
        sleeper: Arc::new(InstantSleeper::new()),
        randomness: Arc::new(SeededRandomness::new(1)),
    };
    ConfiguredRegistries::new(Arc::new(LocalSecrets::new(move |_| Some(secret.to_owned()))), ports)
}

fn assert_invalid(error: &RegistryError, expected: &str) {
    let RegistryError::Invalid { reason, .. } = error else { panic!("{error:?}") };
    assert!(reason.contains(expected), "{reason}");
}

#[tokio::test]
async fn a_manifest_with_another_digest_is_refused() {
    let claimed = Digest::of(b"claimed");
    let headers = vec![("docker-content-digest", claimed.to_string())];
    let (_server, client) = hostile(answer(200, headers, "{}")).await;
    for reference in [ManifestReference::Digest(claimed), ManifestReference::Tag(tag("1"))] {
        let error = client.registry.manifest(&repository("a"), &reference).await.unwrap_err();
        assert_invalid(
            &error,
            "its digest is sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        );
    }
}

#[tokio::test]
async fn a_listing_and_a_manifest_without_an_end_are_given_up_at_their_limits() {
    let (_server, client) = hostile(Trick::Endless).await;
    let error = client.registry.tags(&repository("a"), None).await.unwrap_err();
    assert_invalid(&error, "larger than 16777216 bytes");
    let reference = ManifestReference::Tag(tag("1"));
    let error = client.registry.manifest(&repository("a"), &reference).await.unwrap_err();
    assert_invalid(&error, "larger than 4194304 bytes");
}

#[tokio::test]
async fn what_drips_is_given_up_after_its_time_also_a_blob() {
    let (_server, client) = hostile(Trick::Drip(Duration::from_millis(20))).await;
    let began = Instant::now();
    let error = client.registry.tags(&repository("a"), None).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable { .. }), "{error:?}");
    let error = blob(&*client.registry, "a", &Digest::of(b"x")).await.unwrap_err();
    let RegistryError::Unavailable { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.to_string().contains("bytes came in"), "{source}");
    assert_eq!(error.retry(), Retry::Again);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn nobody_is_led_to_an_address_inside_the_network() {
    let inside = HostileServer::start(answer(200, vec![], "{}")).await.unwrap();
    for target in [
        "http://10.0.0.1/v2/".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
        format!("http://localhost:{}/", inside.port()),
    ] {
        let (_server, client) = hostile(answer(307, vec![("location", target.clone())], "")).await;
        let error = blob(&*client.registry, "a", &Digest::of(b"x")).await.unwrap_err();
        assert_invalid(&error, "loopback, link-local or private address");

        let challenge = format!("Bearer realm=\"{target}\",service=\"x\"");
        let (server, client) = hostile(answer(401, vec![("www-authenticate", challenge)], "")).await;
        let error = client.registry.tags(&repository("a"), None).await.unwrap_err();
        assert_invalid(&error, "loopback, link-local or private address");
        assert_eq!(server.seen(), [None], "{target}");

        let link = format!("<{target}>; rel=\"next\"");
        let (_server, client) = hostile(answer(200, vec![("link", link)], "{\"tags\":[\"1\"]}")).await;
        let error = client.registry.tags(&repository("a"), None).await.unwrap_err();
        assert_invalid(&error, "it leads to another server");
    }
    assert_eq!(inside.seen(), [] as [Option<String>; 0]);
}

#[tokio::test]
async fn a_redirect_to_another_port_takes_no_credentials_with_it() {
    let elsewhere = HostileServer::start(answer(200, vec![], "x")).await.unwrap();
    let server = HostileServer::start(answer(307, vec![("location", elsewhere.url())], "")).await.unwrap();
    // Of all kinds, one that shows its credentials without being asked.
    let config = RegistryConfig {
        credentials: Some(Credentials::Env("TOKEN".to_owned())),
        ..RegistryConfig::new("evil".parse().unwrap(), RegistryKind::Jfrog, Some(server.url()))
    };
    let registry = registries("hunter2").open(&config).await.unwrap();
    assert_eq!(blob(&*registry, "docker-local/a", &Digest::of(b"x")).await.unwrap(), "x");
    assert_eq!(server.seen(), [Some("Bearer hunter2".to_owned())]);
    assert_eq!(elsewhere.seen(), [None]);
}

#[tokio::test]
async fn a_challenge_that_never_ends_is_answered_once() {
    let (server, client) = hostile(answer(401, vec![("www-authenticate", "Basic".to_owned())], "no")).await;
    for _ in 0..3 {
        client.registry.tags(&repository("a"), None).await.unwrap_err();
    }
    assert!(server.seen().len() <= 4, "{:?}", server.seen());
}

#[tokio::test]
async fn what_is_sent_to_get_a_token_is_not_sent_to_where_that_is_redirected() {
    let elsewhere = HostileServer::start(answer(200, vec![], "{\"access_token\":\"x\"}")).await.unwrap();
    for status in [302, 307, 308] {
        let api =
            HostileServer::start(answer(status, vec![("location", elsewhere.url())], "")).await.unwrap();
        let config = RegistryConfig {
            namespaces: vec!["acme".to_owned()],
            api_url: Some(api.url()),
            credentials: Some(Credentials::Env("HUB".to_owned())),
            ..RegistryConfig::new("hub".parse().unwrap(), RegistryKind::DockerHub, None)
        };
        let hub = registries("ci:hunter2").open(&config).await.unwrap();
        let error = hub.repositories(None).await.unwrap_err();
        assert!(matches!(error, RegistryError::Invalid { .. }), "{error:?}");
    }
    assert_eq!(elsewhere.seen(), [] as [Option<String>; 0]);
}

#[tokio::test]
async fn a_server_that_a_blob_is_redirected_to_cannot_ask_for_credentials() {
    let thief = HostileServer::start(answer(200, vec![], "{\"token\":\"x\"}")).await.unwrap();
    for challenge in
        [format!("Bearer realm=\"{}\",service=\"x\"", thief.url()), "Basic realm=\"x\"".to_owned()]
    {
        let asking = answer(401, vec![("www-authenticate", challenge)], "");
        let elsewhere = HostileServer::start(asking).await.unwrap();
        let (_server, client) = hostile(answer(307, vec![("location", elsewhere.url())], "")).await;
        let error = blob(&*client.registry, "a", &Digest::of(b"x")).await.unwrap_err();
        assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
        assert_eq!(elsewhere.seen(), [None]);
    }
    assert_eq!(thief.seen(), [] as [Option<String>; 0]);
}

#[tokio::test]
async fn a_refusal_that_drips_is_given_up_as_well() {
    let (_server, client) = hostile(Trick::DripRefusal(Duration::from_millis(20))).await;
    let began = Instant::now();
    let error = blob(&*client.registry, "a", &Digest::of(b"x")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable { .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_answer_that_is_no_listing_is_not_taken_for_an_empty_one() {
    for body in ["{}", "{\"message\":\"maintenance\"}", "{\"errors\":[]}"] {
        let (_server, client) = hostile(answer(200, vec![], body)).await;
        for error in [
            client.registry.tags(&repository("a"), None).await.unwrap_err(),
            client.registry.repositories(None).await.unwrap_err(),
        ] {
            assert_invalid(&error, "it is no listing");
        }
    }
}
