//! An index in the making: what the records of one ecosystem say, while the severities that only other records know are
//! still open. What is said about a package is kept as it will be stored, so that a large ecosystem fits into memory.

use std::path::Path;

use tidewatch_core::Timestamp;
use tidewatch_core::problem::Problem;

use crate::build::{BuildError, BuiltFamily};
use crate::ecosystem::Family;
use crate::index::write::{WriteError, Writer};
use crate::index::{Advisory, IndexInfo, Vulnerability};
use crate::record::Record;
use crate::severity::{Basis, Rating, ScoreTable};
use crate::statement::{Stated, statements};

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
        let ids = record.vulnerabilities(self.family.fixes_related);
        let stated = statements(self.family, record, &ids, &mut self.problems);
        self.advisories += usize::from(!stated.is_empty());
        for Stated { ecosystem, name, relevance, rating, versions, ranges } in stated {
            let of = |ids: &Vec<String>| Vulnerability { ids: ids.clone(), rating, known_exploited: None };
            let advisory = Advisory {
                id: record.id.clone(),
                relevance,
                vulnerabilities: ids.iter().map(of).collect(),
                published_at: record.published_at(),
            };
            let added = self.writer.add(&ecosystem, &name, advisory, &versions, &ranges);
            self.problems.extend(added.err().map(|error| Problem::new(&record.id, error)));
        }
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
        let rate = |vulnerability: &mut Vulnerability| {
            vulnerability.rating = complete(vulnerability, scores);
            vulnerability.known_exploited = scores.known_exploited(&vulnerability.ids);
        };
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

/// The final rating of a vulnerability: its own, unless that is no more than a word and another record has a score.
fn complete(vulnerability: &Vulnerability, scores: &ScoreTable) -> Rating {
    let own = vulnerability.rating;
    if matches!(own.basis, Basis::Word | Basis::Nothing) {
        scores.rating(&vulnerability.ids).unwrap_or(own)
    } else {
        own
    }
}
