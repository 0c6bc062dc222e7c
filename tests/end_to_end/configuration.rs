//! A configuration comes into force whole or not at all.

use serde_json::json;
use tidewatch_testkit::registry::TestRegistry;
use tidewatch_tests::Finished;

use crate::images::{OLD_LIBC, OLD_OPENSSL, debian_image, numbers, push};
use crate::installation::{Configuration, Installation, Numbers, ORG, settle};

const WRONG: &str = r#"org: acme
registries:
  - {id: local, kind: ocii, url: "http://127.0.0.1:1"}
  - {id: local, kind: oci, url: "127.0.0.1:1"}
rules:
  - {id: everything, registries: [lokal], schedule: {cron: "61 * * * *"}}
polices: []
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_changes_nothing_and_every_problem_is_named_at_once() {
    let registry = TestRegistry::start().await.unwrap();
    let installation = Installation::configured(&Configuration::of(&registry));
    let rules = installation.json(&["rules", "list"]);
    let file = installation.file("wrong.yaml", WRONG);

    let check = |running: bool| {
        for arguments in [&["apply", &file][..], &["apply", &file, "--dry-run"]] {
            let Finished { code, stdout, stderr } = installation.run(arguments);
            assert_eq!((code, stdout.as_str()), (Some(2), ""), "running: {running}");
            for place in ["3:23", "4:10", "4:33", "6:35", "6:60", "7:1"] {
                assert!(stderr.contains(&format!("wrong.yaml:{place}: ")), "{place} is not in: {stderr}");
            }
            assert!(stderr.contains("nothing was changed"), "{stderr}");
        }
        assert_eq!(installation.json(&["rules", "list"]), rules, "running: {running}");
    };
    check(false);
    let local = installation.up();
    check(true);
    // The old one is in force: its rule runs.
    assert_eq!(installation.run_rule()["errors"], json!([]));
    settle(&local, ORG, &installation.token(ORG), &Numbers::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prints_the_plan_and_writes_nothing() {
    let installation = Installation::new();
    let configuration = Configuration::new(ORG).registry("local", "http://127.0.0.1:1");
    let file = installation.file("tidewatch.yaml", &configuration);
    let plan = installation.json(&["apply", &file, "--dry-run"]);
    assert_eq!((&plan["applied"], &plan["version"]), (&json!(false), &json!(null)));
    let changes = json!([
        {"action": "added", "kind": "platforms", "id": "platforms"},
        {"action": "added", "kind": "registry", "id": "local"},
        {"action": "added", "kind": "rule", "id": "everything"},
    ]);
    assert_eq!(plan["changes"], changes);
    assert_eq!(installation.run(&["rules", "list"]).code, Some(2), "there is no organisation yet");

    let applied = installation.json(&["apply", &file]);
    assert_eq!((&applied["applied"], &applied["changes"]), (&json!(true), &changes));
    let again = installation.json(&["apply", &file]);
    assert_eq!(
        (&again["applied"], &again["changes"], &again["version"]),
        (&json!(false), &json!([]), &applied["version"])
    );
}

#[test]
fn a_configuration_that_is_not_there_is_named_with_the_reason() {
    let installation = Installation::new();
    let Finished { code, stderr, .. } = installation.run(&["apply", "/nowhere/tidewatch.yaml"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("/nowhere/tidewatch.yaml") && stderr.contains("No such file"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn local_mode_does_not_start_with_a_wrong_configuration() {
    let installation = Installation::new();
    let file = installation.file("wrong.yaml", WRONG);
    let Finished { code, stderr, .. } =
        installation.run(&["up", "--listen", "127.0.0.1:0", "--config", &file]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("wrong.yaml:7:1"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_images_of_a_registry_that_left_the_configuration_leave_the_metrics() {
    let (kept, left) = (TestRegistry::start().await.unwrap(), TestRegistry::start().await.unwrap());
    push(&kept, "team/web", "1", &debian_image(&[OLD_LIBC]));
    push(&left, "team/web", "1", &debian_image(&[OLD_OPENSSL]));
    let both = Configuration::of(&kept).registry("left", &left.url());
    let installation = Installation::configured(&both);
    let local = installation.up();
    let token = installation.token(ORG);
    installation.run_rule();
    settle(&local, ORG, &token, &numbers(&[&[OLD_LIBC], &[OLD_OPENSSL]])).await;
    installation.apply(&Configuration::of(&kept));
    settle(&local, ORG, &token, &numbers(&[&[OLD_LIBC]])).await;
}
