//! What the index says of the versions that the records name, beside what those say.

use std::collections::BTreeMap;

use serde_json::Value;
use tidewatch_advisories::evaluate::Judgement;
use tidewatch_advisories::index::Statement;
use tidewatch_advisories::{Family, Index, canonical};

use crate::data::{built, list, records, text};

/// Of so many listed versions one is looked at. There are 600,000 of them, each held against several others.
pub(crate) const SAMPLE: usize = if cfg!(debug_assertions) { 16 } else { 1 };

/// The versions of which the entries of a record for one package say that they are affected: where a range begins, if it
/// does not end there as well, which version it ends with, and the listed ones. Of several last versions in one range only
/// the first ends it.
pub(crate) fn affected_versions(entries: &[&Value]) -> Vec<String> {
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
pub(crate) fn fixed_versions(entries: &[&Value]) -> Vec<String> {
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

/// What the index says of versions, beside the records.
pub(crate) struct Comparison {
    /// For each family the number of versions.
    pub(crate) counts: Vec<(&'static str, usize)>,
    /// Those of which the index says something else.
    pub(crate) wrong: Vec<String>,
}

/// Compares what the index says with what the records say, of the `versions` that those call `affected` or not.
pub(crate) fn compare_with_index(
    versions: fn(&[&Value]) -> Vec<String>,
    affected: bool,
) -> Option<Comparison> {
    let (mut counts, mut wrong) = (Vec::new(), Vec::new());
    for built in &built()?.1.families {
        let family = Family::of_id(built.family).unwrap();
        let index = Index::open(&built.path).unwrap();
        let records = records(family.ecosystem);
        let mut count = 0;
        for ((ecosystem, name), by_advisory) in entries(family, &records) {
            let stored = index.statements(&ecosystem, &name).unwrap();
            let mut statements: BTreeMap<String, Vec<Statement<'_>>> = BTreeMap::new();
            for statement in stored.iter().flat_map(|stored| stored.read().unwrap().map(Result::unwrap)) {
                statements
                    .entry(index.advisory_id(statement.advisory).unwrap().to_owned())
                    .or_default()
                    .push(statement);
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
    Some(Comparison { counts, wrong })
}
