//! What is found in which packages.

use serde_json::{Value, json};
use tidewatch_advisories::{Coverage, IndexSet, families_for, match_packages};
use tidewatch_core::package::{Distribution, PackageType};

use crate::set_up::{Built, DEBIAN, advisory, built_from, deb, debian, distribution, package, time};

const ALPINE: &str = "Alpine:v3.19";

#[test]
fn a_version_below_the_fix_is_affected_and_the_fix_itself_is_not() {
    let built = Built::debian(&[advisory("DSA-1-1")
        .upstream(["CVE-2024-1"])
        .fixed(DEBIAN, "openssl", "3.0.11-1")
        .build()]);
    let findings = built.findings("openssl", "3.0.9-1");
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].vulnerability, "CVE-2024-1");
    assert_eq!(findings[0].advisories, ["DSA-1-1"]);
    assert_eq!(findings[0].fixed_version.as_deref(), Some("3.0.11-1"));
    assert_eq!(findings[0].purl, "pkg:deb/debian/openssl@3.0.9-1?arch=amd64&distro=debian-12");
    assert_eq!(built.findings("openssl", "3.0.11-1"), []);
    assert_eq!(built.findings("openssl", "3.0.11-1+b1"), []);
}

#[test]
fn packages_that_no_advisory_names_and_other_releases_are_not_affected() {
    let built = Built::debian(&[
        advisory("DSA-1-1").fixed(DEBIAN, "openssl", "3").build(),
        advisory("DSA-2-1").fixed("Debian:11", "curl", "9").build(),
    ]);
    assert_eq!(built.findings("zlib", "1"), []);
    assert_eq!(built.findings("curl", "1"), []);
}

#[test]
fn advisories_name_source_packages_and_source_versions() {
    let built = Built::debian(&[advisory("DSA-1-1")
        .upstream(["CVE-2024-1"])
        .fixed(DEBIAN, "openssl", "3.0.11-1")
        .build()]);
    let libssl = |source_version| built_from(deb("libssl3", "9:1+b7"), "openssl", source_version);
    let matches = built.matches(&debian("12"), &[libssl("3.0.9-1"), deb("libssl3", "3.0.9-1")]);
    assert_eq!(matches.findings.len(), 1);
    assert_eq!(
        (matches.findings[0].package.as_str(), matches.findings[0].version.as_str()),
        ("libssl3", "9:1+b7")
    );
    assert_eq!(built.matches(&debian("12"), &[libssl("3.0.11-1")]).findings, []);
}

#[test]
fn the_last_affected_version_is_affected_and_no_fix_is_made_up() {
    let built = Built::debian(&[advisory("X-1").last_affected(DEBIAN, "pkg", "2").build()]);
    assert_eq!(built.findings("pkg", "2").len(), 1);
    assert_eq!(built.findings("pkg", "2")[0].fixed_version, None);
    assert_eq!(built.findings("pkg", "2.1"), []);
}

#[test]
fn withdrawn_records_never_match_and_are_counted() {
    let built = Built::debian(&[
        advisory("DSA-1-1").affects_all(DEBIAN, "pkg").withdrawn("2024-02-01T00:00:00Z").build(),
        advisory("DSA-2-1").affects_all(DEBIAN, "other").field("withdrawn", Value::Null).build(),
    ]);
    assert_eq!(built.findings("pkg", "1"), []);
    assert_eq!(built.findings("other", "1").len(), 1);
    let family = &built.build.families[0];
    assert_eq!((family.records, family.advisories, family.withdrawn), (2, 1, 1));
}

#[test]
fn an_alias_pair_is_one_finding_that_keeps_both_advisories() {
    let built = Built::debian(&[
        advisory("A-1")
            .aliases(["CVE-2024-1"])
            .fixed(DEBIAN, "pkg", "4")
            .published("2024-03-01T00:00:00Z")
            .build(),
        advisory("B-1")
            .aliases(["GHSA-x"])
            .fixed(DEBIAN, "pkg", "3")
            .published("2024-02-01T00:00:00Z")
            .build(),
        advisory("C-1").aliases(["GHSA-x", "CVE-2024-1"]).affects_all(DEBIAN, "pkg").build(),
        advisory("D-1").field("related", json!(["CVE-2024-1"])).affects_all(DEBIAN, "pkg").build(),
    ]);
    let findings = built.findings("pkg", "1");
    assert_eq!(findings.len(), 2, "{findings:?}");
    let merged = &findings[0];
    assert_eq!(merged.vulnerability, "CVE-2024-1");
    assert_eq!(merged.advisories, ["A-1", "B-1", "C-1"]);
    assert_eq!(merged.aliases, ["A-1", "B-1", "C-1", "GHSA-x"]);
    assert_eq!(merged.fixed_version.as_deref(), Some("3"));
    assert_eq!(merged.published_at, Some(time("2024-02-01T00:00:00Z")));
    assert_eq!((findings[1].vulnerability.as_str(), findings[1].aliases.len()), ("D-1", 0));
}

#[test]
fn only_fixes_above_the_installed_version_are_offered() {
    let built = Built::debian(&[
        advisory("A-1")
            .upstream(["CVE-1"])
            .range(DEBIAN, "pkg", [("introduced", "0"), ("fixed", "2"), ("introduced", "5"), ("fixed", "7")])
            .build(),
        advisory("A-2").upstream(["CVE-1"]).fixed(DEBIAN, "pkg", "9").build(),
    ]);
    assert_eq!(built.findings("pkg", "6")[0].fixed_version.as_deref(), Some("7"));
    assert_eq!(built.findings("pkg", "3")[0].advisories, ["A-2"]);
    assert_eq!(built.findings("pkg", "3")[0].fixed_version.as_deref(), Some("9"));
}

#[test]
fn an_advisory_with_several_upstream_cves_is_one_finding_for_each() {
    let built = Built::debian(&[
        advisory("DSA-1-1").upstream(["CVE-2024-1", "CVE-2024-2"]).fixed(DEBIAN, "pkg", "3").build(),
        advisory("DLA-1-1").upstream(["CVE-2024-2"]).fixed(DEBIAN, "pkg", "2").build(),
    ]);
    let findings = built.findings("pkg", "1");
    let seen: Vec<_> =
        findings.iter().map(|f| (f.vulnerability.as_str(), f.advisories.len(), f.aliases.len())).collect();
    assert_eq!(seen, [("CVE-2024-1", 1, 0), ("CVE-2024-2", 2, 0)]);
    assert_eq!(findings[1].fixed_version.as_deref(), Some("2"));
}

#[test]
fn every_installed_package_of_a_source_has_its_own_findings() {
    let built =
        Built::debian(&[advisory("DSA-1-1").upstream(["CVE-1"]).affects_all(DEBIAN, "glibc").build()]);
    let packages = ["libc6", "libc-bin"].map(|name| built_from(deb(name, "2.36-9"), "glibc", "2.36-9"));
    let findings = built.matches(&debian("12"), &packages).findings;
    assert_eq!(
        findings.iter().map(|finding| finding.package.as_str()).collect::<Vec<_>>(),
        ["libc-bin", "libc6"]
    );
}

#[test]
fn alpine_packages_are_matched_by_origin_and_release() {
    let record = advisory("ALPINE-CVE-2024-1").upstream(["CVE-2024-1"]);
    let record =
        record.fixed(ALPINE, "openssl", "3.1.4-r1").fixed("Alpine:v3.18", "openssl", "3.1.9-r0").build();
    let built = Built::of(&[("Alpine", &[record])]);
    let libssl = |version| built_from(package(PackageType::Apk, "libssl3", version), "openssl", version);
    let count = |release, version| {
        let matches = built.matches(&distribution("alpine", release), &[libssl(version)]);
        assert_eq!((matches.coverage, matches.problems), (Coverage::Full, vec![]));
        matches.findings.len()
    };
    assert_eq!(
        (count("3.19.1", "3.1.4-r0"), count("3.19.1", "3.1.4-r1"), count("3.18.0", "3.1.4-r1")),
        (1, 0, 1)
    );
}

#[test]
fn a_version_that_cannot_be_ordered_is_a_problem_and_not_a_clean_package() {
    let built = Built::debian(&[
        advisory("DSA-1-1").fixed(DEBIAN, "pkg", "2").build(),
        advisory("DSA-2-1").fixed(DEBIAN, "pkg", "3").build(),
    ]);
    let matches = built.matches(&debian("12"), &[deb("pkg", "not a version")]);
    assert_eq!((matches.findings.len(), matches.problems.len()), (0, 1), "{:?}", matches.problems);
    assert_eq!(matches.problems[0].subject, "pkg not a version");
    assert!(matches.problems[0].reason.starts_with("failed to order"), "{:?}", matches.problems);
}

#[test]
fn an_advisory_that_cannot_be_ordered_is_a_problem_of_the_build_and_of_the_package() {
    let built = Built::debian(&[advisory("DSA-1-1").fixed(DEBIAN, "pkg", "2 or so").build()]);
    assert_eq!(built.build.families[0].problems[0].subject, "DSA-1-1");
    let matches = built.matches(&debian("12"), &[deb("pkg", "1")]);
    assert_eq!((matches.findings.len(), matches.problems.len()), (0, 1));
    assert_eq!(matches.problems[0].subject, "pkg 1, DSA-1-1");
}

#[test]
fn a_release_or_distribution_without_advisories_is_unsupported() {
    let built = Built::debian(&[advisory("DSA-1-1").affects_all(DEBIAN, "pkg").build()]);
    let rolling = Distribution { id: "debian".to_owned(), ..Distribution::default() };
    for distribution in [debian("99"), distribution("fedora", "42"), rolling] {
        for packages in [vec![deb("pkg", "1")], vec![]] {
            let matches = built.matches(&distribution, &packages);
            assert!(matches!(matches.coverage, Coverage::Unsupported { .. }), "{distribution:?} {matches:?}");
            assert_eq!(matches.findings, []);
        }
    }
    let nowhere = match_packages(&built.indexes(), None, &[deb("pkg", "1")]).unwrap();
    assert!(matches!(nowhere.coverage, Coverage::Unsupported { .. }));
}

#[test]
fn packages_without_advisories_beside_covered_ones_are_a_problem() {
    let built = Built::debian(&[advisory("DSA-1-1").affects_all(DEBIAN, "pkg").build()]);
    let matches =
        built.matches(&debian("12"), &[deb("pkg", "1"), package(PackageType::Apk, "busybox", "1-r0")]);
    assert_eq!((matches.coverage, matches.findings.len()), (Coverage::Full, 1));
    assert_eq!(matches.problems[0].reason, "there are no advisories for apk packages of debian 12");
}

#[test]
fn packages_of_kinds_without_advisories_are_never_clean() {
    let reason = "there are no advisories for conda packages";
    let conda = || package(PackageType::Conda, "numpy", "1.21.0");
    let built = Built::debian(&[advisory("DSA-1-1").affects_all(DEBIAN, "pkg").build()]);
    let beside = built.matches(&debian("12"), &[deb("pkg", "1"), conda()]);
    assert_eq!((beside.coverage, beside.problems[0].reason.as_str()), (Coverage::Full, reason));
    let alone = built.matches(&debian("12"), &[conda()]);
    assert_eq!(alone.coverage, Coverage::Unsupported { reason: reason.to_owned() });
}

#[test]
fn packages_whose_index_is_not_there_are_never_clean() {
    let npm = || package(PackageType::Npm, "lodash", "4.17.4");
    let built = Built::debian(&[advisory("DSA-1-1").affects_all(DEBIAN, "pkg").build()]);
    let beside = built.matches(&debian("12"), &[deb("pkg", "1"), npm()]);
    assert_eq!((beside.coverage, beside.findings.len()), (Coverage::Full, 1), "what is known counts");
    assert_eq!(beside.problems[0].reason, "there are no advisories yet for npm");
    let alone = built.matches(&debian("12"), &[npm()]);
    assert_eq!(alone.coverage, Coverage::Missing { families: vec!["npm"] });
}

#[test]
fn an_index_that_is_not_there_is_missing_rather_than_clean() {
    let matches = match_packages(&IndexSet::default(), Some(&debian("12")), &[deb("pkg", "1")]).unwrap();
    assert_eq!(matches.coverage, Coverage::Missing { families: vec!["debian"] });
    assert_eq!(families_for(Some(&distribution("alpine", "3.19.1")), &[]), ["alpine"]);
    assert_eq!(families_for(Some(&distribution("fedora", "42")), &[deb("pkg", "1")]), Vec::<&str>::new());
}

#[test]
fn an_advisory_without_a_release_is_about_every_covered_release() {
    let built = Built::debian(&[
        advisory("DSA-1-1").fixed(DEBIAN, "other", "1").build(),
        advisory("DSA-2-1").fixed("Debian", "pkg", "2").build(),
    ]);
    assert_eq!(built.findings("pkg", "1").len(), 1);
    let matches = built.matches(&debian("11"), &[deb("pkg", "1")]);
    assert!(matches!(matches.coverage, Coverage::Unsupported { .. }));
}
