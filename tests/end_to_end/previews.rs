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

    let local = installation.up();
    let run = installation.run_rule();
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
    drop(local);
}
