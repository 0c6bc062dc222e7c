//! That an image cannot ask for more than the limits, and that what is left out is told.

use serde_json::Value;
use tempfile::TempDir;
use tidewatch_core::package::PackageType;
use tidewatch_testkit::advisory::{AdvisoryBuilder, write_archive};

use super::*;
use crate::build::{BuildOptions, build};
use crate::index::Index;

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

fn debian() -> Distribution {
    Distribution { id: "debian".to_owned(), version_id: Some("12".to_owned()), ..Distribution::default() }
}

fn matches(limits: Limits, advisories: usize, packages: &[Package]) -> Matches {
    let (_folder, indexes) = indexes(advisories);
    let debian = debian();
    look_up_within(limits, &indexes, &Memos::default(), Some(&debian), packages).unwrap().matches()
}

/// Memos of the index of Debian with room for so much.
fn memos(max_size: usize) -> Memos {
    let mut memos = Memos::default();
    memos.insert("debian", Arc::new(Memo::new(max_size)));
    memos
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
fn a_memory_of_any_size_gives_the_same_findings() {
    let packages = packages((0..30).map(|number| format!("1.{}", number % 7)));
    let (_folder, indexes) = indexes(3);
    let debian = debian();
    let expected = matches(Limits::default(), 3, &packages);
    assert_eq!(expected.findings.len(), 90);
    for size in [0, 160, 1_000_000] {
        let memos = memos(size);
        for _ in 0..2 {
            let found = look_up(&indexes, &memos, Some(&debian), &packages).unwrap();
            assert_eq!(found.matches(), expected, "{size}");
        }
    }
}

#[test]
fn what_is_remembered_counts_against_the_limits_as_if_it_were_not() {
    let packages = packages((0..10).map(|number| format!("3.{number}")));
    let ((_folder, indexes), debian, memos) = (indexes(5), debian(), memos(1_000));
    let limits = Limits { evaluations: 12, ..Limits::default() };
    let found: Vec<_> = [Limits::default(), limits, limits]
        .into_iter()
        .map(|limits| look_up_within(limits, &indexes, &memos, Some(&debian), &packages).unwrap())
        .map(Lookup::matches)
        .collect();
    assert_eq!((found[0].problems.len(), found[1].problems.len()), (0, 1));
    assert_eq!(found[1], found[2]);
}

#[test]
fn the_fingerprint_is_the_same_for_the_same_findings_alone() {
    let debian = debian();
    let fingerprint = |advisories: usize, versions: &[&str], fixed: &str| {
        let folder = TempDir::new().unwrap();
        let records: Vec<Value> = (0..advisories)
            .map(|number| {
                AdvisoryBuilder::new(&format!("DSA-{number}-1")).fixed("Debian:12", "pkg", fixed).build()
            })
            .chain([AdvisoryBuilder::new("DSA-9-1").fixed("Debian:12", "other", "1").build()])
            .collect();
        write_archive(&folder.path().join("osv"), "Debian", &records);
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let options = BuildOptions { output: folder.path().to_owned(), now };
        let built = build(&folder.path().join("osv"), &options, &mut |_| {}).unwrap();
        let indexes: IndexSet =
            built.families.iter().map(|family| Index::open(&family.path).unwrap()).collect();
        let packages = packages(versions.iter().map(|version| (*version).to_owned()));
        look_up(&indexes, &Memos::default(), Some(&debian), &packages).unwrap().fingerprint()
    };
    let first = fingerprint(1, &["1", "3"], "2");
    assert_eq!(fingerprint(1, &["1", "3"], "2"), first);
    assert_ne!(fingerprint(2, &["1", "3"], "2"), first, "another advisory");
    assert_ne!(fingerprint(1, &["1", "3"], "2.1"), first, "another fix");
    assert_ne!(fingerprint(1, &["1", "3"], "4"), first, "another package that is vulnerable");
    assert_ne!(fingerprint(1, &["1", "3"], "no version"), first, "a problem");
    assert_ne!(fingerprint(0, &["1", "3"], "2"), first, "no advisory");
}
