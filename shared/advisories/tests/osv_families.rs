//! Every family on real data: what is read, what cannot be used and why, and that the index says what the records say,
//! read here without the crate's own reader.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a broken set-up ends a test, and a skipped one says so"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value;
use tempfile::TempDir;
use tidewatch_advisories::evaluate::Judgement;
use tidewatch_advisories::index::{Relevance, Statement};
use tidewatch_advisories::severity::Basis;
use tidewatch_advisories::{Advisory, Build, BuildOptions, Family, Index, build, canonical};
use tidewatch_core::Severity;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/osv");

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

/// Of so many listed versions one is looked at. There are 600,000 of them, each held against several others.
const SAMPLE: usize = if cfg!(debug_assertions) { 16 } else { 1 };

/// The indexes built from the data, once for all tests; `None`, and a word about it, where there are no data.
fn built() -> Option<&'static (TempDir, Build)> {
    static BUILT: OnceLock<Option<(TempDir, Build)>> = OnceLock::new();
    BUILT.get_or_init(compile).as_ref()
}

fn compile() -> Option<(TempDir, Build)> {
    let source = PathBuf::from(DATA);
    if !source.exists() {
        tidewatch_testkit::skip::skipped(format_args!("{DATA} is not there"));
        return None;
    }
    let folder = TempDir::new().unwrap();
    let options =
        BuildOptions { output: folder.path().to_owned(), now: "2026-11-22T00:00:00Z".parse().unwrap() };
    let build = build(&source, &options, &mut |_| {}).unwrap();
    Some((folder, build))
}

fn index(family: &str) -> Option<Index> {
    let family = built()?.1.families.iter().find(|built| built.family == family).unwrap();
    Some(Index::open(&family.path).unwrap())
}

/// The records of an ecosystem's archive, of each what is looked at here; read once for all tests.
fn records(ecosystem: &'static str) -> Arc<Vec<Value>> {
    static RECORDS: Mutex<BTreeMap<&str, Arc<Vec<Value>>>> = Mutex::new(BTreeMap::new());
    Arc::clone(RECORDS.lock().unwrap().entry(ecosystem).or_insert_with(|| Arc::new(read(ecosystem))))
}

fn read(ecosystem: &str) -> Vec<Value> {
    let path = Path::new(DATA).join(ecosystem).join("all.zip");
    let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let kept = ["id", "summary", "withdrawn", "affected"];
    let count = archive.len();
    let record = |number| {
        let mut record: Value = serde_json::from_reader(archive.by_index(number).unwrap()).unwrap();
        record.as_object_mut().unwrap().retain(|field, _| kept.contains(&field.as_str()));
        record
    };
    (0..count).map(record).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Every advisory of the index.
fn advisories(index: &Index) -> Vec<Advisory> {
    let of = |(ecosystem, name): (String, String)| {
        let statements = index.statements(&ecosystem, &name).unwrap().unwrap();
        statements.read().unwrap().iter().map(|statement| statement.advisory).collect::<Vec<_>>()
    };
    let numbers: BTreeSet<_> = index.packages().unwrap().into_iter().flat_map(of).collect();
    numbers.into_iter().map(|number| index.advisory(number).unwrap()).collect()
}

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

/// The versions of which the entries of a record for one package say that they are affected: where a range begins, if it
/// does not end there as well, which version it ends with, and the listed ones. Of several last versions in one range only
/// the first ends it.
fn affected_versions(entries: &[&Value]) -> Vec<String> {
    let of_range = |range: &&Value| {
        let events = || list(&range["events"]);
        let is_fixed = |version: &&str| events().any(|event| event["fixed"] == **version);
        let has_one_end = events().filter(|event| event["last_affected"].is_string()).count() == 1;
        let of_event = |event: &Value| {
            let introduced =
                event["introduced"].as_str().filter(|version| *version != "0" && !is_fixed(version));
            let last = event["last_affected"].as_str().filter(|_| has_one_end);
            introduced.or(last).map(str::to_owned)
        };
        events().filter_map(of_event).collect::<Vec<_>>()
    };
    let listed = entries.iter().flat_map(|entry| list(&entry["versions"]).step_by(SAMPLE));
    let listed = listed.map(|version| text(version).to_owned());
    ranges(entries).iter().flat_map(of_range).chain(listed).collect()
}

/// The versions that the one range of a record for one package calls fixed.
fn fixed_versions(entries: &[&Value]) -> Vec<String> {
    let is_alone = entries.len() == 1 && list(&entries[0]["versions"]).count() == 0;
    let ranges = ranges(entries);
    let [range] = ranges.as_slice() else { return Vec::new() };
    let fixed = list(&range["events"]).filter_map(|event| event["fixed"].as_str().map(str::to_owned));
    fixed.filter(|_| is_alone).collect()
}

fn ranges<'a>(entries: &[&'a Value]) -> Vec<&'a Value> {
    let all = entries.iter().flat_map(|entry| list(&entry["ranges"]));
    all.filter(|range| range["type"] != "GIT").collect()
}

/// By package and advisory, the entries of the advisory for the package.
type Entries<'a> = BTreeMap<(String, String), BTreeMap<&'a str, Vec<&'a Value>>>;

fn entries<'a>(family: &Family, records: &'a [Value]) -> Entries<'a> {
    let mut entries = Entries::new();
    for record in records.iter().filter(|record| record["withdrawn"].is_null()) {
        for entry in list(&record["affected"]) {
            let package = &entry["package"];
            let Some((of, ecosystem)) = canonical(text(&package["ecosystem"])) else { continue };
            if of.id == family.id {
                let name = (family.name)(text(&package["name"])).into_owned();
                entries
                    .entry((ecosystem, name))
                    .or_default()
                    .entry(text(&record["id"]))
                    .or_default()
                    .push(entry);
            }
        }
    }
    entries
}

/// For each family the number of `versions` of which its records say whether they are affected, and, for all, those of
/// which the index says something else.
fn compare_with_index(
    versions: fn(&[&Value]) -> Vec<String>,
    affected: bool,
) -> Option<(Vec<(&'static str, usize)>, Vec<String>)> {
    let (mut counts, mut wrong) = (Vec::new(), Vec::new());
    for built in &built()?.1.families {
        let family = Family::of_id(built.family).unwrap();
        let index = Index::open(&built.path).unwrap();
        let records = records(family.ecosystem);
        let mut count = 0;
        for ((ecosystem, name), by_advisory) in entries(family, &records) {
            let stored = index.statements(&ecosystem, &name).unwrap();
            let mut statements: BTreeMap<String, Vec<Statement<'_>>> = BTreeMap::new();
            for statement in stored.iter().flat_map(|stored| stored.read().unwrap()) {
                statements.entry(index.advisory_id(statement.advisory).unwrap()).or_default().push(statement);
            }
            for (id, entries) in by_advisory {
                let is_affected = |version: &String| {
                    let judge = |statement: &Statement<'_>| {
                        let version = (family.version)(version);
                        matches!(statement.judge(version, family.compare), Judgement::Affected { .. })
                    };
                    statements.get(id).is_some_and(|statements| statements.iter().any(judge))
                };
                let versions = versions(&entries);
                count += versions.len();
                let differs = versions.iter().filter(|version| is_affected(version) != affected);
                wrong.extend(differs.map(|version| format!("{id} {name} {version}")));
            }
        }
        counts.push((built.family, count));
    }
    Some((counts, wrong))
}

#[test]
fn every_version_that_a_record_calls_affected_is_affected() {
    let Some((counts, wrong)) = compare_with_index(affected_versions, true) else { return };
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
    let Some((counts, wrong)) = compare_with_index(fixed_versions, false) else { return };
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
        for statement in index.statements(&ecosystem, &name).unwrap().unwrap().read().unwrap() {
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
