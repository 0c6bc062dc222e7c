//! `tidewatch versions compare`: how the versions of an ecosystem compare, one pair or a file of them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;
use tidewatch_tests::Finished;

use crate::installation::{BINARY, Installation, read_json};

#[test]
fn two_versions_are_compared_as_their_ecosystem_orders_them() {
    let installation = Installation::new();
    for (ecosystem, a, b, sign) in [
        ("Debian:12", "1.0~rc1-1", "1.0-1", "<"),
        ("npm", "1.2.3", "v1.2.3+build", "="),
        ("Go", "v1.2.4-0.20190101000000-0123456789ab", "v1.2.3", ">"),
        ("Bitnami", "17.2.0-8", "17.2.0", ">"),
        ("Red Hat:enterprise_linux:9::baseos", "0:1.0-2.el9", "1.0-10.el9", "<"),
        ("pypi", "1.0", "1.0.0", "="),
    ] {
        let printed = installation.must(&["versions", "compare", ecosystem, a, b]);
        assert_eq!(printed, format!("{sign}\n"), "{ecosystem} {a} {b}");
    }
    assert_eq!(installation.must(&["versions", "compare", "PyPI", "--", "-class-1", "1.0"]), "<\n");
    assert_eq!(
        installation.json(&["versions", "compare", "Wolfi", "1.2_p1-r0", "1.2-r3"]),
        json!({
            "schema": "tidewatch.version-comparison/1", "ecosystem": "Wolfi", "order": "apk",
            "a": "1.2_p1-r0", "b": "1.2-r3", "result": ">"
        })
    );
    assert!(!installation.data().exists());
}

#[test]
fn what_cannot_be_compared_is_wrong_use_and_says_what_to_do() {
    let installation = Installation::new();
    let cases: [(&[&str], &str); 6] = [
        (&["Slackware", "1", "2"], "name it as OSV does"),
        (&["Go", "(devel)", "v1.0.0"], "write it as packages of Go do"),
        (&["npm", "1.0.0"], "Usage:"),
        (&["npm"], "Usage:"),
        (&["npm", "1", "2", "--file", "comparisons.txt"], "cannot be used with"),
        (&["npm", "--file", "/nowhere/comparisons.txt"], "a comparison on each line"),
    ];
    for (arguments, hint) in cases {
        let Finished { code, stdout, stderr } =
            installation.run(&[&["versions", "compare"], arguments].concat());
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(hint), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_file_of_comparisons_is_checked_and_what_disagrees_is_printed() {
    let installation = Installation::new();
    let good = installation.file("good.txt", "# comments\n// and blank lines\n\n1.0 < 1.0.1\n1.0a1 < 1.0\n");
    let Finished { code, stdout, stderr } =
        installation.run(&["versions", "compare", "PyPI", "--file", &good]);
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
    assert!(stderr.contains("2 comparisons agree"), "{stderr}");

    let bad = installation.file("bad.txt", "1.0 < 1.1\n1.0 = 1.1\n1.0 < one two\n1.1\n");
    let arguments = ["versions", "compare", "PyPI", "--file", &bad];
    let Finished { code, stdout, stderr } = installation.run(&arguments);
    assert_eq!(code, Some(1), "{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{stdout}");
    assert_eq!(lines[0], "line 2: 1.0 = 1.1: it is <");
    assert!(lines[1].starts_with("line 3: 1.0 < one two: failed to order \"one two\""), "{stdout}");
    assert!(stderr.contains("3 of 4 comparisons do not agree") && stderr.contains("next: "), "{stderr}");

    let Finished { code, stdout, .. } = installation.run(&[&arguments[..], &["--format", "json"]].concat());
    let document = read_json(&stdout);
    assert_eq!((code, &document["schema"]), (Some(1), &json!("tidewatch.version-comparisons/1")));
    assert_eq!((&document["order"], &document["comparisons"]), (&json!("pypi"), &json!(4)));
    assert_eq!(document["disagreements"][0], json!({"line": 2, "text": "1.0 = 1.1", "result": "<"}));
    assert!(document["disagreements"][1]["reason"].as_str().unwrap().contains("one two"), "{document}");
}

#[test]
fn comparisons_are_read_from_the_standard_input() {
    let mut child = Command::new(BINARY)
        .args(["versions", "compare", "rpm", "--file", "-", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"1.0~rc1 < 1.0\n1.0^git1 < 1.0\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "line 2: 1.0^git1 < 1.0: it is >\n");
}
