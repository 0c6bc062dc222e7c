//! Recorded answers of the OSV service, compared with those of the indexes that are compiled of a snapshot of its data.
//! Every difference has one of three reasons, and each is proved from the records themselves.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidewatch_advisories::order::go;
use tidewatch_advisories::{Build, Family, Question, canonical};

use crate::data::{Recorded, built, indexes, list, recorded, records};

/// What the snapshot says of one id, read without the crate's own reader.
#[derive(Default)]
struct Known {
    /// Its aliases and what it is upstream of.
    aliases: BTreeSet<String>,
    /// The last day on which it was published or changed; none where the record leaves that open.
    changed_on: Option<String>,
    is_withdrawn: bool,
    /// It was converted for the snapshot from a database that the service does not carry.
    is_foreign: bool,
    /// The packages that it names, as (ecosystem, name).
    packages: BTreeSet<(String, String)>,
    /// The versions that fix it.
    fixes: BTreeSet<String>,
}

/// Why an id is in one of two answers and not in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// Of the service's: no record of the snapshot with that id or alias is about the package of that release. Of ours:
    /// the record comes from a database that the service does not carry.
    Absent,
    /// The record was published or changed after the answer was recorded.
    Later,
    /// The record is withdrawn.
    Withdrawn,
}

/// The day of the last recording.
const RECORDED: &str = "2026-08-21";
/// What ids of databases begin with that the service does not carry.
const FOREIGN: [&str; 5] = ["DEBCL-", "FOP-", "NSWG-ECO-", "RETIREJS-", "RUBYADV-"];

/// Every record of the snapshot by its id.
fn snapshot(build: &Build) -> BTreeMap<String, Known> {
    let ecosystems = build.families.iter().map(|built| Family::of_id(built.family).unwrap().ecosystem);
    let known = |record: &Value| (text(&record["id"]), known_of(record));
    ecosystems.flat_map(|ecosystem| records(ecosystem).iter().map(known).collect::<Vec<_>>()).collect()
}

fn known_of(record: &Value) -> Known {
    let ids = |field: &str| list(&record[field]).map(text).collect::<BTreeSet<_>>();
    let changed = [&record["modified"], &record["published"]].map(text).into_iter().max().unwrap_or_default();
    let affected = || list(&record["affected"]);
    let events =
        affected().flat_map(|affected| list(&affected["ranges"])).flat_map(|range| list(&range["events"]));
    let package = |affected: &Value| {
        let package = &affected["package"];
        (text(&package["ecosystem"]), text(&package["name"]))
    };
    Known {
        aliases: &ids("aliases") | &ids("upstream"),
        changed_on: changed.get(..10).filter(|day| *day > "0001-01-01").map(str::to_owned),
        is_withdrawn: record["withdrawn"].is_string(),
        is_foreign: FOREIGN.iter().any(|beginning| text(&record["id"]).starts_with(beginning))
            && record["database_specific"]["source"].is_string(),
        packages: affected().map(package).collect(),
        fixes: events.map(|event| text(&event["fixed"])).filter(|fix| !fix.is_empty()).collect(),
    }
}

/// A text; empty where there is none.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Compares versions of Go: all that is without a day comes from its database.
fn newest<'a>(fixes: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    fixes.max_by(|a, b| go::compare(a, b).unwrap())
}

/// Why the service's answer has `id` and ours has not.
fn why_not_ours(id: &str, recorded: &Recorded, snapshot: &BTreeMap<String, Known>) -> Option<Reason> {
    let mut with_id = snapshot.iter().filter(|(known, record)| *known == id || record.aliases.contains(id));
    let canonical_of = |ecosystem: &str| canonical(ecosystem).map(|(_, ecosystem)| ecosystem);
    let is_about = |record: &Known| {
        record.packages.iter().any(|(ecosystem, name)| {
            *name == recorded.name && canonical_of(ecosystem) == canonical_of(&recorded.ecosystem)
        })
    };
    if !with_id.clone().any(|(_, record)| is_about(record)) {
        return Some(Reason::Absent);
    }
    with_id.all(|(_, record)| record.is_withdrawn).then_some(Reason::Withdrawn)
}

/// Why our answer has `id` and the service's has not.
fn why_not_theirs(id: &str, recorded: &Recorded, snapshot: &BTreeMap<String, Known>) -> Option<Reason> {
    let record = &snapshot[id];
    if record.is_foreign {
        return Some(Reason::Absent);
    }
    // The answer was recorded when the newest record that it names was there, and by the day of the last recording.
    let named: Vec<_> = recorded.ids.iter().filter_map(|id| snapshot.get(id)).collect();
    let is_later = if let Some(day) = &record.changed_on {
        let days = named.iter().filter_map(|named| named.changed_on.as_ref());
        days.max().map_or(day.as_str() > RECORDED, |newest| day >= newest)
    } else {
        // Without a day: what fixes it was released after all that fixes what the answer names.
        let of_answer = newest(named.iter().flat_map(|named| &named.fixes));
        let own = newest(record.fixes.iter());
        own.zip(of_answer).is_some_and(|(own, answer)| go::compare(own, answer).unwrap().is_gt())
    };
    is_later.then_some(Reason::Later)
}

#[test]
fn every_difference_to_the_osv_service_has_a_reason() {
    let (Some((_, build)), Some(indexes), Some(answers)) = (built(), indexes(), recorded()) else { return };
    let snapshot = snapshot(build);
    let (mut lines, mut same, mut reasons, mut wrong) = (0, 0, BTreeMap::new(), Vec::new());
    for (line, recorded) in answers {
        let question = Question::new(&recorded.ecosystem, &recorded.name, &recorded.version);
        let index = question.as_ref().and_then(|question| indexes.get(question.family().id));
        let ours = question.zip(index).map(|(question, index)| question.answer(index).unwrap());
        let ours = ours.unwrap_or_default();
        assert_eq!(ours.problems, [], "{line}");
        lines += 1;
        same += ours.ids.intersection(&recorded.ids).count();
        // An id counts as found where another of its names is.
        let named = |ids: &BTreeSet<String>, id: &String| {
            let names =
                |known: &String| snapshot.get(known).is_some_and(|record| record.aliases.contains(id));
            ids.contains(id) || ids.iter().any(names)
        };
        let missing = recorded
            .ids
            .iter()
            .filter(|id| !named(&ours.ids, id))
            .map(|id| (id, why_not_ours(id, &recorded, &snapshot)));
        let is_named =
            |id: &&String| recorded.ids.contains(*id) || !snapshot[*id].aliases.is_disjoint(&recorded.ids);
        let more = ours
            .ids
            .iter()
            .filter(|id| !is_named(id))
            .map(|id| (id, why_not_theirs(id, &recorded, &snapshot)));
        for (id, reason) in missing.chain(more) {
            match reason {
                Some(reason) => *reasons.entry(reason).or_insert(0) += 1,
                None => wrong.push(format!("{id}: {line}, ours {:?}", ours.ids)),
            }
        }
    }
    eprintln!("{lines} answers, {same} ids in both; differences: {reasons:?}");
    assert!(wrong.is_empty(), "{} differences without a reason: {wrong:#?}", wrong.len());
    assert!(lines > 480 && same > 100, "{lines} answers with {same} common ids are too few to say anything");
}
