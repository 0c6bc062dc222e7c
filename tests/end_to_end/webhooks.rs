//! A push is scanned when its registry tells of it, with no run of a rule; and nobody else is listened to.

use serde_json::{Value, json};
use tidewatch_testkit::registry::TestRegistry;
use tidewatch_tests::{DockerRegistry, LocalMode, Scrape};

use crate::images::{FIXED_LIBC, OLD_LIBC, OLD_OPENSSL, ZLIB, debian_image, numbers, push};
use crate::installation::{Configuration, Installation, Numbers, ORG, eventually, read_json, settle, stays};

const EVENTS: &str = "application/vnd.docker.distribution.events.v2+json";

/// What the registry sends when a tag is pushed.
fn pushed(repository: &str, tag: &str) -> String {
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let target = json!({"mediaType": media_type, "repository": repository, "tag": tag});
    json!({"events": [{"id": "1", "action": "push", "target": target}]}).to_string()
}

fn text<'a>(hook: &'a Value, field: &str) -> &'a str {
    hook[field].as_str().unwrap()
}

/// Posts a notification to a path, with this secret in the header.
async fn post(local: &LocalMode, path: &str, secret: Option<&str>, body: String) -> Scrape {
    let bearer = secret.map(|secret| format!("Bearer {secret}"));
    let mut headers = vec![("content-type", EVENTS)];
    headers.extend(bearer.iter().map(|bearer| ("authorization", bearer.as_str())));
    local.post(path, &headers, body).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_to_a_registry_configured_as_printed_is_in_the_metrics_with_no_rule_run() {
    if !DockerRegistry::is_installed() {
        tidewatch_testkit::skip::skipped("docker-registry is not installed");
        return;
    }
    let installation = Installation::new();
    let address = DockerRegistry::free_address().unwrap();
    installation.build_advisories(&tidewatch_testkit::fixtures::advisories());
    installation.apply(&Configuration::new(ORG).registry("local", &format!("http://{address}")));
    let local = installation.up();
    let token = installation.token(ORG);
    let printed = installation.must(&["hook", "create", "--registry", "local"]);
    assert!(printed.contains(&format!("url: {}/v1/hooks/distribution/", local.url())), "{printed}");

    let registry = DockerRegistry::start_at(address, &printed).await.unwrap();
    registry.push("team/web", "1.0", &debian_image(&[OLD_LIBC, OLD_OPENSSL])).await.unwrap();
    settle(&local, ORG, &token, &numbers(&[&[OLD_LIBC, OLD_OPENSSL]])).await;
    // Moved, and another one: also after the first notifications have been taken.
    registry.push("team/web", "1.0", &debian_image(&[FIXED_LIBC, ZLIB])).await.unwrap();
    registry.push("team/api", "2.0", &debian_image(&[OLD_LIBC])).await.unwrap();
    settle(&local, ORG, &token, &numbers(&[&[FIXED_LIBC, ZLIB], &[OLD_LIBC]])).await;
    assert_eq!(installation.json(&["rules", "status"])["runs"], json!([]), "no rule has run");
    assert_eq!(installation.images().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_with_the_wrong_secret_changes_nothing_and_one_with_the_right_one_does() {
    let registry = TestRegistry::start().await.unwrap();
    push(&registry, "team/web", "1.0", &debian_image(&[OLD_LIBC]));
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    let before = settle(&local, ORG, &token, &Numbers::default()).await;
    let hook = installation.json(&["hook", "create", "--registry", "local"]);
    let (path, secret) = (text(&hook, "path"), text(&hook, "secret"));
    let other = installation.json(&["hook", "create", "--registry", "local"]);
    registry.clear_requests();

    let body = || pushed("team/web", "1.0");
    let wrong_path = format!("{path}/{}", text(&other, "secret"));
    let unknown = "/v1/hooks/distribution/aaaaaaaaaaaaaaaa";
    for (path, secret) in
        [(path, None), (path, Some(text(&other, "secret"))), (&wrong_path, None), (unknown, Some(secret))]
    {
        let refusal = post(&local, path, secret, body()).await;
        assert_eq!((refusal.status, read_json(&refusal.body)["code"].clone()), (401, json!("unauthorized")));
    }
    stays(&local, ORG, &token, &before).await;
    assert_eq!(registry.requests().len(), 0, "nobody was asked about it");

    let accepted = post(&local, path, Some(secret), body()).await;
    assert_eq!((accepted.status, read_json(&accepted.body)), (202, json!({"hints": 1})));
    settle(&local, ORG, &token, &numbers(&[&[OLD_LIBC]])).await;
    assert!(!local.stderr().contains(secret), "a secret is never logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_scanned_after_a_power_cut_that_follows_the_answer() {
    let registry = TestRegistry::start().await.unwrap();
    push(&registry, "team/web", "1.0", &debian_image(&[OLD_LIBC]));
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let hook = installation.json(&["hook", "create", "--registry", "local"]);
    let with_secret = format!("{}/{}", text(&hook, "path"), text(&hook, "secret"));
    let accepted = post(&local, &with_secret, None, pushed("team/web", "1.0")).await;
    local.kill().unwrap();
    assert_eq!(accepted.status, 202);
    let local = installation.up();
    settle(&local, ORG, &installation.token(ORG), &numbers(&[&[OLD_LIBC]])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_is_listed_without_its_secret_rotated_and_revoked() {
    let registry = TestRegistry::start().await.unwrap();
    let installation = Installation::configured(&Configuration::of(&registry));
    let stopped = installation.json(&["hook", "create", "--registry", "local"]);
    assert_eq!(stopped["url"], stopped["path"], "nobody knows where it is reached");
    let local = installation.up();
    let created = ["hook", "create", "--registry", "local", "--url", "https://tidewatch.example.com/base/"];
    let hook = installation.json(&created);
    let (id, path, first) = (text(&hook, "id"), text(&hook, "path"), text(&hook, "secret"));
    assert_eq!(hook["url"], json!(format!("https://tidewatch.example.com/base{path}")));
    assert!(text(&hook, "configuration").contains(first));

    let listed = installation.must(&["hook", "list", "--format", "json"]);
    assert!(listed.contains(id) && !listed.contains("twh_"), "{listed}");
    let notify =
        async |secret: &str| post(&local, path, Some(secret), "{\"events\": []}".to_owned()).await.status;
    let second = installation.json(&["hook", "rotate", id]);
    assert_eq!(second["url"], json!(format!("{}{path}", local.url())));
    let second = text(&second, "secret");
    assert_eq!((notify(first).await, notify(second).await), (202, 202));
    installation.must(&["hook", "rotate", id]);
    assert_eq!((notify(first).await, notify(second).await), (401, 202));
    let revoked = installation.json(&["hook", "revoke", id]);
    assert_eq!(revoked["hooks"][0]["valid"], json!(false));
    assert_eq!(notify(second).await, 401);

    for (arguments, code) in [
        (&["hook", "create", "--registry", "nowhere"][..], 2),
        (&["hook", "create", "--registry", "local", "--url", "ftp://example.com"], 2),
        (&["hook", "rotate", id], 2),
        (&["hook", "revoke", "aaaaaaaaaaaaaaaa"], 2),
        (&["hook", "revoke", "no-id"], 2),
    ] {
        let finished = installation.run(arguments);
        assert_eq!(finished.code, Some(code), "{arguments:?}: {}", finished.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_over_the_limit_and_other_methods_are_refused() {
    let registry = TestRegistry::start().await.unwrap();
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let hook = installation.json(&["hook", "create", "--registry", "local"]);
    let (path, secret) = (text(&hook, "path"), text(&hook, "secret"));
    let large = format!("{}{}", pushed("team/web", "1.0"), " ".repeat(256 * 1024));
    for secret in [Some(secret), None] {
        let refusal = post(&local, path, secret, large.clone()).await;
        assert_eq!((refusal.status, read_json(&refusal.body)["code"].clone()), (413, json!("too_large")));
    }
    assert_eq!(post(&local, path, Some(secret), "no json".to_owned()).await.status, 400);
    let refusal = local.request("GET", path, &[]).await.unwrap();
    assert_eq!((refusal.status, &refusal.headers["allow"]), (405, &"POST".parse().unwrap()));
    let metrics = "/v1/exporter/org/acme/metrics";
    assert_eq!(post(&local, metrics, Some(secret), String::new()).await.status, 405, "another function's");
    eventually("the server does not go on", async || match local.request("GET", "/", &[]).await {
        Ok(answer) if answer.status == 404 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}
