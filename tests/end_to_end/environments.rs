//! Environments: what somebody says is running is counted in a stream of its own, whatever a tag does later.

use serde_json::{Value, json};
use tidewatch_testkit::registry::TestRegistry;
use tidewatch_tests::LocalMode;

use crate::images::{FIXED_LIBC, OLD_LIBC, OLD_OPENSSL, ZLIB, debian_image, push};
use crate::installation::{Configuration, Installation, ORG, eventually};

/// The vulnerabilities of a stream by severity, from CRITICAL to UNSPECIFIED; `None` where it has no series.
fn severities(body: &str, stream: &str) -> Option<Vec<u64>> {
    let value = |severity: &str| {
        let series =
            format!("scout_stream_vulnerabilities{{streamName=\"{stream}\",severity=\"{severity}\"}} ");
        body.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok())
    };
    ["CRITICAL", "HIGH", "MEDIUM", "LOW", "UNSPECIFIED"].into_iter().map(value).collect()
}

async fn until(local: &LocalMode, token: &str, stream: &str, expected: Option<[u64; 5]>) {
    eventually("the environment does not become as expected", async || {
        let scrape = local.scrape(ORG, Some(token)).await.unwrap();
        let found = severities(&scrape.body, stream);
        let wanted = expected.map(|expected| expected.to_vec());
        if scrape.status == 200 && found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

/// The images of the environment `production`, by what was said of them.
fn shown(installation: &Installation) -> Vec<Value> {
    let shown = installation.json(&["env", "show", "production"]);
    shown["images"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_put_into_an_environment_stays_what_it_was_until_another_is_put_there() {
    let registry = TestRegistry::start().await.unwrap();
    let (old, new) = (debian_image(&[OLD_LIBC, OLD_OPENSSL]), debian_image(&[FIXED_LIBC, ZLIB]));
    push(&registry, "team/web", "stable", &old);
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);

    // Nobody has scanned it, and no rule has run.
    installation.must(&["env", "add", "production", "local/team/web:stable"]);
    until(&local, &token, "production", Some([1, 1, 1, 0, 0])).await;
    let scrape = local.scrape(ORG, Some(&token)).await.unwrap();
    assert_eq!(severities(&scrape.body, "latest-indexed"), Some(vec![0; 5]), "no rule has chosen it");
    let images = shown(&installation);
    assert_eq!((images.len(), &images[0]["digest"]), (1, &json!(old.digest.to_string())));

    // The tag moves: the environment stays as it is, and says so.
    push(&registry, "team/web", "stable", &new);
    installation.run_rule();
    until(&local, &token, "latest-indexed", Some([1, 0, 0, 0, 0])).await;
    until(&local, &token, "production", Some([1, 1, 1, 0, 0])).await;
    assert_eq!(shown(&installation)[0]["moved"], true);

    // The new one replaces the old one of its repository, and is known already.
    installation.must(&["env", "add", "production", "local/team/web:stable"]);
    until(&local, &token, "production", Some([1, 0, 0, 0, 0])).await;
    assert_eq!((shown(&installation).len(), &shown(&installation)[0]["moved"]), (1, &json!(false)));

    // Kept beside it, by its digest.
    let by_digest = format!("local/team/web@{}", old.digest);
    installation.must(&["env", "add", "production", &by_digest, "--keep"]);
    until(&local, &token, "production", Some([2, 1, 1, 0, 0])).await;
    installation.must(&["env", "remove", "production", &by_digest]);
    until(&local, &token, "production", Some([1, 0, 0, 0, 0])).await;

    installation.must(&["env", "delete", "production"]);
    until(&local, &token, "production", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_follows_its_tag_is_pinned_anew_when_that_moves() {
    let registry = TestRegistry::start().await.unwrap();
    push(&registry, "team/web", "main", &debian_image(&[OLD_LIBC]));
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    installation.must(&["env", "add", "production", "local/team/web:main", "--follow"]);
    installation.run_rule();
    until(&local, &token, "production", Some([0, 0, 1, 0, 0])).await;
    push(&registry, "team/web", "main", &debian_image(&[ZLIB]));
    installation.run_rule();
    until(&local, &token, "production", Some([1, 0, 0, 0, 0])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_registry_is_told_and_counts_as_nothing() {
    let registry = TestRegistry::start().await.unwrap();
    push(&registry, "team/web", "1", &debian_image(&[OLD_LIBC]));
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    installation.must(&["env", "set", "production", "local/team/web:1", "local/team/api:9"]);
    until(&local, &token, "production", Some([0, 0, 1, 0, 0])).await;
    eventually("nobody says that an image is missing", async || {
        let images = shown(&installation);
        let api = images.iter().find(|image| image["reference"] == "local/team/api:9").cloned();
        let problem = api.map(|api| api["problem"].clone());
        if problem == Some(json!("the registry has no such image")) {
            Ok(())
        } else {
            Err(format!("{problem:?}"))
        }
    })
    .await;
    let refused = installation.run(&["env", "add", "production", "nowhere/team/web:1"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environments_of_the_file_are_what_the_file_says() {
    let registry = TestRegistry::start().await.unwrap();
    push(&registry, "team/web", "1", &debian_image(&[OLD_LIBC]));
    push(&registry, "team/api", "1", &debian_image(&[ZLIB]));
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    let apply = |environments: &str| {
        let configuration = Configuration::of(&registry).to_string();
        let file = installation.file("tidewatch.yaml", format!("{configuration}\n{environments}"));
        installation.must(&["apply", &file]);
    };
    apply(
        "environments: [{id: production, images: [\"local/team/web:1\", \"local/team/api:1\"]}, {id: staging}]",
    );
    until(&local, &token, "production", Some([1, 0, 1, 0, 0])).await;
    until(&local, &token, "staging", Some([0; 5])).await;
    let refused = installation.run(&["env", "add", "production", "local/team/web:1"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("belongs to the configuration file"), "{}", refused.stderr);
    apply("environments: [{id: production, images: [\"local/team/api:1\"]}]");
    until(&local, &token, "production", Some([1, 0, 0, 0, 0])).await;
    until(&local, &token, "staging", None).await;
}
