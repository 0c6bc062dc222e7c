//! Exceptions that are limited to a place, VEX documents that are uploaded, and how an organisation stands with them.

use serde_json::{Value, json};
use tidewatch_core::severity::Severity;
use tidewatch_testkit::registry::TestRegistry;
use tidewatch_tests::LocalMode;

use crate::images::{OLD_LIBC, OLD_OPENSSL, debian_image, push};
use crate::installation::{Configuration, Installation, ORG, eventually, read_json};

/// A running installation with one image in two repositories, which has settled, and a token for the metrics.
async fn twins() -> (TestRegistry, Installation, LocalMode, String) {
    let registry = TestRegistry::start().await.unwrap();
    let image = debian_image(&[OLD_OPENSSL, OLD_LIBC]);
    for repository in ["team/web", "team/api"] {
        push(&registry, repository, "1.0", &image);
    }
    let installation = Installation::configured(&Configuration::of(&registry));
    let local = installation.up();
    let token = installation.token(ORG);
    installation.run_rule();
    until(&installation, CRITICAL, 2).await;
    (registry, installation, local, token)
}

const CRITICAL: &str = "scout_stream_vulnerabilities{streamName=\"latest-indexed\",severity=\"CRITICAL\"}";
const SUPPRESSED: &str = "tidewatch_suppressed_findings{streamName=\"latest-indexed\",severity=\"CRITICAL\"}";

/// Waits until a series is served with this value, and the rows behind it add up to it.
async fn until(installation: &Installation, series: &str, expected: i64) -> Value {
    eventually("the numbers do not become as expected", async || {
        let explanation = installation.json(&["explain", series]);
        let rows = explanation["rows"].as_array().unwrap();
        let sum: i64 = rows.iter().map(|row| row["count"].as_i64().unwrap()).sum();
        let found = [explanation["value"].as_i64(), explanation["published"]["value"].as_i64(), Some(sum)];
        if found == [Some(expected); 3] { Ok(explanation) } else { Err(format!("{series}: {found:?}")) }
    })
    .await
}

fn repositories(explanation: &Value) -> Vec<&str> {
    let rows = explanation["rows"].as_array().unwrap();
    rows.iter().map(|row| row["repository"].as_str().unwrap()).collect()
}

/// A file with an OpenVEX document that says that the images of a repository are not affected by a vulnerability.
fn vex_file(installation: &Installation, vulnerability: &str, product: &str) -> String {
    let document = json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex/1", "author": "Acme",
        "timestamp": "2026-01-01T00:00:00Z", "version": 1,
        "statements": [{
            "vulnerability": {"name": vulnerability}, "products": [{"@id": product}], "status": "not_affected",
            "justification": "vulnerable_code_not_in_execute_path",
        }],
    });
    installation.file("web.vex.json", document)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_uploaded_counts_in_its_repository_until_it_is_removed() {
    let (_registry, installation, local, token) = twins().await;
    let critical = until(&installation, CRITICAL, 2).await;
    let vulnerability = critical["rows"][0]["vulnerability"].as_str().unwrap().to_owned();
    let file = vex_file(&installation, &vulnerability, "team/web:1.0");

    let added = installation.json(&["vex", "add", &file]);
    assert_eq!((&added["schema"], &added["version"]), (&json!("tidewatch.vex/1"), &json!(2)));
    let id = added["documents"][0]["id"].as_str().unwrap().to_owned();
    let suppressed = until(&installation, SUPPRESSED, 1).await;
    assert_eq!(repositories(&suppressed), ["team/web"]);
    assert_eq!(repositories(&until(&installation, CRITICAL, 1).await), ["team/api"]);
    let scrape = local.scrape(ORG, Some(&token)).await.unwrap();
    assert!(scrape.body.contains(&format!("{CRITICAL} 1\n")), "{}", scrape.body);

    assert_eq!(installation.json(&["vex", "add", &file])["version"], 2, "it is in force already");
    let listed = installation.json(&["vex", "list"]);
    assert_eq!((&listed["documents"][0]["author"], &listed["version"]), (&json!("Acme"), &json!(2)));
    let shown = installation.must(&["vex", "show", &id[..12]]);
    assert_eq!(read_json(&shown), read_json(&std::fs::read_to_string(&file).unwrap()));
    let by_iri = installation.json(&["vex", "show", "https://acme.example/vex/1"]);
    assert_eq!(by_iri["content"]["statements"][0]["vulnerability"], json!(vulnerability));
    assert!(installation.must(&["vex", "list"]).contains(&id[..12]));

    assert_eq!(installation.json(&["vex", "remove", &id])["version"], 3);
    until(&installation, CRITICAL, 2).await;
    let listed = installation.json(&["vex", "list"]);
    assert_eq!(listed["documents"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_of_a_stream_counts_there_alone_and_is_exported() {
    let (registry, installation, _local, _token) = twins().await;
    let critical = until(&installation, CRITICAL, 2).await;
    let vulnerability = critical["rows"][0]["vulnerability"].as_str().unwrap().to_owned();
    let text = format!(
        "{}\nexceptions:\n  - {{vulnerability: {vulnerability}, stream: production, type: false_positive, \
         justification: vulnerable_code_not_present}}\n",
        Configuration::of(&registry)
    );
    let file = installation.file("limited.yaml", text);
    installation.must(&["apply", &file]);
    installation.must(&["env", "add", "production", "local/team/web:1.0"]);
    let in_production = SUPPRESSED.replace("latest-indexed", "production");
    assert_eq!(repositories(&until(&installation, &in_production, 1).await), ["team/web"]);
    until(&installation, &CRITICAL.replace("latest-indexed", "production"), 0).await;
    until(&installation, CRITICAL, 2).await;

    let exported = read_json(&installation.must(&["vex", "export", "--stream", "production"]));
    let statement = &exported["statements"][0];
    assert_eq!((&exported["author"], &statement["status"]), (&json!(ORG), &json!("not_affected")));
    assert!(
        statement["products"][0]["@id"].as_str().unwrap().starts_with("pkg:oci/web@sha256"),
        "{exported}"
    );
    let one = ["vex", "export", "local/team/web:1.0", "--stream", "production"];
    assert_eq!(read_json(&installation.must(&one))["@id"], exported["@id"], "it is the same");
    let elsewhere = installation.run(&["vex", "export"]);
    assert_eq!(elsewhere.code, Some(1), "{}", elsewhere.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_document_or_none_in_force_is_refused() {
    let installation =
        Installation::configured(&Configuration::new(ORG).registry("local", "http://127.0.0.1:1"));
    let broken = installation.file("broken.json", "{");
    let other = installation.file("other.json", "{}");
    let productless = json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex/1", "author": "Acme",
        "statements": [{"vulnerability": {"name": "CVE-2099-0001"}, "status": "not_affected"}],
    });
    let productless = installation.file("productless.json", productless);
    let cases: [(&[&str], &str); 6] = [
        (&["vex", "add", &broken], "no JSON"),
        (&["vex", "add", &other], "no OpenVEX document"),
        (&["vex", "add", &productless], "names a product"),
        (&["vex", "add", "/nowhere/web.vex.json"], "failed to read"),
        (&["vex", "show", "0123456789ab"], "tidewatch vex list"),
        (&["vex", "remove", "012"], "by 4 digits or more"),
    ];
    for (arguments, expected) in cases {
        let refused = installation.run(arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(expected), "{arguments:?}: {}", refused.stderr);
    }
    assert_eq!(installation.json(&["status"])["version"], 1, "nothing has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_tells_what_is_in_force_and_how_far_images_are_judged_by_it() {
    let (_registry, installation, local, _token) = twins().await;
    let status = eventually("not all images are judged", async || {
        let status = installation.json(&["status"]);
        if status["judging"]["progress"] == "done" { Ok(status) } else { Err(status.to_string()) }
    })
    .await;
    assert_eq!((&status["schema"], &status["org"]), (&json!("tidewatch.status/1"), &json!(ORG)));
    assert_eq!((&status["version"], &status["running"]), (&json!(1), &json!(true)));
    assert_eq!(status["snapshot"]["version"], 1);
    let latest = &status["streams"][0];
    assert_eq!((&latest["stream"], &latest["images"]), (&json!("latest-indexed"), &json!(2)));
    assert_eq!((&latest["states"]["scanned"], &latest["states"]["failed"]), (&json!(2), &json!(0)));
    let families = status["advisories"]["families"].as_array().unwrap();
    assert!(families.iter().any(|family| family["family"] == "debian"), "{status}");
    let nothing = json!({
        "messages": 0, "visible": 0, "in_flight": 0, "delayed": 0, "dead_letters": 0, "longest_wait_seconds": 0,
        "error": null,
    });
    assert_eq!(status["queues"]["scans"], nothing);

    let table = installation.must(&["status"]);
    for shown in ["version 1", "latest-indexed", "debian", "all images, by what is in force", "rematches"] {
        assert!(table.contains(shown), "{shown}: {table}");
    }
    local.terminate().unwrap();
    assert_eq!(installation.json(&["status"])["running"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn reconciling_finds_nothing_in_what_was_scanned_and_a_slot_that_was_written_wrongly() {
    let (_registry, installation, local, _token) = twins().await;
    // Nothing is compared that somebody may be at work on: all is judged, and rolled up after that.
    let sound = eventually("somebody is still at work", async || {
        let (status, found) = (installation.json(&["status"]), installation.json(&["reconcile"]));
        let is_judged = status["judging"]["progress"] == "done";
        let is_quiet = is_judged && status["queues"]["rematches"]["messages"] == 0;
        let is_rolled_up = found["totals"].as_u64().is_some_and(|totals| totals >= 3);
        if is_quiet && is_rolled_up { Ok(found) } else { Err(format!("{status} {found}")) }
    })
    .await;
    assert_eq!((&sound["schema"], &sound["drift"]), (&json!("tidewatch.reconcile/1"), &json!([])));
    assert_eq!(sound["members"], 2);
    local.terminate().unwrap();

    // Without anybody at work, a total is changed behind the back of everybody.
    {
        let records = installation.records().await;
        let (org, stream) = (ORG.parse().unwrap(), "latest-indexed".parse().unwrap());
        let groups = records.groups(&org, std::slice::from_ref(&stream)).await.unwrap().remove(0);
        let (group, state) = (0..).zip(groups).find(|(_, state)| state.totals.images > 0).unwrap();
        let mut totals = state.totals.clone();
        totals.vulnerabilities.add(Severity::Critical);
        let new = tidewatch_store::records::NewTotals {
            computed_seq: state.computed_seq,
            config_version: state.config_version,
            computed_at: state.computed_at.unwrap(),
            totals,
        };
        let part = tidewatch_store::records::Part::Group(group);
        assert!(records.put_totals(&org, &stream, part, &state, &new).await.unwrap());
    }
    let drifted = installation.run(&["reconcile", "--format", "json"]);
    assert_eq!(drifted.code, Some(3), "{}", drifted.stderr);
    let found = read_json(&drifted.stdout);
    assert!(found["drift"][0]["place"].as_str().unwrap().starts_with("Group"), "{found}");
    assert_eq!(installation.json(&["reconcile"])["drift"], json!([]), "it is mended");
}
