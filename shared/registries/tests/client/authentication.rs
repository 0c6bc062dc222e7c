//! Who the client says it is, to whom, and how often it asks for a token.

use std::time::Duration;

use crate::support::{blob, bytes, client, client_with, push_image, repository, tag, tag_pages};
use tidewatch_core::ports::Registry as _;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_testkit::registry::{Access, Fault, RecordedRequest, TestRegistry};

fn tokens(registry: &TestRegistry) -> Vec<RecordedRequest> {
    registry.requests().into_iter().filter(|request| request.path == "/token").collect()
}

#[tokio::test]
async fn a_password_is_sent_only_after_the_registry_asked_and_then_at_once() {
    let registry = TestRegistry::start().await.unwrap();
    push_image(&registry);
    registry.require(Access::basic("robot", "secret"));
    let client = client_with(&registry, "robot:secret\n").registry;
    assert_eq!(tag_pages(&*client, "team/web").await, [vec!["latest"]]);
    client.resolve(&repository("team/web"), &tag("latest")).await.unwrap();
    let authorized: Vec<bool> = registry.requests().iter().map(|request| request.authorized).collect();
    assert_eq!(authorized, [false, true, true]);
    registry.assert_no_violations();
}

#[tokio::test]
async fn a_token_is_fetched_once_for_each_repository_and_used_until_it_runs_out() {
    let registry = TestRegistry::start().await.unwrap();
    let digest = push_image(&registry);
    registry.tag("team/api", "latest", digest);
    registry.require(Access::bearer("robot", "secret"));
    let client = client_with(&registry, "robot:secret");
    for _ in 0..2 {
        tag_pages(&*client.registry, "team/web").await;
        tag_pages(&*client.registry, "team/api").await;
    }
    let asked: Vec<String> = tokens(&registry).into_iter().map(|request| request.query).collect();
    assert_eq!(
        asked,
        [
            "service=test-registry&scope=repository%3Ateam%2Fweb%3Apull&client_id=tidewatch",
            "service=test-registry&scope=repository%3Ateam%2Fapi%3Apull&client_id=tidewatch",
        ]
    );
    client.clock.advance(Duration::from_secs(291));
    tag_pages(&*client.registry, "team/web").await;
    assert_eq!(tokens(&registry).len(), 3);
    registry.assert_no_violations();
}

#[tokio::test]
async fn many_requests_at_once_share_one_token() {
    let registry = TestRegistry::start().await.unwrap();
    let digest = push_image(&registry);
    registry.require(Access::bearer("robot", "secret"));
    let client = client_with(&registry, "robot:secret").registry;
    let (repository, latest) = (repository("team/web"), tag("latest"));
    let resolved = futures::future::join_all((0..20).map(|_| client.resolve(&repository, &latest))).await;
    assert!(resolved.into_iter().all(|found| found.unwrap() == digest));
    assert_eq!(tokens(&registry).len(), 1);
}

#[tokio::test]
async fn a_token_that_the_registry_no_longer_takes_is_renewed_once() {
    let registry = TestRegistry::start().await.unwrap();
    push_image(&registry);
    registry.require(Access::bearer("robot", "secret"));
    let client = client_with(&registry, "robot:secret").registry;
    tag_pages(&*client, "team/web").await;
    registry.expire_tokens();
    registry.clear_requests();
    assert_eq!(tag_pages(&*client, "team/web").await, [vec!["latest"]]);
    let paths: Vec<String> = registry.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/v2/team/web/tags/list", "/token", "/v2/team/web/tags/list"]);
}

#[tokio::test]
async fn a_public_registry_gives_tokens_to_anyone() {
    let registry = TestRegistry::start().await.unwrap();
    let digest = push_image(&registry);
    registry.require(Access::anonymous_bearer());
    let client = client(&registry).registry;
    assert_eq!(crate::support::repository_pages(&*client).await, [vec!["team/web"]]);
    assert_eq!(client.resolve(&repository("team/web"), &tag("latest")).await.unwrap(), digest);
    assert!(tokens(&registry).iter().all(|request| !request.authorized));
    registry.assert_no_violations();
}

#[tokio::test]
async fn wrong_or_missing_credentials_are_denied_with_what_the_registry_said_and_without_the_secret() {
    let registry = TestRegistry::start().await.unwrap();
    push_image(&registry);
    for access in [Access::basic("robot", "secret"), Access::bearer("robot", "secret")] {
        registry.require(access.clone());
        for client in [client(&registry), client_with(&registry, "robot:wrong")] {
            let error = client.registry.tags(&repository("team/web"), None).await.unwrap_err();
            let RegistryError::Denied { reason, .. } = &error else { panic!("{access:?} gave {error:?}") };
            assert!(reason.starts_with("status 401 Unauthorized: UNAUTHORIZED: "), "{reason}");
            assert!(!format!("{error:?}").contains("wrong"), "{error:?}");
        }
    }
}

#[tokio::test]
async fn credentials_go_to_no_realm_inside_the_network_or_over_plain_http() {
    let registry = TestRegistry::start().await.unwrap();
    for realm in [
        "http://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/token",
        "http://localhost/token",
        "file:///etc/passwd",
    ] {
        registry.require(Access::Challenge(format!("Bearer realm=\"{realm}\",service=\"x\"")));
        let client = client_with(&registry, "robot:secret").registry;
        let error = client.tags(&repository("team/web"), None).await.unwrap_err();
        assert!(matches!(error, RegistryError::Invalid { .. }), "{realm} gave {error:?}");
    }
}

#[tokio::test]
async fn a_challenge_that_cannot_be_answered_is_a_denial() {
    let registry = TestRegistry::start().await.unwrap();
    registry.require(Access::Challenge("Negotiate".to_owned()));
    let error =
        client_with(&registry, "robot:secret").registry.tags(&repository("a"), None).await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn a_redirect_to_another_server_does_not_get_the_credentials() {
    let (registry, storage) = (TestRegistry::start().await.unwrap(), TestRegistry::start().await.unwrap());
    let content = bytes(10_000);
    let digest = registry.push_blob("team/web", content.clone());
    storage.push_blob("team/web", content.clone());
    registry.require(Access::basic("robot", "secret"));
    registry.inject(Fault::RedirectBlobs { to: storage.url() });
    let client = client_with(&registry, "robot:secret").registry;
    assert_eq!(blob(&*client, "team/web", &digest).await.unwrap(), content);
    let seen: Vec<bool> = storage.requests().iter().map(|request| request.authorized).collect();
    assert_eq!(seen, [false]);
}

#[tokio::test]
async fn a_redirect_into_the_network_is_not_followed() {
    let registry = TestRegistry::start().await.unwrap();
    let digest = registry.push_blob("team/web", "x");
    registry.inject(Fault::RedirectBlobs { to: "http://169.254.169.254".to_owned() });
    let error = blob(&*client(&registry).registry, "team/web", &digest).await.unwrap_err();
    assert!(matches!(error, RegistryError::Invalid { .. }), "{error:?}");
}
