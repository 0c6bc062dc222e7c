//! Reads the records of one ecosystem by itself: the scores that it gives to vulnerabilities, and, where it is that of a
//! family, the index in the making. With the scores of all ecosystems the index is compiled: ecosystems can be read one
//! by one, at different times, and give what [`crate::build()`] gives of all of them in one folder.

use std::collections::BTreeSet;
use std::io::{Read, Seek};
use std::path::Path;

use tidewatch_core::problem::Problem;
use tidewatch_core::tables::{EndOfLife, EndOfLifeError, TableDate};
use tidewatch_core::{Retry, Retryable, Timestamp};

use crate::build::{BuildError, BuiltFamily};
use crate::draft::Draft;
use crate::ecosystem::Family;
use crate::kev::{self, Catalogue, CatalogueError};
use crate::nvd::{self, Feed, FeedError};
use crate::record::Record;
use crate::severity::ScoreTable;
use crate::source::{INFLATED_LIMIT, RawRecord, read_archive};
use crate::updateinfo::UpdateInfoError;

/// Bytes of the table of ends of life at most; it has some 6 MB.
const TABLE_LIMIT: u64 = 64 << 20;

/// An archive of records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is no zip archive, or broken.
    #[error("failed to read it as a zip archive")]
    Zip {
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is no catalogue of known exploited vulnerabilities.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// It is no table of ends of life.
    #[error(transparent)]
    EndOfLife(#[from] EndOfLifeError),
    /// A file of few bytes cannot be read.
    #[error("failed to read it")]
    Read(#[source] std::io::Error),
    /// It is no feed of the National Vulnerability Database.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// It is no feed of Amazon Linux.
    #[error(transparent)]
    Updateinfo(#[from] UpdateInfoError),
    /// Its records are too large to be what it should hold.
    #[error("failed to read it to its end: its records have more than {limit} bytes")]
    TooLarge {
        /// How many bytes they may have.
        limit: u64,
    },
}

impl ArchiveError {
    pub(crate) fn zip(source: zip::result::ZipError) -> Self {
        Self::Zip { source: Box::new(source) }
    }
}

impl Retryable for ArchiveError {
    /// A broken archive stays broken until it is downloaded again.
    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// How to read an archive.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// The present time. A record that claims to be changed later is not believed in this.
    pub now: Timestamp,
    /// How many bytes all its records may have together, so that a small file cannot keep a process busy for ever.
    pub inflated_limit: u64,
}

impl ReadOptions {
    /// The options at the time `now`: 32 GiB of records at most.
    pub const fn at(now: Timestamp) -> Self {
        Self { now, inflated_limit: INFLATED_LIMIT }
    }
}

/// What the records of one ecosystem say.
#[derive(Debug)]
pub struct Reading {
    pub(crate) scores: ScoreTable,
    pub(crate) draft: Option<Draft>,
    /// The vulnerabilities that the draft is about.
    ids: BTreeSet<String>,
    /// Of an ecosystem without a family.
    pub(crate) problems: Vec<Problem>,
    records: usize,
    released_at: Option<Timestamp>,
    end_of_life: Option<EndOfLife>,
}

impl Reading {
    /// Nothing of `ecosystem` yet.
    pub(crate) fn new(ecosystem: &str) -> Self {
        let draft = Family::of_ecosystem(ecosystem).map(Draft::new);
        let (scores, ids, problems) = (ScoreTable::default(), BTreeSet::new(), Vec::new());
        Self { scores, draft, ids, problems, records: 0, released_at: None, end_of_life: None }
    }

    /// Reads a zip archive of `ecosystem`, OSV's name of it without a release. A record that cannot be read is a
    /// problem; an archive that cannot be read is an error.
    pub fn of_archive(
        ecosystem: &str,
        archive: impl Read + Seek,
        options: &ReadOptions,
    ) -> Result<Self, ArchiveError> {
        let mut reading = Self::new(ecosystem);
        read_archive(ecosystem, archive, options.inflated_limit, &mut |record| {
            reading.add(record, options.now);
        })?;
        Ok(reading)
    }

    /// Reads CISA's catalogue of known exploited vulnerabilities.
    pub fn of_catalogue(json: impl Read) -> Result<Self, ArchiveError> {
        let Catalogue { released_at, vulnerabilities, scores } = kev::catalogue(json)?;
        let nothing = Self::new("");
        Ok(Self { scores, records: vulnerabilities, released_at: Some(released_at), ..nothing })
    }

    /// Reads the table of ends of life of endoflife.date. One that does not say of when it is, is of `date`.
    pub fn of_end_of_life(json: impl Read, date: TableDate) -> Result<Self, ArchiveError> {
        let mut document = Vec::new();
        json.take(TABLE_LIMIT).read_to_end(&mut document).map_err(ArchiveError::Read)?;
        let table = EndOfLife::read(&document, date)?;
        let released_at = (table.date != date).then_some(table.date.0);
        let nothing = Self::new("");
        Ok(Self { records: table.releases(), released_at, end_of_life: Some(table), ..nothing })
    }

    /// Reads a feed of the National Vulnerability Database, plain or packed with gzip.
    pub fn of_feed(json: impl Read) -> Result<Self, ArchiveError> {
        let Feed { vulnerabilities, scores, problems } = nvd::feed(json)?;
        Ok(Self { scores, problems, records: vulnerabilities, ..Self::new("") })
    }

    /// Takes in what `other`, which is of no family, gives.
    pub(crate) fn merge(&mut self, other: Self) {
        self.scores.merge(other.scores);
        self.problems.extend(other.problems);
        self.records += other.records;
    }

    pub(crate) fn add(&mut self, RawRecord { file, json, .. }: RawRecord<'_>, now: Timestamp) {
        let parse = |json| Record::from_json(json).map_err(|error| Problem::new(&file, error));
        let problems = self.draft.as_mut().map_or(&mut self.problems, |draft| &mut draft.problems);
        match json.and_then(parse) {
            Ok(record) => {
                let mut errors = Vec::new();
                self.scores.add(&record, &mut errors);
                problems.extend(errors.into_iter().map(|error| Problem::new(&record.id, error)));
                if let Some(draft) = &mut self.draft {
                    draft.add(&record, now);
                    let is_valid = record.withdrawn.is_none();
                    let ids = is_valid.then(|| record.vulnerabilities(draft.family.fixes_related));
                    self.ids.extend(ids.into_iter().flatten().flatten());
                }
                self.records += 1;
            }
            Err(problem) => problems.push(problem),
        }
    }

    /// The scores that its records give.
    pub const fn scores(&self) -> &ScoreTable {
        &self.scores
    }

    /// The ids of all vulnerabilities whose scores its index uses; none where the ecosystem is that of no family.
    pub const fn ids(&self) -> &BTreeSet<String> {
        &self.ids
    }

    /// Number of records that could be read, withdrawn ones included.
    pub const fn records(&self) -> usize {
        self.records
    }

    /// When its publisher has released it, where that is said in it.
    pub const fn released_at(&self) -> Option<Timestamp> {
        self.released_at
    }

    /// Of when the catalogue of known exploited vulnerabilities is, where it is one: it alone gives no table, and says when
    /// it was released.
    pub fn known_exploited(&self) -> Option<TableDate> {
        self.released_at.filter(|_| self.end_of_life.is_none()).map(TableDate)
    }

    /// The table of ends of life, where it is one.
    pub const fn end_of_life(&self) -> Option<&EndOfLife> {
        self.end_of_life.as_ref()
    }

    /// What could not be used so far, and why.
    pub fn problems(&self) -> &[Problem] {
        self.draft.as_ref().map_or(&self.problems, |draft| &draft.problems)
    }

    /// Compiles the index of its family into the folder `output`, with the scores of all ecosystems, its own among
    /// them; `None` where the ecosystem is that of no family.
    pub fn compile(self, scores: &ScoreTable, output: &Path) -> Result<Option<BuiltFamily>, BuildError> {
        self.draft.map(|draft| draft.finish(scores, output)).transpose()
    }
}
