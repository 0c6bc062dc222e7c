//! The orders of versions against published tables of comparisons, and against the laws of a total order.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a broken set-up ends a test, and a skipped one says so"
)]

use std::cmp::Ordering;
use std::path::PathBuf;

use proptest::prelude::*;
use tidewatch_advisories::order::{Compare, apk, dpkg};

/// A line that is judged differently here than in its table, and why.
type Difference = (&'static str, &'static str);

const NOT_IN_THE_GRAMMAR: &str =
    "not a valid version in apk-tools 3 nor in apk-tools 2: an error here, never an order";
const REAL_PACKAGES: &str =
    "digits after the letter: invalid in apk-tools 3, but valid in 2 and released by Alpine";

const ALPINE: &[Difference] = &[
    ("1-r = 1-r0", NOT_IN_THE_GRAMMAR),
    ("1-r-0 < 1-r0", NOT_IN_THE_GRAMMAR),
    ("1-r-1 < 1-r0", NOT_IN_THE_GRAMMAR),
    ("0.r1 < 0r2", NOT_IN_THE_GRAMMAR),
    ("0..1..0 < 0..1..1", NOT_IN_THE_GRAMMAR),
    ("0...1...0 < 0...1...1", NOT_IN_THE_GRAMMAR),
    ("0...1...0.r1 < 0...1...0.r2", NOT_IN_THE_GRAMMAR),
    ("0...1...0r1 < 0...1...0r2", NOT_IN_THE_GRAMMAR),
    ("0..8 = 0..8", NOT_IN_THE_GRAMMAR),
    ("0..8 > 0...8", NOT_IN_THE_GRAMMAR),
    ("0.8.21.r2 > 0.8.21.r1", NOT_IN_THE_GRAMMAR),
    ("10.2.24.r0 > 10.2.22.r0", NOT_IN_THE_GRAMMAR),
    ("0.8.21.r2 < 0.8.21r2", NOT_IN_THE_GRAMMAR),
    ("1.2.0A < 1.2.0d", NOT_IN_THE_GRAMMAR),
    ("1.2.0D < 1.2.0d", NOT_IN_THE_GRAMMAR),
    ("1-r2 > 1-r-1", NOT_IN_THE_GRAMMAR),
    ("1 > 1-ruff", NOT_IN_THE_GRAMMAR),
    ("1-r0-1 = 1-r-2", NOT_IN_THE_GRAMMAR),
    ("1-r0-1 = 1-r0-2", NOT_IN_THE_GRAMMAR),
    ("1-ruff2 = 1-ruff1", NOT_IN_THE_GRAMMAR),
    ("1-ruff2 = 1--ruff1", NOT_IN_THE_GRAMMAR),
    ("1-r0-ruff2 = 1-r0-ruff1", NOT_IN_THE_GRAMMAR),
    ("1.2 > 1.2_blah", NOT_IN_THE_GRAMMAR),
    ("1.2_svn1 > 1.2_csv2", NOT_IN_THE_GRAMMAR),
    ("1.2_cvs1 > 1.2_blah", NOT_IN_THE_GRAMMAR),
    (".1 < 1", NOT_IN_THE_GRAMMAR),
    ("1 > .1", NOT_IN_THE_GRAMMAR),
    (".2 > .1", NOT_IN_THE_GRAMMAR),
    ("a < b", NOT_IN_THE_GRAMMAR),
    ("c > b", NOT_IN_THE_GRAMMAR),
    ("c = c", NOT_IN_THE_GRAMMAR),
    ("23_foo > 4_beta", NOT_IN_THE_GRAMMAR),
    ("1.0 < 1.0bc", NOT_IN_THE_GRAMMAR),
];

const APK: &[Difference] = &[
    ("23_foo > 4_beta", NOT_IN_THE_GRAMMAR),
    ("1.0 < 1.0bc", NOT_IN_THE_GRAMMAR),
    ("!0.1a1", REAL_PACKAGES),
];

#[test]
fn debian_versions_are_ordered_as_in_the_tables() {
    check("osv-scalibr/debian-versions.txt", 30, dpkg::compare, &[]);
    check("osv-scalibr/debian-versions-generated.txt", 14_442, dpkg::compare, &[]);
}

#[test]
fn alpine_versions_are_ordered_as_in_the_tables() {
    check("osv-scalibr/alpine-versions.txt", 778, apk::compare, ALPINE);
    check("osv-scalibr/alpine-versions-generated.txt", 13_979, apk::compare, &[]);
}

#[test]
fn alpine_versions_are_ordered_and_validated_as_in_the_table_of_apk() {
    check("apk-version.txt", 760, apk::compare, APK);
}

/// Judges every line of a table: the lines in `differences` must be judged differently, all others as they say.
fn check(file: &str, at_least: usize, compare: Compare, differences: &[Difference]) {
    let path =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/versions")).join(file);
    let Ok(table) = std::fs::read_to_string(&path) else {
        tidewatch_testkit::skip::skipped(format_args!("{} is not there", path.display()));
        return;
    };
    let (mut agreed, mut differed, mut fuzzy, mut wrong) = (0, 0, 0, Vec::new());
    for line in table.lines() {
        let line = line.split(" #").next().unwrap_or_default().split('\t').next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with("//") {
            continue;
        }
        let expected = !differences.iter().any(|(different, _)| *different == line);
        match agrees(line, compare) {
            None => fuzzy += 1,
            Some(same) if same != expected => wrong.push(line),
            Some(true) => agreed += 1,
            Some(false) => differed += 1,
        }
    }
    eprintln!("{file}: {agreed} lines agree, {differed} differ as listed, {fuzzy} are fuzzy matches");
    assert!(wrong.is_empty(), "{} unexpected lines in {file}: {wrong:#?}", wrong.len());
    assert!(agreed + differed + fuzzy >= at_least, "only {agreed} + {differed} + {fuzzy} lines in {file}");
}

/// Whether a line is judged as it says; `None` for apk's fuzzy operators, which no advisory uses.
fn agrees(line: &str, compare: Compare) -> Option<bool> {
    let valid = |version: &str| compare(version, version).is_ok();
    let parts: Vec<&str> = line.split(' ').collect();
    match parts.as_slice() {
        [a, sign @ ("<" | "=" | ">"), b] => {
            let order = match *sign {
                "<" => Ordering::Less,
                "=" => Ordering::Equal,
                _ => Ordering::Greater,
            };
            Some(compare(a, b) == Ok(order))
        }
        [_, "~" | "<~" | ">~" | "!~", _] => None,
        [version] => {
            Some(version.strip_prefix('!').map_or_else(|| valid(version), |invalid| !valid(invalid)))
        }
        _ => panic!("a line of an unknown form: {line:?}"),
    }
}

fn debian_version() -> impl Strategy<Value = String> {
    "([0-2]:)?[0-9][0-9a-b.+~]{0,4}(-[0-2a~+.]{1,3})?"
}

fn alpine_version() -> impl Strategy<Value = String> {
    "[0-2]{1,2}(\\.[0-2]{1,2}){0,2}([ab][01]?)?(_(alpha|rc|git|p)[01]?){0,2}(~[0a]{1,2})?(-r[0-2])?"
}

/// That `compare` is reflexive, antisymmetric and transitive on three versions, and equal ones are interchangeable.
fn is_a_total_order(compare: Compare, [a, b, c]: [&str; 3]) -> Result<(), TestCaseError> {
    let order = |a: &str, b: &str| compare(a, b).map_err(|error| TestCaseError::fail(error.to_string()));
    prop_assert_eq!(order(a, a)?, Ordering::Equal);
    prop_assert_eq!(order(a, b)?, order(b, a)?.reverse());
    if order(a, b)?.is_le() && order(b, c)?.is_le() {
        prop_assert!(order(a, c)?.is_le());
    }
    if order(a, b)?.is_eq() {
        prop_assert_eq!(order(a, c)?, order(b, c)?);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn debian_versions_have_a_total_order(a in debian_version(), b in debian_version(), c in debian_version()) {
        is_a_total_order(dpkg::compare, [&a, &b, &c])?;
    }

    #[test]
    fn alpine_versions_have_a_total_order(a in alpine_version(), b in alpine_version(), c in alpine_version()) {
        is_a_total_order(apk::compare, [&a, &b, &c])?;
    }

    #[test]
    fn any_text_is_ordered_or_refused_without_a_panic(a in ".{0,12}", b in "[0-9a-z.:~_r+-]{0,12}") {
        for compare in [dpkg::compare, apk::compare] {
            prop_assert_eq!(compare(&a, &b).is_ok(), compare(&b, &a).is_ok());
        }
    }
}
