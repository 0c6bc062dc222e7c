//! What a record states about one package, in the form of the index, and how statements of one advisory become one.

use std::collections::HashSet;

use tidewatch_core::problem::Problem;

use crate::ecosystem::Family;
use crate::evaluate::{self, Range, beyond_ranges};
use crate::index::{Advisory, Relevance, Vulnerability};
use crate::record::{self, Affected, RangeKind, Record, is_cve};
use crate::severity::own_rating;

/// What `record` says in `affected`, of a package of `family`; `None` when that is nothing that can be evaluated. What
/// cannot be used goes to `problems`.
pub(crate) fn advisory(
    family: &Family,
    record: &Record,
    affected: &Affected,
    problems: &mut Vec<Problem>,
) -> Option<Advisory> {
    let ranges = ranges(family, record, affected, problems);
    if ranges.is_empty() && affected.versions.is_empty() {
        problems.push(Problem::new(&record.id, "it says of no version whether it is affected"));
        return None;
    }
    let versions = affected.versions.iter().map(|version| (family.version)(version).to_owned()).collect();
    // Vectors that cannot be read are reported when the record is taken into the score table.
    let rating = own_rating(record, affected, family.rating, &mut Vec::new());
    let ids = record.vulnerabilities(family.fixes_related);
    Some(Advisory {
        id: record.id.clone(),
        relevance: relevance(family, record, affected, &ids),
        vulnerabilities: ids
            .into_iter()
            .map(|ids| Vulnerability { ids, rating, known_exploited: None })
            .collect(),
        published_at: record.published_at(),
        versions: beyond_ranges(versions, &ranges, family.compare),
        ranges,
    })
}

/// The ranges whose versions an installed one can be compared with.
fn ranges(family: &Family, record: &Record, affected: &Affected, problems: &mut Vec<Problem>) -> Vec<Range> {
    let mut ranges = Vec::new();
    for range in &affected.ranges {
        // A range of versions of an unknown kind says nothing; whether something else does is seen in the end.
        if !matches!(range.kind, RangeKind::Ecosystem | RangeKind::Semver) {
            continue;
        }
        if range.events.iter().any(record::Event::is_empty) {
            problems.push(Problem::new(&record.id, "an event of a range is of an unknown kind"));
        }
        if range.events.iter().all(|event| event.introduced.is_none()) {
            problems.push(Problem::new(&record.id, "a range has no beginning"));
            continue;
        }
        let (range, ordered) = Range::new(evaluate::events(&range.events, family.version), family.compare);
        ranges.push(range);
        problems.extend(ordered.err().map(|error| Problem::new(&record.id, error)));
    }
    ranges
}

fn relevance(family: &Family, record: &Record, affected: &Affected, ids: &[Vec<String>]) -> Relevance {
    let is_notice = family.notices.iter().any(|beginning| record.id.starts_with(beginning))
        && !ids.iter().flatten().any(|id| is_cve(id));
    if is_notice || affected.is_informational() {
        Relevance::Notice
    } else if affected.concerns_linux() {
        Relevance::Counts
    } else {
        Relevance::OtherSystem
    }
}

/// Sorts the advisories about a package and makes those with the same id one: a record can name a package several times,
/// and stand in several files. Each statement counts.
pub(crate) fn unite(advisories: &mut Vec<Advisory>) {
    advisories.sort_by(|a, b| a.id.cmp(&b.id));
    advisories.dedup_by(|next, known| {
        let is_same = next.id == known.id;
        if is_same {
            merge(known, next);
        }
        is_same
    });
    for advisory in advisories {
        tidy(advisory);
    }
}

fn merge(known: &mut Advisory, other: &mut Advisory) {
    known.versions.append(&mut other.versions);
    known.ranges.append(&mut other.ranges);
    known.vulnerabilities.append(&mut other.vulnerabilities);
    known.relevance = known.relevance.min(other.relevance);
    known.published_at = [known.published_at, other.published_at].into_iter().flatten().min();
}

/// Leaves out what is said twice. Of two ratings of the same vulnerability the one to believe stays.
fn tidy(advisory: &mut Advisory) {
    retain_first(&mut advisory.versions);
    retain_first(&mut advisory.ranges);
    let vulnerabilities = &mut advisory.vulnerabilities;
    vulnerabilities.sort_by(|a, b| (&a.ids, a.rating).cmp(&(&b.ids, b.rating)));
    vulnerabilities.dedup_by(|next, known| next.ids == known.ids);
}

fn retain_first<T: Clone + Eq + std::hash::Hash>(items: &mut Vec<T>) {
    if items.len() > 1 {
        let mut seen = HashSet::with_capacity(items.len());
        items.retain(|item| seen.insert(item.clone()));
    }
}

#[cfg(test)]
mod tests;
