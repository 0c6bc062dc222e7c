//! What a record states about packages, in the form of the index.

use std::collections::HashSet;

use tidewatch_core::problem::Problem;

use crate::ecosystem::Family;
use crate::evaluate::{self, Range, beyond_ranges};
use crate::index::Relevance;
use crate::record::{self, Affected, RangeKind, Record, is_cve};
use crate::severity::{Rating, own_rating};

/// What a record states about a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stated {
    /// Ecosystem of the package in canonical form.
    pub(crate) ecosystem: String,
    /// Its name in normal form.
    pub(crate) name: String,
    /// Whether it counts for images.
    pub(crate) relevance: Relevance,
    /// How bad it is, by what the record says.
    pub(crate) rating: Rating,
    /// Single affected versions.
    pub(crate) versions: Vec<String>,
    /// Ranges of affected versions.
    pub(crate) ranges: Vec<Range>,
}

/// What `record`, about the vulnerabilities `ids`, states about packages of `family`. It can name a package several times,
/// which becomes one statement. What cannot be used goes to `problems`.
pub(crate) fn statements(
    family: &Family,
    record: &Record,
    ids: &[Vec<String>],
    problems: &mut Vec<Problem>,
) -> Vec<Stated> {
    let stated =
        record.affected.iter().filter_map(|affected| stated(family, record, affected, ids, problems));
    let mut all: Vec<Stated> = stated.collect();
    all.sort_by(|a, b| a.place().cmp(&b.place()));
    all.dedup_by(|next, known| {
        let is_same = next.place() == known.place();
        if is_same {
            known.merge(next);
        }
        is_same
    });
    all.iter_mut().for_each(Stated::tidy);
    all
}

fn stated(
    family: &Family,
    record: &Record,
    affected: &Affected,
    ids: &[Vec<String>],
    problems: &mut Vec<Problem>,
) -> Option<Stated> {
    let package = affected.package.as_ref()?;
    let ecosystem = family.canonical(&package.ecosystem)?;
    if package.name.is_empty() {
        problems.push(Problem::new(&record.id, "it is about a package without a name"));
        return None;
    }
    let ranges = ranges(family, record, affected, problems);
    if ranges.is_empty() && affected.versions.is_empty() {
        problems.push(Problem::new(&record.id, "it says of no version whether it is affected"));
        return None;
    }
    let versions = affected.versions.iter().map(|version| (family.version)(version).to_owned()).collect();
    Some(Stated {
        ecosystem,
        name: (family.name)(&package.name).into_owned(),
        relevance: relevance(family, record, affected, ids),
        // Vectors that cannot be read are reported when the record is taken into the score table.
        rating: own_rating(record, affected, family.rating, &mut Vec::new()),
        versions: beyond_ranges(versions, &ranges, family.compare),
        ranges,
    })
}

impl Stated {
    /// Statements at one place are one.
    fn place(&self) -> (&str, &str, Relevance) {
        (&self.ecosystem, &self.name, self.relevance)
    }

    fn merge(&mut self, other: &mut Self) {
        self.versions.append(&mut other.versions);
        self.ranges.append(&mut other.ranges);
        self.rating = self.rating.min(other.rating);
    }

    /// Leaves out what is said twice.
    fn tidy(&mut self) {
        retain_first(&mut self.versions);
        retain_first(&mut self.ranges);
    }
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
        let events = evaluate::events(&range.events, family.version, family.last_affected);
        let (range, ordered) = Range::new(events, family.compare);
        ranges.push(range);
        problems.extend(ordered.err().map(|error| Problem::new(&record.id, error)));
    }
    ranges
}

fn relevance(family: &Family, record: &Record, affected: &Affected, ids: &[Vec<String>]) -> Relevance {
    // What is rated is about a vulnerability, whether it names one or not.
    let is_notice = family.notices.iter().any(|beginning| record.id.starts_with(beginning))
        && !ids.iter().flatten().any(|id| is_cve(id))
        && (family.rating)(record, affected).is_none();
    if is_notice || affected.is_informational() {
        Relevance::Notice
    } else if affected.concerns_linux() {
        Relevance::Counts
    } else {
        Relevance::OtherSystem
    }
}

fn retain_first<T: Clone + Eq + std::hash::Hash>(items: &mut Vec<T>) {
    if items.len() > 1 {
        let mut seen = HashSet::with_capacity(items.len());
        items.retain(|item| seen.insert(item.clone()));
    }
}
