//! Local mode fetches advisories by itself: from a server of archives to results and metrics, and on to new archives.

use serde_json::{Value, json};
use tidewatch_testkit::advisory::{AdvisoryBuilder, archive, write_folder};
use tidewatch_testkit::archives::{ArchiveServer, Fault};
use tidewatch_testkit::fixtures;
use tidewatch_testkit::ministack::MiniStack;
use tidewatch_testkit::updateinfo::{feed, serve, update};

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
    let _local = installation
        .up_with(&[("TIDEWATCH_ADVISORIES_URL", url.as_str()), ("TIDEWATCH_ECOSYSTEMS", "Alpine,Debian")]);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_read_and_what_comes_of_it_can_be_waited_for() {
    let folder = tempfile::TempDir::new().unwrap();
    let debian =
        |id: &str| AdvisoryBuilder::new(id).upstream(["CVE-2024-1"]).fixed("Debian:12", "pkg", "2").build();
    write_folder(folder.path(), "Debian", &[debian("DSA-1-1")]);
    let release = folder.path().join("Amazon Linux/2023");
    std::fs::create_dir_all(&release).unwrap();
    let updates = [update("ALAS2023-2024-1", "CVE-2024-1", "Important", "curl", "8.3")];
    std::fs::write(release.join("updateinfo.xml"), feed(&updates)).unwrap();
    let (place, amazon_linux) = (folder.path().to_str().unwrap(), folder.path().join("Amazon Linux"));
    let installation = Installation::new();
    let local = installation.up_with(&[
        ("TIDEWATCH_ADVISORIES_URL", place),
        ("TIDEWATCH_AMAZON_LINUX_URL", amazon_linux.to_str().unwrap()),
        ("TIDEWATCH_ECOSYSTEMS", "Amazon Linux,Debian"),
    ]);
    let sent = installation.json(&["advisories", "sync", "--wait"]);
    let sources: Vec<_> = sent["sources"].as_array().unwrap().iter().map(|row| &row["records"]).collect();
    assert_eq!(
        (&sent["ecosystems"], sources),
        (&json!(["Amazon Linux", "Debian"]), vec![&json!(1), &json!(1)])
    );
    let (_, families) = info(&installation);
    assert!(!families["amazon"].is_null() && !families["debian"].is_null(), "{families}");

    write_folder(folder.path(), "Debian", &[debian("DSA-2-1")]);
    std::fs::remove_dir_all(amazon_linux).unwrap();
    let finished = installation.run(&["advisories", "sync", "--wait"]);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("1 source could not be brought up to date"), "{}", finished.stderr);
    assert!(finished.stdout.contains("it is not there"), "{}", finished.stdout);
    let (sources, families) = info(&installation);
    assert_eq!((&sources["Debian"]["records"], &families["debian"]["records"]), (&json!(2), &json!(2)));
    local.terminate().unwrap();
    let finished = installation.run(&["advisories", "sync", "--wait"]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_read_with_the_credentials_of_whoever_runs_local_mode() {
    let Some(ministack) = MiniStack::shared() else { return };
    ministack.make_bucket("advisories-of-acme");
    let record = AdvisoryBuilder::new("DSA-1-1").upstream(["CVE-2024-1"]).fixed("Debian:12", "pkg", "2");
    ministack.put_object("advisories-of-acme", "osv/Debian/all.zip", &archive(&[record.build()]));
    let installation = Installation::new();
    let account = ministack.environment();
    let account = account.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let place =
        [("TIDEWATCH_ADVISORIES_URL", "s3://advisories-of-acme/osv"), ("TIDEWATCH_ECOSYSTEMS", "Debian")];
    let _local = installation.up_with(&account.chain(place).collect::<Vec<_>>());
    let sent = installation.json(&["advisories", "sync", "--wait"]);
    assert_eq!(sent["sources"][0]["records"], 1, "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn distributions_and_catalogues_that_osv_has_not_are_fetched_from_where_they_are() {
    let server = ArchiveServer::start().await.unwrap();
    let updates = [update("ALAS2023-2024-1", "CVE-2024-1", "", "curl", "8.3")];
    serve(&server, &[("2", &[]), ("2023", &updates)]);
    let score = AdvisoryBuilder::new("CVE-2024-1")
        .severity("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H");
    server.put("GIT", &[score.build()]);
    let catalogue = json!({
        "dateReleased": "2024-05-01T00:00:00Z",
        "vulnerabilities": [{"cveID": "CVE-2024-1", "dateAdded": "2024-05-01"}],
    });
    server.put_file("/kev.json", catalogue.to_string());
    let (url, kev) = (server.url(), format!("{}/kev.json", server.url()));
    let installation = Installation::new();
    let _local = installation.up_with(&[
        ("TIDEWATCH_ADVISORIES_URL", url.as_str()),
        ("TIDEWATCH_AMAZON_LINUX_URL", url.as_str()),
        ("TIDEWATCH_KEV_URL", kev.as_str()),
        ("TIDEWATCH_EOL_URL", "none"),
        ("TIDEWATCH_ECOSYSTEMS", "Amazon Linux,GIT"),
    ]);
    let (sources, _) = informed(&installation, "not everything is there", |sources, families| {
        ["Amazon Linux", "GIT", "KEV"].iter().all(|name| !sources[name]["records"].is_null())
            && !families["amazon"].is_null()
    })
    .await;
    assert_eq!(sources["KEV"]["released_at"], "2024-05-01T00:00:00Z");
    eventually("the score of another source is not in the index", async || {
        let found = installation.json(&["advisories", "query", "Amazon Linux:2023", "curl"]);
        if found["advisories"][0]["severity"] == "CRITICAL" { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
}

#[test]
fn a_url_or_a_name_that_cannot_be_used_is_wrong_use() {
    let installation = Installation::new();
    let finished = installation.run(&["up", "--advisories-url", "ftp://osv.example.com"]);
    assert_eq!(finished.code, Some(2));
    assert!(
        finished.stderr.contains("neither with https://, http://, s3:// nor with file://"),
        "{}",
        finished.stderr
    );
    let finished = installation.run(&["advisories", "sync", "--ecosystem", "Debian:12"]);
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("Debian:12"), "{}", finished.stderr);
}
