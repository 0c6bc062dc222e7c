//! An index in the making: what the records of one ecosystem say, while the severities that only other records know are
//! still open. What is said about a package is kept as it will be stored, so that a large ecosystem fits into memory.

use std::path::Path;

use tidewatch_core::Timestamp;
use tidewatch_core::problem::Problem;

use crate::build::{BuildError, BuiltFamily};
use crate::ecosystem::Family;
use crate::evaluate::{self, Range};
use crate::index::write::{WriteError, Writer};
use crate::index::{Advisory, IndexInfo, Vulnerability};
use crate::record::{Affected, RangeKind, Record};
use crate::severity::{Basis, Rating, ScoreTable, own_rating};

/// An index in the making.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) family: &'static Family,
    writer: Writer,
    pub(crate) records: usize,
    advisories: usize,
    withdrawn: usize,
    newest_modified: Option<Timestamp>,
    pub(crate) problems: Vec<Problem>,
}

/// What one record says about one package: which versions are affected, and how bad that is.
struct Said {
    ecosystem: String,
    name: String,
    rating: Rating,
    versions: Vec<String>,
    ranges: Vec<Range>,
}

impl Draft {
    pub(crate) fn new(family: &'static Family) -> Self {
        Self {
            family,
            writer: Writer::default(),
            records: 0,
            advisories: 0,
            withdrawn: 0,
            newest_modified: None,
            problems: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, record: &Record, now: Timestamp) {
        self.records += 1;
        self.newest_modified =
            self.newest_modified.max(record.modified_at().filter(|modified| *modified <= now));
        if record.withdrawn.is_some() {
            self.withdrawn += 1;
            return;
        }
        let mut all: Vec<_> =
            record.affected.iter().filter_map(|affected| self.said(record, affected)).collect();
        if all.is_empty() {
            return;
        }
        all.sort_by(|a, b| a.package().cmp(&b.package()));
        let vulnerabilities = record.vulnerabilities();
        for Said { ecosystem, name, rating, versions, ranges } in merged(all) {
            let advisory = Advisory {
                id: record.id.clone(),
                vulnerabilities: vulnerabilities
                    .iter()
                    .map(|ids| Vulnerability { ids: ids.clone(), rating })
                    .collect(),
                published_at: record.published_at(),
            };
            let added = self.writer.add(&ecosystem, &name, advisory, &versions, &ranges);
            self.problems.extend(added.err().map(|error| Problem::new(&record.id, error)));
        }
        self.advisories += 1;
    }

    /// What `record` says in `affected`; `None` where that is about no package of the family, and a problem beside it
    /// when it is nothing that can be evaluated.
    fn said(&mut self, record: &Record, affected: &Affected) -> Option<Said> {
        let package = affected.package.as_ref()?;
        let ecosystem = self.family.canonical(&package.ecosystem)?;
        let mut ranges = Vec::new();
        for range in affected.ranges.iter().filter(|range| range.kind != RangeKind::Git) {
            let (range, ordered) = Range::new(evaluate::events(&range.events), self.family.compare);
            ranges.push(range);
            self.problems.extend(ordered.err().map(|error| Problem::new(&record.id, error)));
        }
        if ranges.is_empty() && affected.versions.is_empty() {
            self.problems.push(Problem::new(&record.id, "it says of no version whether it is affected"));
            return None;
        }
        // Vectors that cannot be read are reported when the record is taken into the score table.
        let rating = own_rating(record, affected, self.family.rating, &mut Vec::new());
        Some(Said {
            ecosystem,
            name: (self.family.name)(&package.name).into_owned(),
            rating,
            versions: affected.versions.clone(),
            ranges,
        })
    }

    pub(crate) fn finish(self, scores: &ScoreTable, output: &Path) -> Result<BuiltFamily, BuildError> {
        let info = IndexInfo {
            family: self.family.id.to_owned(),
            records: self.records,
            advisories: self.advisories,
            withdrawn: self.withdrawn,
            newest_modified: self.newest_modified,
            releases: self.writer.releases(),
        };
        let error = |error: WriteError| BuildError::Write {
            family: self.family.id,
            folder: output.to_owned(),
            source: Box::new(error),
        };
        let rate = |vulnerability: &mut Vulnerability| vulnerability.rating = complete(vulnerability, scores);
        let written = self.writer.write(output, &info, rate).map_err(error)?;
        Ok(BuiltFamily {
            family: self.family.id,
            hash: written.hash,
            path: written.path,
            size: written.size,
            records: self.records,
            advisories: self.advisories,
            withdrawn: self.withdrawn,
            newest_modified: self.newest_modified,
            problems: self.problems,
        })
    }
}

impl Said {
    fn package(&self) -> (&str, &str) {
        (&self.ecosystem, &self.name)
    }

    fn merge(&mut self, other: Self) {
        self.versions.extend(other.versions);
        self.ranges.extend(other.ranges);
        self.rating = self.rating.min(other.rating);
    }
}

/// A record can name a package several times; that is one statement. `all` is sorted by package.
fn merged(all: Vec<Said>) -> Vec<Said> {
    let mut merged: Vec<Said> = Vec::with_capacity(all.len());
    for said in all {
        match merged.last_mut().filter(|last| last.package() == said.package()) {
            Some(last) => last.merge(said),
            None => merged.push(said),
        }
    }
    merged
}

/// The final rating of a vulnerability: its own, unless that is no more than a word and another record has a score.
fn complete(vulnerability: &Vulnerability, scores: &ScoreTable) -> Rating {
    let own = vulnerability.rating;
    if matches!(own.basis, Basis::Word | Basis::Nothing) {
        scores.rating(&vulnerability.ids).unwrap_or(own)
    } else {
        own
    }
}
