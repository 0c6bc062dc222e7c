//! Which of several ratings decides.

use serde_json::json;
use tidewatch_advisories::ScoreTable;
use tidewatch_advisories::record::Record;
use tidewatch_core::Severity;
use tidewatch_testkit::advisory::AdvisoryBuilder;

use crate::set_up::{Built, DEBIAN, advisory};

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
