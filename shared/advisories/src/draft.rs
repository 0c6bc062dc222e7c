//! An index in the making: what the records of one ecosystem say, while the severities that only other records know are
//! still open.

use std::collections::BTreeMap;
use std::path::Path;

use tidewatch_core::Timestamp;
use tidewatch_core::problem::Problem;

use crate::build::{BuildError, BuiltFamily};
use crate::ecosystem::Family;
use crate::index::write::{Packages, WriteError, write};
use crate::index::{IndexInfo, Vulnerability};
use crate::record::Record;
use crate::severity::{Basis, Rating, ScoreTable};
use crate::statement::{advisory, unite};

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
            if package.name.is_empty() {
                self.problems.push(Problem::new(&record.id, "it is about a package without a name"));
                continue;
            }
            let key = (ecosystem, (self.family.name)(&package.name).into_owned());
            if let Some(advisory) = advisory(self.family, record, affected, &mut self.problems) {
                indexed = true;
                self.packages.entry(key).or_default().push(advisory);
            }
        }
        self.advisories += usize::from(indexed);
    }

    pub(crate) fn finish(mut self, scores: &ScoreTable, output: &Path) -> Result<BuiltFamily, BuildError> {
        for advisories in self.packages.values_mut() {
            unite(advisories);
            for vulnerability in advisories.iter_mut().flat_map(|advisory| &mut advisory.vulnerabilities) {
                vulnerability.rating = complete(vulnerability, scores);
                vulnerability.known_exploited = scores.known_exploited(&vulnerability.ids);
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

/// The final rating of a vulnerability: its own, unless that is no more than a word and another record has a score.
fn complete(vulnerability: &Vulnerability, scores: &ScoreTable) -> Rating {
    let own = vulnerability.rating;
    if matches!(own.basis, Basis::Word | Basis::Nothing) {
        scores.rating(&vulnerability.ids).unwrap_or(own)
    } else {
        own
    }
}
