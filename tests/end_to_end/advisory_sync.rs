//! Local mode fetches advisories by itself: from a server of archives to results and metrics, and on to new archives.

use serde_json::{Value, json};
use tidewatch_testkit::advisory::AdvisoryBuilder;
use tidewatch_testkit::archives::{ArchiveServer, Fault};
use tidewatch_testkit::fixtures;

use crate::installation::{Configuration, Installation, Numbers, ORG, eventually, fixture_registry, settle};

/// The sources and families of `advisories info`, by their names.
fn info(installation: &Installation) -> (Value, Value) {
    let info = installation.json(&["advisories", "info"]);
    let by = |list: &str, name: &str| {
        let rows = info[list].as_array().cloned().unwrap_or_default();
        rows.into_iter().map(|row| (row[name].as_str().unwrap().to_owned(), row)).collect::<Value>()
    };
    (by("sources", "ecosystem"), by("families", "family"))
}

/// Looks at `advisories info` until sources and families are as they should be.
async fn informed(
    installation: &Installation,
    what: &str,
    is: impl Fn(&Value, &Value) -> bool,
) -> (Value, Value) {
    eventually(what, async || {
        let (sources, families) = info(installation);
        if is(&sources, &families) { Ok((sources, families)) } else { Err(format!("{sources} {families}")) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_scanned_with_advisories_that_local_mode_has_fetched() {
    let server = ArchiveServer::start().await.unwrap();
    server.put_folder(&fixtures::advisories());
    let ecosystems: Vec<String> = std::fs::read_dir(fixtures::advisories())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let registry = fixture_registry().await;
    let installation = Installation::new();
    installation.apply(&Configuration::of(&registry));
    let url = server.url();
    let local = installation.up_with(&[
        ("TIDEWATCH_ADVISORIES_URL", url.as_str()),
        ("TIDEWATCH_ECOSYSTEMS", &ecosystems.join(",")),
    ]);
    let (sources, families) = informed(&installation, "advisories are not in force", |sources, families| {
        let checked = |name: &String| !sources[name]["checked_at"].is_null();
        ecosystems.iter().all(checked) && !families["alpine"].is_null() && !families["debian"].is_null()
    })
    .await;
    assert_eq!(sources["Debian"]["url"], format!("{url}/Debian/all.zip"));
    assert_eq!(sources["Debian"]["error"], Value::Null);

    let token = installation.token(ORG);
    installation.run_rule();
    assert!(installation.images().iter().any(|image| image["state"] == "scanned"));
    settle(&local, ORG, &token, &Numbers::of_the_fixtures()).await;

    let advisory = AdvisoryBuilder::new("DEBIAN-CVE-2099-3001").upstream(["CVE-2099-3001"]);
    server.put("Debian", &[advisory.fixed("Debian:13", "base-files", "14").build()]);
    let sent = installation.must(&["advisories", "sync", "--ecosystem", "Debian"]);
    assert_eq!(sent.trim(), "sent for: Debian");
    let hash = families["debian"]["hash"].clone();
    let (sources, changed) = informed(&installation, "the new archive is not in force", |_, families| {
        families["debian"]["hash"] != hash
    })
    .await;
    assert_eq!(sources["Debian"]["records"], 1);
    assert_eq!(changed["debian"]["records"], 1);
    assert_eq!(changed["alpine"]["records"], families["alpine"]["records"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_fetched_is_shown_with_its_reason_and_what_is_in_force_stays() {
    let server = ArchiveServer::start().await.unwrap();
    server.put_folder(&fixtures::advisories());
    server.fail("Debian", Fault::Status(404));
    let installation = Installation::new();
    installation.build_advisories(&fixtures::advisories());
    let (_, before) = info(&installation);
    let url = server.url();
    let _local = installation.up_with(&[("TIDEWATCH_ADVISORIES_URL", url.as_str())]);
    let (sources, families) = informed(&installation, "no error is shown", |sources, _| {
        !sources["Debian"]["error"].is_null() && !sources["Alpine"]["checked_at"].is_null()
    })
    .await;
    let reason = format!("failed to fetch {url}/Debian/all.zip: it answered 404 Not Found");
    assert_eq!(
        (&sources["Debian"]["error"]["reason"], &sources["Debian"]["records"]),
        (&json!(reason), &Value::Null)
    );
    assert_eq!(families["debian"], before["debian"]);
    assert!(installation.must(&["advisories", "info"]).contains(&reason));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_url_the_command_is_answered_with_a_recorded_error() {
    let installation = Installation::new();
    let _local = installation.up();
    let sent = installation.json(&["advisories", "sync", "--ecosystem", "Debian"]);
    assert_eq!(sent["ecosystems"], json!(["Debian"]));
    let (sources, _) =
        informed(&installation, "no error is shown", |sources, _| !sources["Debian"]["error"].is_null())
            .await;
    let reason = sources["Debian"]["error"]["reason"].as_str().unwrap();
    assert!(reason.contains("there is no URL for them (TIDEWATCH_ADVISORIES_URL)"), "{reason}");
}

#[test]
fn a_url_or_a_name_that_cannot_be_used_is_wrong_use() {
    let installation = Installation::new();
    let finished = installation.run(&["up", "--advisories-url", "ftp://osv.example.com"]);
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("neither with https:// nor with http://"), "{}", finished.stderr);
    let finished = installation.run(&["advisories", "sync", "--ecosystem", "Debian:12"]);
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("Debian:12"), "{}", finished.stderr);
}
