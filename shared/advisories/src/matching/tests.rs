//! That an image cannot ask for more than the limits, and that what is left out is told.

use serde_json::Value;
use tempfile::TempDir;
use tidewatch_core::package::PackageType;
use tidewatch_testkit::advisory::{AdvisoryBuilder, write_archive};

use super::*;
use crate::build::{BuildOptions, build};

/// Indexes of `count` advisories about the package `pkg`, each about a vulnerability of its own.
fn indexes(count: usize) -> (TempDir, IndexSet) {
    let folder = TempDir::new().unwrap();
    let record = |number| -> Value {
        let id = format!("DSA-{number}-1");
        AdvisoryBuilder::new(&id).fixed("Debian:12", "pkg", "2").build()
    };
    let records: Vec<Value> = (0..count).map(record).collect();
    write_archive(&folder.path().join("osv"), "Debian", &records);
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let options = BuildOptions { output: folder.path().to_owned(), now };
    let built = build(&folder.path().join("osv"), &options, &mut |_| {}).unwrap();
    let indexes = built.families.iter().map(|family| Index::open(&family.path).unwrap()).collect();
    (folder, indexes)
}

/// Packages that are one subject each: the versions of `pkg` differ.
fn packages(versions: impl IntoIterator<Item = String>) -> Vec<Package> {
    let package = |version: String| Package::new(PackageType::Deb, "pkg", version, "test");
    versions.into_iter().map(package).collect()
}

fn matches(limits: Limits, advisories: usize, packages: &[Package]) -> Matches {
    let (_folder, indexes) = indexes(advisories);
    let debian = Distribution {
        id: "debian".to_owned(),
        version_id: Some("12".to_owned()),
        ..Distribution::default()
    };
    match_within(limits, &indexes, Some(&debian), packages).unwrap()
}

#[test]
fn findings_beyond_the_limit_are_a_problem() {
    let packages = packages((0..10).map(|number| format!("1.{number}")));
    let limited = matches(Limits { results: 16, ..Limits::default() }, 5, &packages);
    assert_eq!((limited.findings.len(), &limited.coverage), (15, &Coverage::Full));
    let problem = "was not matched, nor were 6 more: the image has more than 16 findings and problems";
    assert_eq!(limited.problems, [Problem::new("pkg 1.3", problem)]);
    let full = matches(Limits { results: 50, ..Limits::default() }, 5, &packages);
    assert_eq!((full.findings.len(), full.problems.len()), (50, 0));
}

#[test]
fn findings_of_packages_with_long_names_are_limited_by_their_bytes() {
    let packages = packages((0..10).map(|number| format!("1.{number}{}", "0".repeat(1000))));
    let limited = matches(Limits { result_bytes: 100_000, ..Limits::default() }, 20, &packages);
    assert_eq!((limited.findings.len(), limited.problems.len()), (40, 1));
    assert!(limited.problems[0].reason.ends_with("the findings of the image have more than 100000 bytes"));
}

#[test]
fn problems_count_against_the_limit_as_well() {
    let packages = packages((0..10).map(|number| format!("no version {number}")));
    let limited = matches(Limits { results: 4, ..Limits::default() }, 1, &packages);
    assert_eq!((limited.findings.len(), limited.problems.len()), (0, 6));
}

#[test]
fn evaluations_beyond_the_limit_are_a_problem_also_when_nothing_is_found() {
    let packages = packages((0..10).map(|number| format!("3.{number}")));
    let limited = matches(Limits { evaluations: 12, ..Limits::default() }, 5, &packages);
    let problem =
        "was not matched, nor were 7 more: its packages need more than 12 evaluations of advisories";
    assert_eq!(limited.problems, [Problem::new("pkg 3.2", problem)]);
    let full = matches(Limits { evaluations: 50, ..Limits::default() }, 5, &packages);
    assert_eq!(full.problems, []);
}

#[test]
fn a_small_memory_gives_the_same_findings() {
    let packages = packages((0..30).map(|number| format!("1.{}", number % 7)));
    let forgetful = matches(Limits { memo: 0, ..Limits::default() }, 3, &packages);
    let small = matches(Limits { memo: 9, ..Limits::default() }, 3, &packages);
    assert_eq!(forgetful.findings.len(), 90);
    assert_eq!(forgetful, small);
    assert_eq!(small, matches(Limits::default(), 3, &packages));
}
