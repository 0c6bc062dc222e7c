//! Which of several ratings decides.

use std::io::Cursor;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidewatch_advisories::record::Record;
use tidewatch_advisories::{Index, IndexSet, ReadOptions, Reading, ScoreTable, kev, match_packages, nvd};
use tidewatch_core::Severity;
use tidewatch_core::package::{Package, PackageType};
use tidewatch_testkit::advisory::{AdvisoryBuilder, archive};

use crate::set_up::{Built, DEBIAN, advisory, deb, debian, distribution, package, time};

const V2: (&str, &str) = ("CVSS_V2", "AV:N/AC:L/Au:N/C:P/I:P/A:P");
const V30: (&str, &str) = ("CVSS_V3", "CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:U/C:L/I:L/A:N");
const V31: (&str, &str) = ("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H");
const V4: (&str, &str) = ("CVSS_V4", "CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N");

fn rated(scores: &[(&str, &str)]) -> AdvisoryBuilder {
    let record = advisory("X-1").upstream(["CVE-2024-1"]).affects_all(DEBIAN, "pkg");
    scores.iter().fold(record, |record, (kind, score)| record.severity(kind, score))
}

#[test]
fn the_newest_version_of_cvss_decides() {
    let severity = |scores: &[(&str, &str)]| Built::debian(&[rated(scores).build()]).severity();
    assert_eq!(severity(&[V2]), Severity::High);
    assert_eq!(severity(&[V2, V30]), Severity::Medium);
    assert_eq!(severity(&[V30, V31, V2]), Severity::Critical);
    assert_eq!(severity(&[V31, V4, V30]), Severity::Low);
    assert_eq!(severity(&[("Ubuntu", "high")]), Severity::Unspecified);
}

#[test]
fn the_distributions_own_rating_comes_before_cvss() {
    let severity = |urgency: &str| {
        let affected = json!({
            "package": {"ecosystem": DEBIAN, "name": "pkg"}, "versions": ["1"],
            "ecosystem_specific": {"urgency": urgency},
        });
        Built::debian(&[advisory("X-1").affected(affected).severity(V31.0, V31.1).build()]).severity()
    };
    assert_eq!(severity("unimportant"), Severity::Low);
    assert_eq!(severity("medium**"), Severity::Medium);
    assert_eq!(severity("not yet assigned"), Severity::Critical);
}

#[test]
fn the_score_of_a_cve_comes_from_any_ecosystem_and_before_the_databases_word() {
    let word = rated(&[]).field("database_specific", json!({"severity": "HIGH"})).build();
    assert_eq!(Built::debian(std::slice::from_ref(&word)).severity(), Severity::High);
    let nvd = advisory("CVE-2024-1").severity(V30.0, V30.1).build();
    assert_eq!(Built::of(&[("Debian", &[word, nvd])]).severity(), Severity::Medium);
    let affected =
        json!({"package": {"ecosystem": "PyPI", "name": "x"}, "severity": [{"type": V4.0, "score": V4.1}]});
    let pysec = advisory("PYSEC-1").aliases(["CVE-2024-1"]).affected(affected).build();
    let built = Built::of(&[("Debian", &[rated(&[]).build()]), ("PyPI", &[pysec])]);
    assert_eq!(built.severity(), Severity::Low);
}

#[test]
fn each_cve_of_an_advisory_has_its_own_score() {
    let dsa = advisory("DSA-1-1")
        .upstream(["CVE-2024-1", "CVE-2024-2", "CVE-2024-3"])
        .affects_all(DEBIAN, "pkg")
        .build();
    let cve = |id: &str, (kind, score): (&str, &str)| advisory(id).severity(kind, score).build();
    let built = Built::of(&[("Debian", &[dsa]), ("CVE", &[cve("CVE-2024-1", V31), cve("CVE-2024-2", V30)])]);
    let severities: Vec<_> = built.findings("pkg", "1").iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Critical, Severity::Medium, Severity::Unspecified]);
}

#[test]
fn stored_scores_are_merged_in_any_order_and_the_same_scores_are_the_same_bytes() {
    let table = |records: &[(&str, (&str, &str))]| {
        let mut table = ScoreTable::default();
        for (cve, (kind, score)) in records {
            let record = advisory(cve).severity(kind, score).build().to_string();
            table.add(&Record::from_json(record.as_bytes()).unwrap(), &mut Vec::new());
        }
        table
    };
    let merged = |tables: &[&ScoreTable]| {
        let mut merged = ScoreTable::default();
        for table in tables {
            merged.merge(ScoreTable::from_bytes(&table.to_bytes().unwrap()).unwrap());
        }
        merged
    };
    let (a, b) = (table(&[("CVE-1", V2), ("CVE-2", V31)]), table(&[("CVE-1", V30), ("CVE-3", V4)]));
    let whole = table(&[("CVE-3", V4), ("CVE-2", V31), ("CVE-1", V30), ("CVE-1", V2)]);
    assert_eq!((merged(&[&a, &b]), merged(&[&b, &a])), (whole.clone(), whole.clone()));
    assert_eq!(merged(&[&b, &a]).to_bytes().unwrap(), whole.to_bytes().unwrap());
    assert_ne!(a.to_bytes().unwrap(), whole.to_bytes().unwrap());
    assert!(ScoreTable::from_bytes(b"\xff").is_err());
}

#[test]
fn what_other_sources_know_of_a_cve_is_told_of_its_findings() {
    let dla = advisory("DLA-1-1").upstream(["CVE-2024-1"]).published("2024-01-01T00:00:00Z");
    let dsa = advisory("DSA-1-1").upstream(["CVE-2024-1", "CVE-2024-2"]).published("2024-03-01T00:00:00Z");
    let later = advisory("DSA-2-1").upstream(["CVE-2024-1"]).published("2024-04-01T00:00:00Z");
    let records = [
        dla.affects_all(DEBIAN, "pkg").build(),
        dsa.fixed(DEBIAN, "pkg", "3").build(),
        later.fixed(DEBIAN, "pkg", "2").build(),
    ];
    let options = ReadOptions::at(time("2026-01-01T00:00:00Z"));
    let reading = Reading::of_archive("Debian", Cursor::new(archive(&records)), &options).unwrap();
    let mut scores = reading.scores().clone();
    let exploited = json!({
        "dateReleased": "2025-08-25T17:04:19Z",
        "vulnerabilities": [{"cveID": "CVE-2024-1", "dateAdded": "2024-05-06"}],
    });
    scores.merge(kev::catalogue(exploited.to_string().as_bytes()).unwrap().scores);
    let metric = json!({"type": "Primary", "cvssData": {"vectorString": V31.1}});
    let cve = json!({"cve": {"id": "CVE-2024-2", "metrics": {"cvssMetricV31": [metric]}}});
    scores.merge(nvd::feed(json!({"vulnerabilities": [cve]}).to_string().as_bytes()).unwrap().scores);
    let scores = ScoreTable::from_bytes(&scores.to_bytes().unwrap()).unwrap();
    let folder = TempDir::new().unwrap();
    let family = reading.compile(&scores, folder.path()).unwrap().unwrap();
    let indexes: IndexSet = [Index::open(&family.path).unwrap()].into_iter().collect();
    let findings = match_packages(&indexes, Some(&debian("12")), &[deb("pkg", "1")]).unwrap().findings;
    let seen: Vec<_> =
        findings.iter().map(|f| (f.vulnerability.as_str(), f.severity, f.known_exploited)).collect();
    let day = Some("2024-05-06".parse().unwrap());
    let expected = [("CVE-2024-1", Severity::Unspecified, day), ("CVE-2024-2", Severity::Critical, None)];
    assert_eq!(seen, expected);
    let times: Vec<_> = findings.iter().map(|f| (f.published_at, f.fix_published_at)).collect();
    let at = |text| Some(time(text));
    let (first, fix) = (at("2024-01-01T00:00:00Z"), at("2024-03-01T00:00:00Z"));
    assert_eq!(times, [(first, fix), (fix, fix)]);
}

#[test]
fn a_distribution_rates_its_packages_in_its_own_way_and_that_counts_before_any_cvss() {
    let summary = |word: &str| json!({"summary": format!("{word}: openssl security update")});
    let specific = |word: &str| json!({"database_specific": {"severity": word}});
    let ubuntu = json!({"severity": [{"type": V30.0, "score": V30.1}, {"type": "Ubuntu", "score": "low"}]});
    let rpm = package(PackageType::Rpm, "pkg", "1-1");
    let cases: [(&str, &str, &str, &Package, Value, Severity); 9] = [
        ("AlmaLinux", "AlmaLinux:9", "almalinux 9.4", &rpm, summary("Important"), Severity::High),
        ("Rocky Linux", "Rocky Linux:9", "rocky 9.4", &rpm, summary("Critical"), Severity::Critical),
        ("Red Hat", "Red Hat:enterprise_linux:9::baseos", "rhel 9.4", &rpm, summary("Low"), Severity::Low),
        (
            "Red Hat",
            "Red Hat:enterprise_linux:9::baseos",
            "rhel 9.4",
            &rpm,
            summary("Red Hat Security Advisory"),
            Severity::Medium,
        ),
        ("Amazon Linux", "Amazon Linux:2023", "amzn 2023", &rpm, specific("Important"), Severity::High),
        ("openEuler", "openEuler:24.03", "openeuler 24.03", &rpm, specific("High"), Severity::High),
        ("Ubuntu", "Ubuntu:22.04:LTS", "ubuntu 22.04", &deb("pkg", "1"), ubuntu, Severity::Low),
        ("Azure Linux", "Azure Linux:3", "azurelinux 3.0", &rpm, specific("Low"), Severity::Medium),
        ("SUSE", "SUSE:Linux Enterprise Server 15 SP5", "sles 15.5", &rpm, specific("Low"), Severity::Medium),
    ];
    for (folder, ecosystem, image, package, fields, expected) in cases {
        let mut record =
            advisory("X-1").upstream(["CVE-1"]).affects_all(ecosystem, "pkg").severity(V30.0, V30.1).build();
        record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let (id, version) = image.split_once(' ').unwrap();
        let built = Built::of(&[(folder, &[record])]);
        let findings = built.matches(&distribution(id, version), std::slice::from_ref(package)).findings;
        assert_eq!(findings[0].severity, expected, "{ecosystem}");
    }
}
