//! Compiles a folder of OSV archives into one index for each family.

use std::path::{Path, PathBuf};

use tidewatch_core::problem::Problem;
use tidewatch_core::{Digest, Retry, Retryable, Timestamp};

use crate::ecosystem::{FAMILIES, Family};
use crate::evaluate::{self, Range};
use crate::index::write::{Packages, WriteError, write};
use crate::index::{Advisory, IndexInfo, Vulnerability};
use crate::record::{Affected, RangeKind, Record};
use crate::severity::{Basis, Rating, ScoreTable, own_rating};
use crate::source::{Ecosystem, RawRecord, ecosystems};

/// How to build.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// The folder, which exists, to which the index files are written.
    pub output: PathBuf,
    /// The present time. A record that claims to be changed later is not believed in this.
    pub now: Timestamp,
}

/// How far a build has come: told for each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The ecosystem that is read, by the name of its folder.
    pub ecosystem: &'a str,
    /// Number of its records that are read.
    pub done: usize,
    /// Number of all its records.
    pub total: usize,
}

/// What a build gave.
#[derive(Clone, Debug)]
pub struct Build {
    /// One index for each family whose folder is in the source, in the order of [`FAMILIES`].
    pub families: Vec<BuiltFamily>,
    /// Records of other ecosystems, read for their scores alone, that could not be read.
    pub problems: Vec<Problem>,
}

/// An index file that was built.
#[derive(Clone, Debug)]
pub struct BuiltFamily {
    /// Id of the family.
    pub family: &'static str,
    /// SHA-256 of the file's bytes. The same records give the same bytes.
    pub hash: Digest,
    /// The file: `<output>/<family>-<hash>.redb`.
    pub path: PathBuf,
    /// Bytes of the file.
    pub size: u64,
    /// Number of records that were read, withdrawn ones included.
    pub records: usize,
    /// Number of advisories in the index.
    pub advisories: usize,
    /// Number of withdrawn records, which are left out.
    pub withdrawn: usize,
    /// When the newest record was last changed.
    pub newest_modified: Option<Timestamp>,
    /// What could not be used, and why.
    pub problems: Vec<Problem>,
}

/// No index can be built from a source.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A folder or file of the source cannot be read.
    #[error("failed to read {path:?}")]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// An archive is broken.
    #[error("failed to read the archive {path:?}")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An index file cannot be written.
    #[error("failed to write the {family} advisory index to {folder:?}")]
    Write {
        /// Id of the family.
        family: &'static str,
        /// The output folder.
        folder: PathBuf,
        /// What redb or the operating system says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl BuildError {
    pub(crate) fn archive(path: &Path, source: zip::result::ZipError) -> Self {
        Self::Archive { path: path.to_owned(), source: Box::new(source) }
    }
}

impl Retryable for BuildError {
    fn retry(&self) -> Retry {
        match self {
            // A broken archive stays broken until it is downloaded again.
            Self::Archive { .. } => Retry::Never,
            Self::Read { .. } | Self::Write { .. } => Retry::Again,
        }
    }
}

/// Builds an index for each family whose folder is in `source`: `<Ecosystem>/all.zip` or `<Ecosystem>/*.json`. All
/// other ecosystems there are read as well, for the CVSS scores that they give to CVEs.
///
/// A record that cannot be read is a problem; an archive that cannot be read is an error.
pub fn build(
    source: &Path,
    options: &BuildOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Build, BuildError> {
    let mut scores = ScoreTable::default();
    let mut problems = Vec::new();
    let mut drafts = Vec::new();
    for ecosystem in ecosystems(source)? {
        let family = FAMILIES.iter().copied().find(|family| family.ecosystem == ecosystem.name);
        let mut draft = family.map(Draft::new);
        for_each_record(&ecosystem, progress, &mut |record| match (record, &mut draft) {
            (Ok(record), draft) => {
                let mut errors = Vec::new();
                scores.add(&record, &mut errors);
                let errors = errors.into_iter().map(|error| Problem::new(&record.id, error));
                draft.as_mut().map_or(&mut problems, |draft| &mut draft.problems).extend(errors);
                if let Some(draft) = draft {
                    draft.add(&record, options.now);
                }
            }
            (Err(problem), Some(draft)) => draft.problems.push(problem),
            (Err(problem), None) => problems.push(problem),
        })?;
        drafts.extend(draft);
    }
    drafts.sort_by_key(|draft| draft.family.id);
    let families = drafts.into_iter().map(|draft| draft.finish(&scores, &options.output));
    Ok(Build { families: families.collect::<Result<_, _>>()?, problems })
}

fn for_each_record(
    ecosystem: &Ecosystem,
    progress: &mut dyn FnMut(Progress<'_>),
    each: &mut dyn FnMut(Result<Record, Problem>),
) -> Result<(), BuildError> {
    ecosystem.for_each(&mut |RawRecord { file, json, position: (before, total) }| {
        let parse = |json| Record::from_json(json).map_err(|error| Problem::new(&file, error));
        each(json.and_then(parse));
        progress(Progress { ecosystem: &ecosystem.name, done: before + 1, total });
    })
}

/// An index in the making: the severities that only other records know are still open.
struct Draft {
    family: &'static Family,
    packages: Packages,
    records: usize,
    advisories: usize,
    withdrawn: usize,
    newest_modified: Option<Timestamp>,
    problems: Vec<Problem>,
}

impl Draft {
    fn new(family: &'static Family) -> Self {
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

    fn add(&mut self, record: &Record, now: Timestamp) {
        self.records += 1;
        self.newest_modified =
            self.newest_modified.max(record.modified_at().filter(|modified| *modified <= now));
        if record.withdrawn.is_some() {
            self.withdrawn += 1;
            return;
        }
        let mut indexed = false;
        for affected in &record.affected {
            let Some(package) =
                affected.package.as_ref().filter(|package| self.family.holds(&package.ecosystem))
            else {
                continue;
            };
            let key = (package.ecosystem.clone(), package.name.clone());
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

    fn finish(mut self, scores: &ScoreTable, output: &Path) -> Result<BuiltFamily, BuildError> {
        for advisories in self.packages.values_mut() {
            advisories.sort_by(|a, b| a.id.cmp(&b.id));
            for vulnerability in advisories.iter_mut().flat_map(|advisory| &mut advisory.vulnerabilities) {
                vulnerability.rating = complete(vulnerability, scores);
            }
        }
        let mut releases = std::collections::BTreeMap::new();
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
