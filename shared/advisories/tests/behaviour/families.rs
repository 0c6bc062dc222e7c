//! What is particular to one family: under which names and releases its advisories stand, and what of them counts.

use serde_json::{Value, json};
use tempfile::TempDir;
use tidewatch_advisories::query::Question;
use tidewatch_advisories::{Coverage, Matches};
use tidewatch_core::Severity;
use tidewatch_core::package::{Distribution, Package, PackageType};
use tidewatch_testkit::advisory::AdvisoryBuilder;

use crate::set_up::{Built, advisory, built_from, deb, distribution, package};

fn rpm(name: &str, version: &str) -> Package {
    package(PackageType::Rpm, name, version)
}

/// The vulnerabilities of the package, with nothing in the way.
fn found(built: &Built, distribution: &Distribution, package: &Package) -> Vec<String> {
    let Matches { findings, problems, coverage } = built.matches(distribution, std::slice::from_ref(package));
    assert_eq!((coverage, problems), (Coverage::Full, vec![]));
    findings.into_iter().map(|finding| finding.vulnerability).collect()
}

/// The ids that a question for the package is answered with.
fn answered(built: &Built, family: &str, ecosystem: &str, name: &str, version: &str) -> Vec<String> {
    let answer = Question::new(ecosystem, name, version).unwrap().answer(&built.index(family)).unwrap();
    assert_eq!(answer.problems, []);
    answer.ids.into_iter().collect()
}

#[test]
fn an_image_without_ubuntu_pro_is_vulnerable_to_what_only_pro_fixes() {
    let record = advisory("UBUNTU-CVE-1").upstream(["CVE-1"]);
    let record = record.fixed("Ubuntu:Pro:18.04:LTS", "openssl", "1.1.1-1ubuntu2.1~18.04.23+esm4").build();
    let other = advisory("UBUNTU-CVE-2").upstream(["CVE-2"]).fixed("Ubuntu:18.04:LTS", "curl", "2").build();
    let built = Built::of(&[("Ubuntu", &[record, other])]);
    let ubuntu = distribution("ubuntu", "18.04");
    let of = |version: &str| found(&built, &ubuntu, &deb("openssl", version));
    assert_eq!(of("1.1.1-1ubuntu2.1~18.04.23"), ["CVE-1"]);
    assert_eq!(of("1.1.1-1ubuntu2.1~18.04.23+esm3"), ["CVE-1"]);
    assert_eq!(of("1.1.1-1ubuntu2.1~18.04.23+esm4"), Vec::<String>::new());
}

#[test]
fn where_ubuntu_speaks_of_both_the_origin_of_the_package_decides() {
    let record = advisory("UBUNTU-CVE-1").upstream(["CVE-1"]).fixed("Ubuntu:20.04:LTS", "pkg", "1-1ubuntu2");
    let built =
        Built::of(&[("Ubuntu", &[record.fixed("Ubuntu:Pro:20.04:LTS", "pkg", "1-1ubuntu2+esm1").build()])]);
    let ubuntu = distribution("ubuntu", "20.04");
    let of = |version: &str| found(&built, &ubuntu, &deb("pkg", version)).len();
    assert_eq!(
        [of("1-1ubuntu1"), of("1-1ubuntu2"), of("1-1ubuntu1+esm9"), of("1-1ubuntu2+esm1")],
        [1, 0, 1, 0]
    );
}

#[test]
fn every_product_of_a_service_pack_counts_and_other_packs_do_not() {
    let of = |id: &str, product: &str, name: &str| {
        advisory(id)
            .upstream([&id.replace("SUSE-SU", "CVE")])
            .fixed(&format!("SUSE:{product}"), name, "2-1")
            .build()
    };
    let built = Built::of(&[(
        "SUSE",
        &[
            of("SUSE-SU-1", "Linux Enterprise Module for Basesystem 15 SP5", "glibc"),
            of("SUSE-SU-2", "Linux Enterprise Server 15 SP5-LTSS", "glibc"),
            of("SUSE-SU-3", "Linux Enterprise Server 15 SP4-LTSS", "glibc"),
            of("SUSE-SU-4", "Linux Enterprise Micro 5.5", "glibc"),
        ],
    )]);
    let package = built_from(rpm("glibc-locale", "1-1"), "glibc", "1-1");
    assert_eq!(found(&built, &distribution("sles", "15.5"), &package), ["CVE-1", "CVE-2"]);
    assert_eq!(found(&built, &distribution("sles", "15.4"), &package), ["CVE-3"]);
    assert_eq!(found(&built, &distribution("sle-micro", "5.5"), &package), ["CVE-4"]);
}

#[test]
fn the_repositories_of_red_hat_are_one_release_and_names_are_those_of_binaries() {
    let record =
        advisory("RHSA-1").upstream(["CVE-1"]).field("summary", json!("Important: openssl security update"));
    let record = record.fixed("Red Hat:enterprise_linux:9::appstream", "openssl-devel", "1:3.0.7-27.el9");
    let record = record.fixed("Red Hat:enterprise_linux:9::baseos", "openssl-libs", "1:3.0.7-27.el9").build();
    let eus = advisory("RHSA-2")
        .upstream(["CVE-2"])
        .affects_all("Red Hat:rhel_eus:9.2::baseos", "openssl-libs")
        .build();
    let built = Built::of(&[("Red Hat", &[record, eus])]);
    let rhel = distribution("rhel", "9.4");
    let of = |name: &str, version: &str| {
        found(&built, &rhel, &built_from(rpm(name, version), "openssl", "3.0.7-20.el9"))
    };
    assert_eq!(
        (of("openssl-libs", "1:3.0.7-20.el9"), of("openssl-devel", "1:3.0.7-20.el9")),
        (vec!["CVE-1".to_owned()], vec!["CVE-1".to_owned()])
    );
    assert_eq!(of("openssl-libs", "1:3.0.7-27.el9").len() + of("openssl", "1:3.0.7-20.el9").len(), 0);
    assert_eq!(
        built.matches(&rhel, &[rpm("openssl-libs", "1:3.0.7-20.el9")]).findings[0].severity,
        Severity::High
    );
}

#[test]
fn almalinux_names_what_it_fixes_as_related_and_rates_it_in_the_summary() {
    let record = |id: &str, summary: &str, related: Value| {
        let record = advisory(id).field("summary", json!(summary)).field("related", related);
        record.fixed("AlmaLinux:9", "systemd", "250-12.el9_1.3").build()
    };
    let built = Built::of(&[(
        "AlmaLinux",
        &[
            record(
                "ALSA-2023:0954",
                "Moderate: systemd security update",
                json!(["CVE-2022-4415", "CVE-2022-45873"]),
            ),
            record("ALBA-2023:1", "systemd bug fix and enhancement update", json!([])),
        ],
    )]);
    let alma = distribution("almalinux", "9.4");
    let findings = built.matches(&alma, &[rpm("systemd", "250-12.el9")]).findings;
    let seen: Vec<_> = findings.iter().map(|f| (f.vulnerability.as_str(), f.severity)).collect();
    assert_eq!(seen, [("CVE-2022-4415", Severity::Medium), ("CVE-2022-45873", Severity::Medium)]);
    let ids = answered(&built, "almalinux", "AlmaLinux:9", "systemd", "250-12.el9");
    assert_eq!(ids, ["ALBA-2023:1", "ALSA-2023:0954"], "a bug fix is an answer, but no vulnerability");
}

#[test]
fn rocky_linux_is_compared_by_the_source_package_without_its_epoch() {
    let record =
        advisory("RLSA-1").upstream(["CVE-1"]).fixed("Rocky Linux:9", "perl", "4:5.32.1-481.el9").build();
    let built = Built::of(&[("Rocky Linux", &[record])]);
    let rocky = distribution("rocky", "9.3");
    let errno = |version: &str| {
        found(&built, &rocky, &built_from(rpm("perl-Errno", "0:1.30-481.el9"), "perl", version))
    };
    assert_eq!((errno("5.32.1-480.el9").len(), errno("5.32.1-481.el9").len()), (1, 0));
    let perl = |version: &str| answered(&built, "rocky", "Rocky Linux:9", "perl", version).len();
    assert_eq!((perl("4:5.32.1-480.el9"), perl("4:5.32.1-481.el9"), perl("5.32.1-481.el9")), (1, 0, 0));
}

#[test]
fn the_last_affected_version_of_azure_linux_has_no_tag_and_the_installed_one_has() {
    let record =
        advisory("AZL-1").upstream(["CVE-1"]).last_affected("Azure Linux:3", "zlib", "1.3.1-1").build();
    let built = Built::of(&[("Azure Linux", &[record])]);
    let azure = distribution("azurelinux", "3.0");
    let of =
        |release: &str| found(&built, &azure, &built_from(rpm("zlib-devel", release), "zlib", release)).len();
    assert_eq!((of("1.3.1-1.azl3"), of("1.3.1-2.azl3")), (1, 0));
}

#[test]
fn the_last_affected_version_of_a_bitnami_component_is_affected_in_every_revision() {
    let record = advisory("BIT-pkg-1").aliases(["CVE-1"]).affected(json!({
        "package": {"ecosystem": "Bitnami", "name": "pkg"},
        "ranges": [{"type": "SEMVER", "events": [{"introduced": "17.0.0-0"}, {"last_affected": "17.2.0"}]}],
    }));
    let built = Built::of(&[("Bitnami", &[record.build()])]);
    let of = |version: &str| answered(&built, "bitnami", "Bitnami", "pkg", version).len();
    let versions = ["16.9.9-9", "17.0.0", "17.2.0", "17.2.0-8", "17.2.1", "17.2.1-0"];
    assert_eq!(versions.map(of), [0, 1, 1, 1, 0, 0]);
}

#[test]
fn notices_and_what_is_about_other_systems_are_answers_but_do_not_count() {
    let record = |id: &str, specific: Value| {
        let mut affected = json!({
            "package": {"ecosystem": "crates.io", "name": "tokio"},
            "ranges": [{"type": "SEMVER", "events": [{"introduced": "0.0.0-0"}, {"fixed": "2.0.0"}]}],
        });
        affected.as_object_mut().unwrap().extend(specific.as_object().unwrap().clone());
        advisory(id).affected(affected).build()
    };
    let informational = |kind: &str| json!({"database_specific": {"informational": kind}});
    let systems = |systems: &[&str]| json!({"ecosystem_specific": {"affects": {"os": systems}}});
    let built = Built::of(&[(
        "crates.io",
        &[
            record("RUSTSEC-1", informational("unmaintained")),
            record("RUSTSEC-2", informational("unsound")),
            record("RUSTSEC-3", systems(&["windows"])),
            record("RUSTSEC-4", systems(&["linux", "windows"])),
            record("RUSTSEC-5", json!({})),
        ],
    )]);
    let tokio = package(PackageType::Cargo, "tokio", "1.0.0");
    assert_eq!(found(&built, &distribution("debian", "12"), &tokio), ["RUSTSEC-4", "RUSTSEC-5"]);
    assert_eq!(answered(&built, "crates-io", "crates.io", "tokio", "1.0.0").len(), 5);
}

#[test]
fn a_malicious_package_is_critical_whatever_is_said_of_it() {
    let low = "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N";
    let record =
        AdvisoryBuilder::new("MAL-2024-1").severity("CVSS_V3", low).affects_all("npm", "evil").build();
    let built = Built::of(&[("npm", &[record])]);
    let evil = package(PackageType::Npm, "evil", "1.0.0");
    assert_eq!(
        built.matches(&distribution("debian", "12"), &[evil]).findings[0].severity,
        Severity::Critical
    );
}

#[test]
fn names_are_found_in_every_spelling_that_means_the_same() {
    let python = advisory("PYSEC-1").fixed("PyPI", "zope.interface", "5").build();
    let nuget = advisory("GHSA-1").fixed("NuGet", "Newtonsoft.Json", "13.0.1").build();
    let php =
        advisory("GHSA-2").fixed("Packagist:https://packages.drupal.org/8", "Drupal/Core", "10.0.0").build();
    let built = Built::of(&[("PyPI", &[python]), ("NuGet", &[nuget]), ("Packagist", &[php])]);
    for (package_type, name) in [
        (PackageType::Pypi, "Zope_Interface"),
        (PackageType::Nuget, "newtonsoft.json"),
        (PackageType::Composer, "drupal/core"),
    ] {
        let package = package(package_type, name, "1.0.0");
        assert_eq!(found(&built, &distribution("alpine", "3.19.1"), &package).len(), 1, "{name}");
    }
}

#[test]
fn an_advisory_in_two_files_counts_with_what_either_says() {
    let folder = TempDir::new().unwrap();
    let first = advisory("ALSA-1").fixed("AlmaLinux:8", "curl", "7-1.el8");
    let second =
        advisory("ALSA-1").fixed("AlmaLinux:9", "curl", "8-1.el9").fixed("AlmaLinux:8", "libcurl", "7-1.el8");
    let archive = folder.path().join("osv/AlmaLinux");
    std::fs::create_dir_all(&archive).unwrap();
    for (name, record) in [("8.json", first), ("9.json", second)] {
        std::fs::write(archive.join(name), record.build().to_string()).unwrap();
    }
    let built = Built::compile(folder);
    let of = |release: &str, name: &str| {
        found(&built, &distribution("almalinux", release), &rpm(name, "6-1")).len()
    };
    assert_eq!(
        (of("8.10", "curl"), of("8.10", "libcurl"), of("9.4", "curl"), of("9.4", "libcurl")),
        (1, 1, 1, 0)
    );
}

#[test]
fn what_is_said_in_an_unknown_way_is_a_problem_unless_something_else_says_it() {
    let unknown = json!({"type": "VERS", "events": [{"introduced": "0"}]});
    let affected = |versions: Value, ranges: Value| json!({"package": {"ecosystem": "Debian:12", "name": "pkg"}, "versions": versions, "ranges": ranges});
    let built = Built::debian(&[
        advisory("A-1").affected(affected(json!(["1"]), json!([unknown.clone()]))).build(),
        advisory("A-2").affected(affected(json!([]), json!([unknown]))).build(),
        advisory("A-3")
            .affected(affected(json!([]), json!([{"type": "ECOSYSTEM", "events": [{"fixed": "2"}]}])))
            .build(),
    ]);
    let debian = distribution("debian", "12");
    assert_eq!(built.matches(&debian, &[deb("pkg", "1")]).findings[0].advisories, ["A-1"]);
    let problems = &built.build.families[0].problems;
    let seen: Vec<_> =
        problems.iter().map(|problem| (problem.subject.as_str(), problem.reason.as_str())).collect();
    let says_nothing = "it says of no version whether it is affected";
    assert_eq!(seen, [("A-2", says_nothing), ("A-3", "a range has no beginning"), ("A-3", says_nothing)]);
}

#[test]
fn a_rolling_distribution_has_advisories_without_a_release() {
    let record = advisory("CGA-1").upstream(["CVE-1"]).fixed("Wolfi", "openssl", "3.3.0-r2");
    let built = Built::of(&[("Wolfi", &[record.fixed("Chainguard", "openssl", "3.3.0-r3").build()])]);
    let wolfi = Distribution { id: "wolfi".to_owned(), ..Distribution::default() };
    let libssl = built_from(package(PackageType::Apk, "libssl3", "3.3.0-r1"), "openssl", "3.3.0-r1");
    assert_eq!(found(&built, &wolfi, &libssl), ["CVE-1"]);
    let fixed = built_from(package(PackageType::Apk, "libssl3", "3.3.0-r2"), "openssl", "3.3.0-r2");
    assert_eq!(found(&built, &wolfi, &fixed), Vec::<String>::new());
}

#[test]
fn the_standard_library_of_go_is_compared_by_the_number_of_its_release() {
    let record = |id: &str, name: &str, fix: &str| {
        advisory(id)
            .affected(json!({
                "package": {"ecosystem": "Go", "name": name},
                "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": fix}]}],
            }))
            .build()
    };
    let built = Built::of(&[(
        "Go",
        &[record("GO-1", "stdlib", "1.21.4"), record("GO-2", "golang.org/x/net", "0.17.0")],
    )]);
    let of = |name: &str, version: &str| {
        let package = package(PackageType::Golang, name, version);
        found(&built, &distribution("debian", "12"), &package).len()
    };
    assert_eq!([of("stdlib", "go1.21.3"), of("stdlib", "go1.21.4"), of("stdlib", "go1.21rc2")], [1, 0, 1]);
    assert_eq!([of("golang.org/x/net", "v0.16.0"), of("golang.org/x/net", "v0.17.0")], [1, 0]);
}
