//! Every family: what is read, what cannot be used and why, and that the index says what the records say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use serde_json::Value;
use tidewatch_advisories::index::Relevance;
use tidewatch_advisories::severity::Basis;
use tidewatch_advisories::{Advisory, Family, Index, kev};
use tidewatch_core::Severity;

use crate::comparison::{Comparison, SAMPLE, affected_versions, compare_with_index, fixed_versions};
use crate::data::{advisories, built, index, list, present, records, text};

/// What cannot be used of the data: versions and a vector with slips of the pen, ranges that end and do not begin, and
/// records that name a package and no version of it.
const PROBLEMS: [&str; 43] = [
    "alpine ALPINE-CVE-2016-7415: failed to order",
    "alpine ALPINE-CVE-2018-10981: failed to order",
    "alpine ALPINE-CVE-2018-10981: failed to order",
    "alpine ALPINE-CVE-2018-10981: failed to order",
    "alpine ALPINE-CVE-2018-10982: failed to order",
    "alpine ALPINE-CVE-2018-10982: failed to order",
    "alpine ALPINE-CVE-2018-10982: failed to order",
    "alpine ALPINE-CVE-2018-19486: failed to order",
    "alpine ALPINE-CVE-2018-8897: failed to order",
    "alpine ALPINE-CVE-2018-8897: failed to order",
    "alpine ALPINE-CVE-2018-8897: failed to order",
    "alpine ALPINE-CVE-2019-16056: failed to order",
    "alpine ALPINE-CVE-2019-16935: failed to order",
    "alpine ALPINE-CVE-2019-6975: failed to order",
    "alpine ALPINE-CVE-2019-6975: failed to order",
    "alpine ALPINE-CVE-2019-6975: failed to order",
    "bitnami BIT-mastodon-2026-47777: failed to order",
    "npm NSWG-ECO-504: failed to read",
    "npm RETIREJS-js-DWR-846: failed to order",
    "npm RETIREJS-js-jquery-548: failed to order",
    "npm RETIREJS-npm-ember-66: failed to order",
    "npm RETIREJS-npm-ember-67: failed to order",
    "npm RETIREJS-npm-ember-68: failed to order",
    "npm RETIREJS-npm-ember-69: failed to order",
    "npm RETIREJS-npm-ember-70: failed to order",
    "npm RETIREJS-npm-ember-71: failed to order",
    "npm RETIREJS-npm-ember-72: failed to order",
    "npm RETIREJS-npm-handlebars-45: failed to order",
    "npm RETIREJS-npm-handlebars-runtime-65: failed to order",
    "npm RETIREJS-npm-simple-server-435: failed to order",
    "pypi PYSEC-2012-42: no version",
    "pypi PYSEC-2017-149: no version",
    "pypi PYSEC-2019-257: no version",
    "pypi PYSEC-2022-43180: no version",
    "pypi PYSEC-2022-43181: no version",
    "pypi PYSEC-2024-261: no version",
    "pypi PYSEC-2025-73: no version",
    "pypi PYSEC-2025-75: no version",
    "pypi PYSEC-2025-76: no version",
    "pypi PYSEC-2025-77: no version",
    "pypi PYSEC-2026-4: no version",
    "rubygems GHSA-6226-h7ff-ch6c: a range has no beginning",
    "rubygems GHSA-6226-h7ff-ch6c: no version",
];

#[test]
fn every_record_is_read() {
    let Some((_, build)) = built() else { return };
    let count = |built: &tidewatch_advisories::BuiltFamily| {
        let packages: usize = Index::open(&built.path).unwrap().info().releases.values().sum();
        (built.family, built.records, built.advisories, built.withdrawn, packages)
    };
    let counts: Vec<_> = build.families.iter().map(count).collect();
    // Family, records, advisories, withdrawn records, packages by ecosystem.
    assert_eq!(
        counts,
        [
            ("almalinux", 5637, 5637, 0, 10543),
            ("alpine", 2438, 2438, 0, 1650),
            ("bitnami", 7444, 7444, 0, 177),
            ("crates-io", 1215, 1202, 13, 901),
            ("debian", 9385, 9385, 0, 4520),
            ("go", 4301, 4284, 17, 1369),
            ("maven", 6, 6, 0, 9),
            ("npm", 1389, 1389, 0, 457),
            ("packagist", 1588, 1588, 0, 350),
            ("pypi", 7086, 6806, 269, 1467),
            ("rubygems", 1204, 1203, 0, 448),
            ("ubuntu", 7, 5, 2, 14),
        ]
    );
    assert_eq!(build.problems, [], "of ecosystems without a family");
}

#[test]
fn what_cannot_be_used_is_told() {
    let Some((_, build)) = built() else { return };
    let mut told = Vec::new();
    for built in &build.families {
        told.extend(built.problems.iter().map(|problem| {
            let reason = problem.reason.split(['"', ':']).next().unwrap().trim();
            let reason = reason.strip_prefix("it says of no version").map_or(reason, |_| "no version");
            format!("{} {}: {reason}", built.family, problem.subject)
        }));
    }
    told.sort();
    assert_eq!(told, PROBLEMS);
}

#[test]
fn what_is_withdrawn_is_in_no_index() {
    let Some((_, build)) = built() else { return };
    for built in &build.families {
        let ecosystem = Family::of_id(built.family).unwrap().ecosystem;
        let records = records(ecosystem);
        let withdrawn: Vec<_> = records.iter().filter(|record| !record["withdrawn"].is_null()).collect();
        assert_eq!((withdrawn.len(), records.len()), (built.withdrawn, built.records));
        let indexed: BTreeSet<_> =
            advisories(&Index::open(&built.path).unwrap()).into_iter().map(|advisory| advisory.id).collect();
        assert!(withdrawn.iter().all(|record| !indexed.contains(text(&record["id"]))), "{ecosystem}");
        assert_eq!(indexed.len(), built.advisories, "{ecosystem}");
    }
}

#[test]
fn every_version_that_a_record_calls_affected_is_affected() {
    let Some(Comparison { counts, wrong }) = compare_with_index(affected_versions, true) else { return };
    // Where versions cannot be ordered, nothing is said; and of Bitnami's versions a number at the end is that of a build,
    // so that 1.24.0-0 is not older than 1.24.0, which has it fixed.
    let expected = [
        "BIT-golang-2024-45336 golang 1.24.0-0",
        "BIT-golang-2024-45341 golang 1.24.0-0",
        "BIT-golang-2025-22866 golang 1.24.0-0",
        "BIT-golang-2026-39822 golang 1.27.0-0",
        "BIT-golang-2026-42505 golang 1.27.0-0",
        "BIT-mastodon-2026-47777 mastodon nightly.2026-03-10.0",
        "RETIREJS-js-DWR-846 dwr 3",
        "RETIREJS-npm-ember-66 ember 1.3.0-*",
        "RETIREJS-npm-ember-67 ember 1.2.0-*",
        "RETIREJS-npm-ember-68 ember 1.4.0-*",
        "RETIREJS-npm-ember-69 ember 1.3.0-*",
        "RETIREJS-npm-ember-70 ember 1.2.0-*",
        "RETIREJS-npm-ember-71 ember 1.1.0-*",
        "RETIREJS-npm-ember-72 ember 1.0.0-*",
    ];
    assert_eq!(wrong, expected);
    assert_eq!(
        counts,
        [
            ("almalinux", 0),
            ("alpine", 0),
            ("bitnami", 16_296),
            ("crates-io", 1454),
            ("debian", 0),
            ("go", 2433),
            ("maven", 4),
            ("npm", 711),
            ("packagist", 5479),
            ("pypi", if SAMPLE == 1 { 585_016 } else { 45_059 }),
            ("rubygems", 994),
            ("ubuntu", if SAMPLE == 1 { 235 } else { 25 }),
        ]
    );
}

#[test]
fn no_version_that_a_record_calls_fixed_is_affected() {
    let Some(Comparison { counts, wrong }) = compare_with_index(fixed_versions, false) else { return };
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(
        counts,
        [
            ("almalinux", 60_489),
            ("alpine", 11_768),
            ("bitnami", 19_508),
            ("crates-io", 1001),
            ("debian", 10_940),
            ("go", 5288),
            ("maven", 5),
            ("npm", 1054),
            ("packagist", 495),
            ("pypi", 236),
            ("rubygems", 1831),
            ("ubuntu", 0),
        ]
    );
}

#[test]
fn the_versions_that_pypi_lists_are_those_of_its_ranges() {
    let Some(index) = index("pypi") else { return };
    let with_range = |affected: &&Value| list(&affected["ranges"]).any(|range| range["type"] == "ECOSYSTEM");
    let mut listed = 0;
    let mut ids = BTreeSet::new();
    for record in records("PyPI").iter().filter(|record| record["withdrawn"].is_null()) {
        for affected in list(&record["affected"]).filter(with_range) {
            listed += list(&affected["versions"]).count();
            ids.insert(text(&record["id"]).to_owned());
        }
    }
    // What a range holds is not in the index a second time.
    let mut beyond: BTreeMap<String, usize> = BTreeMap::new();
    for (ecosystem, name) in index.packages().unwrap() {
        for statement in
            index.statements(&ecosystem, &name).unwrap().unwrap().read().unwrap().map(Result::unwrap)
        {
            let id = index.advisory(statement.advisory).unwrap().id;
            if ids.contains(&id) && !statement.versions().is_empty() {
                *beyond.entry(id).or_default() += statement.versions().len();
            }
        }
    }
    // Their ranges are wrong, or others of their entries have none.
    let expected =
        [("PYSEC-2021-114", 1), ("PYSEC-2023-61", 6), ("PYSEC-2024-258", 22), ("PYSEC-2026-3486", 2)];
    assert_eq!(beyond, expected.map(|(id, count)| (id.to_owned(), count)).into());
    assert_eq!(listed, 579_374);
}

#[test]
fn almalinux_rates_in_the_first_word_of_the_summary() {
    let Some(index) = index("almalinux") else { return };
    let word = |record: &Value| match text(&record["summary"]).split(':').next().unwrap() {
        "Critical" => Some(Severity::Critical),
        "Important" => Some(Severity::High),
        "Moderate" => Some(Severity::Medium),
        "Low" => Some(Severity::Low),
        _ => None,
    };
    let words: BTreeMap<_, _> = records("AlmaLinux")
        .iter()
        .filter_map(|record| Some((text(&record["id"]).to_owned(), word(record)?)))
        .collect();
    let mut rated = BTreeSet::new();
    for Advisory { id, vulnerabilities, .. } in advisories(&index) {
        for vulnerability in vulnerabilities {
            let own =
                (vulnerability.rating.basis == Basis::Distribution).then_some(vulnerability.rating.severity);
            assert_eq!(own, words.get(&id).copied(), "{id}");
        }
        rated.extend(words.get(&id).map(|severity| (*severity, id)));
    }
    let count = |severity| rated.iter().filter(|(rated, _)| *rated == severity).count();
    let counts = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low].map(count);
    assert_eq!(counts, [34, 2362, 1889, 154]);
}

#[test]
fn what_does_not_count_is_told_from_what_does() {
    let count = |family: &str| {
        let advisories = advisories(&index(family)?);
        let ids = |relevance| -> usize {
            let of = advisories.iter().filter(|advisory| advisory.relevance == relevance);
            of.map(|advisory| &advisory.id).collect::<BTreeSet<_>>().len()
        };
        Some([ids(Relevance::Counts), ids(Relevance::Notice), ids(Relevance::OtherSystem)])
    };
    let (Some(crates), Some(alma), Some(debian)) = (count("crates-io"), count("almalinux"), count("debian"))
    else {
        return;
    };
    assert_eq!((crates, alma, debian), ([718, 466, 18], [4443, 1194, 0], [9385, 0, 0]));
}

#[test]
fn the_whole_catalogue_of_exploited_vulnerabilities_is_read() {
    let Some(path) = present("kev/known_exploited_vulnerabilities.json") else { return };
    let catalogue = kev::catalogue(File::open(path).unwrap()).unwrap();
    assert_eq!(catalogue.vulnerabilities, 1404);
    assert_eq!(catalogue.released_at.to_string(), "2025-08-25T17:04:19.9796Z");
    let since = catalogue.scores.known_exploited(&["CVE-2021-44228".to_owned()]);
    assert_eq!(since, Some("2021-12-10".parse().unwrap()));
}
