//! What a rule would choose can be seen before it runs, and that is what it chooses.

use serde_json::Value;
use tidewatch_testkit::registry::TestRegistry;

use crate::images::{OLD_LIBC, OLD_OPENSSL, debian_image, push};
use crate::installation::{Configuration, Installation};

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_needs_nobody_running_and_says_what_the_run_then_does() {
    let registry = TestRegistry::start().await.unwrap();
    for (repository, tag, package) in [
        ("team/web", "1.0", OLD_LIBC),
        ("team/web", "1.1", OLD_OPENSSL),
        ("team/api", "2.0", OLD_LIBC),
        ("team/api", "2.0-rc1", OLD_OPENSSL),
        ("tools/ci", "latest", OLD_LIBC),
    ] {
        push(&registry, repository, tag, &debian_image(&[package]));
    }
    let installation = Installation::configured(&Configuration::of(&registry));
    let text = Configuration::of(&registry).to_string();
    let text = text.replace(
        "id: everything",
        "id: everything, include: [\"team/**\"], exclude: [\":*-rc*\"], newest: 1",
    );
    installation.must(&["apply", &installation.file("tidewatch.yaml", &text)]);

    let before = installation.json(&["rules", "preview", "everything"]);
    let chosen = |preview: &Value| -> Vec<String> {
        let repositories = preview["repositories"].as_array().unwrap();
        let tags = repositories.iter().flat_map(|repository| {
            let tags = repository["tags"].as_array().unwrap().iter().filter(|tag| tag["chosen"] == true);
            tags.map(move |tag| {
                format!("{}:{}", repository["repository"].as_str().unwrap(), tag["tag"].as_str().unwrap())
            })
        });
        tags.collect()
    };
    assert_eq!(before["errors"], serde_json::json!([]));
    assert_eq!(chosen(&before).len(), 2, "one of each repository: {before:#}");
    let table = installation.must(&["rules", "preview", "everything", "--repository", "team/api"]);
    assert!(table.contains("exclude :*-rc*") && table.contains("include team/**"), "{table}");
    assert!(table.contains("left out: 1 excluded") && !table.contains("team/web"), "{table}");

    let cost = &before["cost"];
    assert_eq!(
        (&cost["complete"], &cost["images"], &cost["measured_images"]),
        (&true.into(), &2.into(), &2.into())
    );
    assert_eq!(cost["layers"]["known"]["layers"], 0);
    assert!(cost["layers"]["to_read"]["bytes"].as_u64().unwrap() > 0, "{cost:#}");
    assert!(cost["microdollars"]["total"].as_u64().unwrap() > 0, "{cost:#}");
    assert!(table.contains("cost of a run now: $0.0") && table.contains("(counted)"), "{table}");
    let (listing, before_run) = (total(&cost["requests"]["listing"]), registry.requests().len() as u64);

    let local = installation.up();
    let run = installation.run_rule();
    // Listing as it was counted; and no more to scan than is estimated.
    let asked = registry.requests().len() as u64 - before_run;
    let scanning = total(&cost["requests"]["scanning"]);
    assert!(
        asked >= listing && asked <= listing + scanning,
        "{asked} requests, {listing} and {scanning} told"
    );
    let mut scanned: Vec<String> = installation
        .images()
        .iter()
        .map(|image| format!("{}:{}", image["repository"].as_str().unwrap(), image["tag"].as_str().unwrap()))
        .collect();
    scanned.sort_unstable();
    assert_eq!(scanned, chosen(&before));
    assert_eq!(
        (&run["selected"], &run["left_out"]),
        (&2.into(), &serde_json::json!({"excluded": 1, "not_among_newest": 1}))
    );
    let after = installation.json(&["rules", "preview", "everything"]);
    assert_eq!(chosen(&after), chosen(&before));
    let to_scan = |tag: &Value| tag["new"] != 0 || tag["stale"] != 0;
    let tags =
        after["repositories"].as_array().unwrap().iter().flat_map(|one| one["tags"].as_array().unwrap());
    assert!(!tags.into_iter().any(to_scan), "nothing is left to scan: {after:#}");
    assert_eq!((&after["cost"]["images"], &after["cost"]["complete"]), (&0.into(), &true.into()));
    assert_eq!(total(&after["cost"]["requests"]["scanning"]), 0);
    drop(local);
}

/// All requests of an object of numbers.
fn total(requests: &Value) -> u64 {
    requests.as_object().unwrap().values().map(|number| number.as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_rule_will_cost_is_told_before_it_is_in_force_where_that_is_wanted() {
    let registry = TestRegistry::start().await.unwrap();
    push(&registry, "team/web", "1.0", &debian_image(&[OLD_LIBC]));
    let installation = Installation::new();
    let file = installation.file("tidewatch.yaml", Configuration::of(&registry));
    let planned = installation.json(&["apply", &file, "--dry-run", "--estimate"]);
    assert_eq!(planned["first_runs"][0]["cost"], Value::Null, "there is no data folder yet");
    let plain = installation.json(&["apply", &file]);
    assert_eq!(registry.requests(), [], "nobody has asked for it");
    let reason = plain["first_runs"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("tidewatch rules preview everything"), "{reason}");

    let changed =
        Configuration::of(&registry).to_string().replace("schedule: manual", "schedule: {every: 6h}");
    let file = installation.file("tidewatch.yaml", changed);
    let planned = installation.json(&["apply", &file, "--dry-run", "--estimate"]);
    let first = &planned["first_runs"][0];
    assert_eq!(
        (&first["rule"], &first["cost"]["images"], &first["reason"]),
        (&"everything".into(), &1.into(), &Value::Null)
    );
    assert_eq!(planned["applied"], false);
    drop(registry);
    let applied = installation.json(&["apply", &file, "--estimate"]);
    let first = &applied["first_runs"][0];
    assert!(first["reason"].as_str().unwrap().contains("failed to reach registry local"), "{first}");
    assert_eq!(applied["applied"], true, "what cannot be told holds up nothing");
}
