//! Rules whose windows end: how they stand is told, and who runs one by hand does not wait for its window.

use serde_json::{Value, json};
use tidewatch_core::Digest;
use tidewatch_core::image::{Image, Platform};
use tidewatch_core::ports::Clock as _;
use tidewatch_core::work::{Priority, RunId, Work};
use tidewatch_runtime::system::SystemClock;
use tidewatch_testkit::registry::TestRegistry;

use crate::images::{OLD_LIBC, debian_image, numbers, push};
use crate::installation::{Configuration, Installation, ORG, settle};

/// Open for a minute in four years.
const CLOSED: &str = r#"{cron: "0 0 29 2 *", until: "00:01"}"#;

fn window(installation: &Installation) -> Value {
    installation.json(&["rules", "list"])["rules"][0]["window"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_listed_with_how_their_windows_stand() {
    let registry = TestRegistry::start().await.unwrap();
    for (schedule, expected, text) in [
        ("manual", json!(null), "always"),
        (r#"{cron: "0 2 * * *"}"#, json!(null), "always"),
        (
            r#"{cron: "0 * * * *", until: "06:00"}"#,
            json!({"open": true, "closes_at": null, "opens_at": null, "by_hand": false}),
            "open",
        ),
    ] {
        let installation = Installation::new();
        installation.apply(&Configuration::of(&registry).schedule(schedule));
        assert_eq!(window(&installation), expected, "{schedule}");
        let listed = installation.must(&["rules", "list"]);
        assert!(listed.trim_end().ends_with(text), "{schedule}: {listed}");
    }
    let installation = Installation::new();
    installation.apply(&Configuration::of(&registry).schedule(CLOSED));
    let closed = window(&installation);
    assert_eq!((&closed["open"], &closed["closes_at"]), (&json!(false), &json!(null)));
    let opens_at = closed["opens_at"].as_str().unwrap();
    assert!(opens_at.ends_with("-02-29T00:00:00Z"), "{opens_at}");
    let rule = &installation.json(&["rules", "list"])["rules"][0];
    assert_eq!(
        (&rule["schedule"], &rule["next_run_at"]),
        (&json!("0 0 29 2 * UTC until 00:01"), &closed["opens_at"])
    );
    assert!(installation.must(&["rules", "list"]).contains("opens in "));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_a_rule_tells_how_many_images_wait_for_its_window() {
    let installation = Installation::new();
    installation.apply(&Configuration::new(ORG).registry("local", "http://127.0.0.1:1").schedule(CLOSED));
    installation.must(&["rules", "run", "everything"]);
    let (records, org, now) = (installation.records().await, ORG.parse().unwrap(), SystemClock.now());
    let image = Image {
        registry: "local".parse().unwrap(),
        repository: "team/web".parse().unwrap(),
        digest: Digest::of(b"waits"),
        platform: Platform::linux_amd64(),
    };
    let work = Work {
        image,
        tag: "1".parse().unwrap(),
        seen_at: now,
        counted: true,
        priority: Priority::New,
        read_again: false,
        run: Some(RunId { rule: "everything".parse().unwrap(), run: "1".to_owned() }),
        attestations: None,
    };
    records.enqueue(&org, &work, now).await.unwrap();
    let due = records.due_work(&org, &work.image.registry, now, 1).await.unwrap().remove(0);
    records.hold(&org, &due, "2096-02-29T00:00:00Z".parse().unwrap()).await.unwrap();
    drop(records);
    let run = installation.json(&["rules", "status"])["runs"][0].clone();
    assert_eq!((&run["waiting"], &run["remaining"]), (&json!(1), &json!(0)));
    assert_eq!((&run["window"]["open"], &run["window"]["by_hand"]), (&json!(false), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_is_run_by_hand_does_not_wait_for_its_window() {
    let registry = TestRegistry::start().await.unwrap();
    push(&registry, "team/web", "1", &debian_image(&[OLD_LIBC]));
    let installation = Installation::configured(&Configuration::of(&registry).schedule(CLOSED));
    let local = installation.up();
    let run = installation.run_rule();
    assert_eq!((&run["images"]["scanned"], &run["waiting"]), (&json!(1), &json!(0)));
    assert_eq!(window(&installation)["by_hand"], json!(true));
    settle(&local, ORG, &installation.token(ORG), &numbers(&[&[OLD_LIBC]])).await;
}
