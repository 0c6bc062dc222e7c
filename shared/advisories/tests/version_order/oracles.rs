//! Made-up and real versions, ordered as the tools order them that define the orders.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use proptest::string::string_regex;
use tidewatch_advisories::order::Compare;

use crate::strategies;
use crate::tables::compare_of;
use crate::tools::{DPKG, NODE_SEMVER, PACKAGING, RPM, Tool};
use crate::versions::{of_records, of_tables, records};

/// Real versions in pairs: each with its neighbour, by name, which is often almost the same, and with one far away.
fn in_pairs(versions: impl IntoIterator<Item = String>, at_most: usize) -> Vec<(String, String)> {
    let versions: Vec<String> = versions.into_iter().collect();
    let step = (versions.len() * 2 / at_most).max(1);
    let pairs = (0..versions.len()).step_by(step).flat_map(|place| {
        let other = |distance: usize| versions[(place + distance) % versions.len()].clone();
        [(versions[place].clone(), other(1)), (other(7919), versions[place].clone())]
    });
    pairs.collect()
}

/// That the order and the tool agree on every pair that both order, and that these are most.
fn agree(order: &str, tool: &Tool, pairs: &[(String, String)]) {
    let compare = compare_of(order);
    let Some(answers) = tool.ask(pairs) else { return };
    let (mut agreed, mut bad) = (0, Vec::new());
    for ((a, b), answer) in pairs.iter().zip(answers) {
        match (compare(a, b), answer) {
            (Ok(ours), Some(theirs)) if ours == theirs => agreed += 1,
            (ours @ Ok(_), Some(theirs)) => bad.push(format!("{a} {b}: {ours:?}, not {theirs:?}")),
            _ => {}
        }
    }
    eprintln!("{order}: {agreed} of {} pairs are ordered by both, and agree", pairs.len());
    assert!(bad.is_empty(), "{} pairs: {bad:#?}", bad.len());
    assert!(agreed * 2 >= pairs.len(), "only {agreed} of {}", pairs.len());
}

#[test]
fn debian_versions_are_ordered_as_dpkg_does() {
    agree("dpkg", &DPKG, &strategies::pairs("dpkg", 250));
    let real = in_pairs(of_tables(&["osv-scalibr/debian-versions-generated.txt"]), 250);
    agree("dpkg", &DPKG, &real);
}

#[test]
fn rpm_versions_are_ordered_as_rpm_does() {
    agree("rpm", &RPM, &strategies::pairs("rpm", 20_000));
    agree("rpm", &RPM, &in_pairs(of_records("AlmaLinux"), 20_000));
}

#[test]
fn python_versions_are_ordered_as_packaging_does() {
    agree("pypi", &PACKAGING, &strategies::pairs("pypi", 20_000));
    agree("pypi", &PACKAGING, &in_pairs(of_records("PyPI"), 20_000));
}

#[test]
fn npm_versions_are_ordered_as_npm_does() {
    // npm has exactly three numbers; what has more or fewer is ordered here alone.
    let form = " ?v?(0|1|10)\\.[01]\\.[01](-([1-9a-cA-C-]|10)(\\.(0|2|11|[a-c]1)){0,2})?(\\+[01a])?";
    agree("npm", &NODE_SEMVER, &strategies::pairs_of(&string_regex(form).unwrap(), 20_000));
    agree("npm", &NODE_SEMVER, &in_pairs(of_records("npm"), 2_000));
}

/// Records of PyPI have ranges, and list every version in them that there was. Two of them contradict themselves.
#[test]
fn python_versions_that_a_record_lists_are_in_its_ranges() {
    let compare = compare_of("pypi");
    let (mut listed, mut outside) = (0, BTreeMap::<_, Vec<_>>::new());
    let records = records("PyPI");
    for record in &records {
        for affected in record.affected() {
            let ranges: Vec<_> = affected.ranges().collect();
            for version in affected.versions().filter(|_| !ranges.is_empty()) {
                listed += 1;
                if !ranges.iter().any(|events| is_in_range(version, events, compare)) {
                    outside.entry(record.id.as_str()).or_default().push(version);
                }
            }
        }
    }
    eprintln!("{listed} versions are listed, outside of the ranges of their records are {outside:?}");
    let wrong = [
        ("PYSEC-2021-114", vec!["2.11.6"]),
        ("PYSEC-2023-61", vec!["3.2a1", "3.2b1", "3.2rc1", "4.2a1", "4.2b1", "4.2rc1"]),
    ];
    assert!(records.is_empty() || (listed > 500_000 && outside == BTreeMap::from(wrong)), "{outside:?}");
}

/// Whether the last event up to the version is one after which versions are affected.
fn is_in_range(version: &str, events: &[(&str, &str)], compare: Compare) -> bool {
    let has_passed = |(kind, at): &&(&str, &str)| match *kind {
        "introduced" => *at == "0" || compare(at, version).unwrap().is_le(),
        "last_affected" => compare(at, version).unwrap().is_lt(),
        _ => compare(at, version).unwrap().is_le(),
    };
    let later = |a: &&(&str, &str), b: &&(&str, &str)| match (a.1, b.1) {
        ("0", "0") => Ordering::Equal,
        ("0", _) => Ordering::Less,
        (_, "0") => Ordering::Greater,
        (a, b) => compare(a, b).unwrap(),
    };
    events.iter().filter(has_passed).max_by(later).is_some_and(|(kind, _)| *kind == "introduced")
}
