//! An index in the making: what the records of one ecosystem say, while the severities that only other records know are
//! still open.

use std::collections::BTreeMap;
use std::path::Path;

use tidewatch_core::Timestamp;
use tidewatch_core::problem::Problem;

use crate::build::{BuildError, BuiltFamily};
use crate::ecosystem::Family;
use crate::evaluate::{self, Range};
use crate::index::write::{Packages, WriteError, write};
use crate::index::{Advisory, IndexInfo, Vulnerability};
use crate::record::{Affected, RangeKind, Record};
use crate::severity::{Basis, Rating, ScoreTable, own_rating};

/// An index in the making.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) family: &'static Family,
    packages: Packages,
    pub(crate) records: usize,
    advisories: usize,
    withdrawn: usize,
    newest_modified: Option<Timestamp>,
    pub(crate) problems: Vec<Problem>,
}

impl Draft {
    pub(crate) fn new(family: &'static Family) -> Self {
        Self {
            family,
            packages: Packages::new(),
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
        let mut indexed = false;
        for affected in &record.affected {
            let Some(package) = &affected.package else { continue };
            let Some(ecosystem) = self.family.canonical(&package.ecosystem) else { continue };
            let key = (ecosystem, (self.family.name)(&package.name).into_owned());
            if let Some(advisory) = self.advisory(record, affected) {
                indexed = true;
                merge(self.packages.entry(key).or_default(), advisory);
            }
        }
        self.advisories += usize::from(indexed);
    }

    /// What `record` says in `affected`; `None` and a problem when that is nothing that can be evaluated.
    fn advisory(&mut self, record: &Record, affected: &Affected) -> Option<Advisory> {
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
        let vulnerabilities = record.vulnerabilities().into_iter().map(|ids| Vulnerability { ids, rating });
        Some(Advisory {
            id: record.id.clone(),
            vulnerabilities: vulnerabilities.collect(),
            published_at: record.published_at(),
            versions: affected.versions.clone(),
            ranges,
        })
    }

    pub(crate) fn finish(mut self, scores: &ScoreTable, output: &Path) -> Result<BuiltFamily, BuildError> {
        for advisories in self.packages.values_mut() {
            advisories.sort_by(|a, b| a.id.cmp(&b.id));
            for vulnerability in advisories.iter_mut().flat_map(|advisory| &mut advisory.vulnerabilities) {
                vulnerability.rating = complete(vulnerability, scores);
            }
        }
        let mut releases = BTreeMap::new();
        for (ecosystem, _) in self.packages.keys() {
            *releases.entry(ecosystem.clone()).or_default() += 1;
        }
        let info = IndexInfo {
            family: self.family.id.to_owned(),
            records: self.records,
            advisories: self.advisories,
            withdrawn: self.withdrawn,
            newest_modified: self.newest_modified,
            releases,
        };
        let error = |error: WriteError| BuildError::Write {
            family: self.family.id,
            folder: output.to_owned(),
            source: Box::new(error),
        };
        let written = write(output, &info, &self.packages).map_err(error)?;
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

/// Adds `advisory` to those of its package. A record can name a package several times; that is one advisory.
fn merge(advisories: &mut Vec<Advisory>, advisory: Advisory) {
    let Some(known) = advisories.last_mut().filter(|known| known.id == advisory.id) else {
        advisories.push(advisory);
        return;
    };
    known.versions.extend(advisory.versions);
    known.ranges.extend(advisory.ranges);
    for (known, vulnerability) in known.vulnerabilities.iter_mut().zip(advisory.vulnerabilities) {
        known.rating = known.rating.min(vulnerability.rating);
    }
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
