//! `tidewatch advisories build --output`, `query`, `info --index` and `diff`: advisories are compiled into a folder and
//! asked there, without an instance.

use std::path::Path;

use serde_json::{Value, json};
use tidewatch_testkit::advisory::{AdvisoryBuilder, write_archive};
use tidewatch_tests::Finished;

use crate::installation::{Installation, read_json};

const DEBIAN: &str = "Debian:13";

fn record(id: &str, fixed: &str) -> Value {
    AdvisoryBuilder::new(id).upstream(["CVE-2099-1"]).fixed(DEBIAN, "openssl", fixed).build()
}

/// Compiles these records of Debian, and gives the folder of the index.
fn compiled(installation: &Installation, name: &str, records: &[Value]) -> String {
    let archives = installation.data().with_file_name(format!("{name}-archives"));
    write_archive(&archives, "Debian", records);
    let output = installation.data().with_file_name(name).display().to_string();
    let built = installation.json(&[
        "advisories",
        "build",
        "--from",
        archives.to_str().unwrap(),
        "--output",
        &output,
    ]);
    assert_eq!(
        (&built["schema"], &built["families"][0]["records"]),
        (&json!("tidewatch.advisories/1"), &json!(records.len()))
    );
    output
}

/// What is printed, a document on each line.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(read_json).collect()
}

#[test]
fn each_line_of_a_batch_is_answered_in_its_order_with_the_ids_of_the_records() {
    let installation = Installation::new();
    let index =
        compiled(&installation, "indexes", &[record("DSA-2-1", "3.0.2-1"), record("DSA-1-1", "3.0.1-1")]);
    let batch = installation.file(
        "batch.ndjson",
        r#"{"ecosystem": "Debian:13", "name": "openssl", "version": "3.0.0-1", "more": 1}
{"ecosystem": "Debian:13", "name": "openssl", "version": "3.0.1-1"}

{"ecosystem": "Debian:13", "name": "openssl", "version": "3.0.2-1"}
{"ecosystem": "Debian", "name": "openssl", "version": "3.0.0-1"}
{"ecosystem": "Debian:99", "name": "openssl", "version": "3.0.0-1"}
{"ecosystem": "npm", "name": "lodash", "version": "4.17.20"}
{"ecosystem": "GIT", "name": "https://example.com/x.git", "version": "1"}
{"ecosystem": "Debian:13", "name": "openssl", "version": "not a version"}
"#,
    );
    let answers = lines(&installation.must(&["advisories", "query", "--index", &index, "--batch", &batch]));
    let ids: Vec<_> = answers.iter().map(|answer| answer["ids"].clone()).collect();
    let both = json!(["DSA-1-1", "DSA-2-1"]);
    let none = json!([]);
    assert_eq!(
        ids,
        [
            both.clone(),
            json!(["DSA-2-1"]),
            none.clone(),
            both,
            none.clone(),
            none.clone(),
            none.clone(),
            none
        ]
    );
    let problems: Vec<_> =
        answers.iter().map(|answer| answer["problems"][0].as_str().unwrap_or_default()).collect();
    assert_eq!(problems[..4], [""; 4]);
    for (problem, part) in problems[4..].iter().zip([
        "no advisories for Debian:99",
        "no advisories yet for npm",
        "the ecosystem \"GIT\"",
        "failed to order",
    ]) {
        assert!(problem.contains(part), "{problem}");
    }
    assert_eq!(answers[0]["version"], "3.0.0-1");
    assert!(!installation.data().exists());
}

#[test]
fn a_line_that_is_no_question_is_told_and_the_others_are_answered() {
    let installation = Installation::new();
    let index = compiled(&installation, "indexes", &[record("DSA-1-1", "2")]);
    let good = r#"{"ecosystem": "Debian:13", "name": "openssl", "version": "1"}"#;
    let batch = installation.file("batch.ndjson", format!("{{\"ecosystem\": 1}}\n{good}\n"));
    let Finished { code, stdout, stderr } =
        installation.run(&["advisories", "query", "--index", &index, "--batch", &batch]);
    let answers = lines(&stdout);
    assert_eq!((code, answers.len(), &answers[1]["ids"]), (Some(2), 2, &json!(["DSA-1-1"])), "{stderr}");
    assert!(answers[0]["problems"][0].as_str().unwrap().starts_with("line 1: "), "{stdout}");
    assert!(stderr.contains("1 lines of"), "{stderr}");
}

#[test]
fn a_version_is_asked_for_with_only_the_advisories_that_affect_it() {
    let installation = Installation::new();
    let index =
        compiled(&installation, "indexes", &[record("DSA-1-1", "3.0.1-1"), record("DSA-2-1", "3.0.2-1")]);
    let ask = |version: &[&str]| {
        let question = ["advisories", "query", "--index", &index, DEBIAN, "openssl"];
        let answer = installation.json(&[&question, version].concat());
        let advisories = answer["advisories"].as_array().unwrap().clone();
        advisories.iter().map(|row| row["advisory"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ask(&[]), ["DSA-1-1", "DSA-2-1"]);
    assert_eq!(ask(&["3.0.1-1"]), ["DSA-2-1"]);
    let info = installation.json(&["advisories", "info", "--index", &index]);
    assert_eq!(info["schema"], "tidewatch.advisory-indexes/1");
    assert_eq!(info["indexes"][0]["releases"], json!({DEBIAN: 1}));
}

#[test]
fn the_packages_about_which_two_builds_differ_are_listed() {
    let installation = Installation::new();
    let same = AdvisoryBuilder::new("DSA-3-1").fixed(DEBIAN, "zlib", "1").build();
    let gone = AdvisoryBuilder::new("DSA-4-1").fixed("Debian:12", "curl", "1").build();
    let old = compiled(&installation, "old", &[record("DSA-1-1", "2"), same.clone(), gone]);
    let new = compiled(&installation, "new", &[record("DSA-1-1", "3"), same]);
    let diff = installation.json(&["advisories", "diff", &old, &new]);
    let change = |ecosystem: &str, package: &str, change: &str| json!({"family": "debian", "ecosystem": ecosystem, "package": package, "change": change});
    assert_eq!(
        diff,
        json!({"schema": "tidewatch.advisory-diff/1", "changes": [
            change("Debian:12", "", "gone"), change("Debian:12", "curl", "gone"), change(DEBIAN, "openssl", "changed"),
        ]})
    );
    assert_eq!(installation.json(&["advisories", "diff", &new, &new])["changes"], json!([]));
    let nothing = installation.file("nothing.txt", "");
    let folder = Path::new(&nothing).parent().unwrap().join("empty");
    std::fs::create_dir(&folder).unwrap();
    let Finished { code, stderr, .. } =
        installation.run(&["advisories", "diff", folder.to_str().unwrap(), &new]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("holds no index") && stderr.contains("--output DIR"), "{stderr}");
}
