//! Registries that want to know who asks, or that ask for patience.

use std::time::Duration;

use serde_json::json;
use tidewatch_testkit::image::IndexBuilder;
use tidewatch_testkit::registry::{Access, Fault, TestRegistry};
use tidewatch_tests::{Finished, LocalMode};

use crate::images::{OLD_LIBC, OLD_OPENSSL, debian_image, numbers, push};
use crate::installation::{BINARY, Configuration, Installation, ORG, read_json, settle};

const PASSWORD: &str = "correct-horse:battery";
/// `robot:` and the password in base64, as it goes over the wire.
const BASIC: &str = "cm9ib3Q6Y29ycmVjdC1ob3JzZTpiYXR0ZXJ5";

/// A registry with one image that wants Basic, and one that wants tokens.
async fn registries() -> [TestRegistry; 2] {
    let registries = [TestRegistry::start().await.unwrap(), TestRegistry::start().await.unwrap()];
    push(&registries[0], "team/web", "1", &debian_image(&[OLD_LIBC]));
    push(&registries[1], "team/api", "1", &debian_image(&[OLD_OPENSSL]));
    registries[0].require(Access::basic("robot", PASSWORD));
    registries[1].require(Access::bearer("robot", PASSWORD));
    registries
}

/// Both registries, the first with credentials from an environment variable, the other from a file.
fn configured([basic, bearer]: &[TestRegistry; 2], password_in_file: &str) -> Installation {
    let installation = Installation::new();
    let file = installation.file("login", format!("robot:{password_in_file}\n"));
    let configuration = Configuration::new(ORG)
        .registry_with_credentials("basic", &basic.url(), "{env: REGISTRY_LOGIN}")
        .registry_with_credentials("bearer", &bearer.url(), &format!("{{file: {file:?}}}"));
    installation.build_advisories(&tidewatch_testkit::fixtures::advisories());
    installation.apply(&configuration);
    installation
}

fn up(installation: &Installation) -> LocalMode {
    let login = format!("robot:{PASSWORD}");
    installation.up_with(&[("REGISTRY_LOGIN", &login), ("TIDEWATCH_LOG", "debug")])
}

/// That nothing secret is in `text`.
fn assert_discreet(text: &str, token: &str) {
    let secret = token.rsplit_once('_').unwrap().1;
    for secret in [PASSWORD, BASIC, "test-token-", secret] {
        assert!(!text.contains(secret), "{secret:?} is in: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_are_read_with_credentials_of_either_kind_which_are_never_logged() {
    let registries = registries().await;
    let installation = configured(&registries, PASSWORD);
    let local = up(&installation);
    let token = installation.token(ORG);
    assert_eq!(installation.run_rule()["errors"], json!([]));
    settle(&local, ORG, &token, &numbers(&[&[OLD_LIBC], &[OLD_OPENSSL]])).await;
    // Tokens that have run out are asked for again.
    registries[1].expire_tokens();
    assert_eq!(installation.run_rule()["errors"], json!([]));
    assert!(local.stderr().contains("DEBUG"), "nothing is said of what is not logged");
    assert_discreet(&local.stderr(), &token);
    registries.iter().for_each(TestRegistry::assert_no_violations);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_and_missing_credentials_are_reported_at_once_and_never_shown() {
    let registries = registries().await;
    let installation = configured(&registries, "wrong-secret");
    let local = installation.up_with(&[("TIDEWATCH_LOG", "debug")]);
    let token = installation.token(ORG);
    let Finished { code, stdout, stderr } =
        installation.run(&["rules", "run", "everything", "--wait", "--format", "json"]);
    assert_eq!(code, Some(1));
    let run = &read_json(&stdout)["runs"][0];
    let errors: Vec<&str> = run["errors"].as_array().unwrap().iter().map(|e| e.as_str().unwrap()).collect();
    let [unset, refused] = errors[..] else { panic!("two errors were expected: {errors:?}") };
    assert!(unset.contains("registry basic") && unset.contains("REGISTRY_LOGIN is not set"), "{unset}");
    assert!(refused.contains("registry bearer refused") && refused.contains("401"), "{refused}");
    for text in [stdout.as_str(), &stderr, &local.stderr()] {
        assert_discreet(text, &token);
        assert!(!text.contains("wrong-secret"), "{text}");
    }
    assert_eq!(local.stderr().matches("listing failed").count(), 2, "neither is tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_image_is_scanned_with_credentials_from_the_environment() {
    let [basic, bearer] = registries().await;
    let installation = Installation::new();
    let advisories = tidewatch_testkit::fixtures::advisories();
    for (reference, status) in
        [(format!("{}/team/web:1", basic.host()), 0), (format!("{}/team/api:1", bearer.host()), 3)]
    {
        let scan = |login: &str| {
            let output = std::process::Command::new(BINARY)
                .env("REGISTRY_LOGIN", format!("robot:{login}"))
                .args([
                    "scan",
                    &reference,
                    "--plain-http",
                    "--credentials-env",
                    "REGISTRY_LOGIN",
                    "--fail-on",
                    "HIGH",
                ])
                .arg("--data")
                .arg(installation.data())
                .arg("--advisories")
                .arg(&advisories)
                .output()
                .unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        assert_eq!(scan(PASSWORD).0, Some(status), "{reference}");
        let (code, stderr) = scan("wrong-secret");
        assert_eq!(code, Some(1));
        assert!(stderr.contains("401") && !stderr.contains("wrong-secret"), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_throttles_is_waited_for_and_nothing_fails() {
    let (front, storage) = (TestRegistry::start().await.unwrap(), TestRegistry::start().await.unwrap());
    // Of an index no blob is read before the scan, so that the storage throttles scans alone.
    let index = IndexBuilder::new().image(&debian_image(&[OLD_LIBC, OLD_OPENSSL])).build();
    for registry in [&front, &storage] {
        push(registry, "team/web", "1", &index);
    }
    front.inject(Fault::RedirectBlobs { to: storage.url() });
    let retry_after = Some(Duration::from_secs(1));
    front.inject(Fault::Throttle { requests: 1, retry_after });
    // More than the attempts after which an image fails.
    storage.inject(Fault::Throttle { requests: 6, retry_after });
    let installation = Installation::configured(&Configuration::of(&front));
    let local = installation.up();
    let token = installation.token(ORG);
    let run = installation.run_rule();
    assert_eq!((&run["errors"], &run["queued"]), (&json!([]), &json!(1)));
    settle(&local, ORG, &token, &numbers(&[&[OLD_LIBC, OLD_OPENSSL]])).await;
    assert_eq!(installation.image("team/web")["state"], "scanned");
    assert_eq!(installation.work_rows(ORG, "local").await, 0);
}
