//! Compiles a folder of OSV archives into one index for each family.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tidewatch_core::problem::Problem;
use tidewatch_core::tables::Tables;
use tidewatch_core::{Digest, Retry, Retryable, Timestamp};

use crate::reading::ArchiveError;
use crate::severity::ScoreTable;
use crate::source::ecosystems;

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
    /// One index for each family whose folder is in the source, in the order of [`FAMILIES`](crate::FAMILIES).
    pub families: Vec<BuiltFamily>,
    /// What lies beside the ecosystems: of when the catalogue is, and until when distributions are supported.
    pub tables: Tables,
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
        source: ArchiveError,
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

impl Retryable for BuildError {
    fn retry(&self) -> Retry {
        match self {
            // A broken archive stays broken until it is downloaded again.
            Self::Archive { .. } => Retry::Never,
            Self::Read { .. } | Self::Write { .. } => Retry::Again,
        }
    }
}

/// Builds an index for each family whose folder is in `source`: `<Ecosystem>/all.zip` or `<Ecosystem>/*.json`; for Amazon
/// Linux also `Amazon Linux/<release>/updateinfo.xml[.gz]`. All other ecosystems there are read as well, for the CVSS
/// scores that they give to CVEs, and so are `NVD/*.json[.gz]` and `KEV/known_exploited_vulnerabilities.json`; and the table
/// `EOL/endoflife.json`, which is of `options.now` where it does not say of when it is. Ecosystems are read and compiled on as many threads as there are processors.
///
/// A record that cannot be read is a problem; an archive that cannot be read is an error.
pub fn build(
    source: &Path,
    options: &BuildOptions,
    progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Build, BuildError> {
    let progress = Mutex::new(progress);
    let readings = on_all_processors(ecosystems(source)?, |ecosystem| {
        ecosystem.read(options.now, &mut |done, total| {
            let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            progress(Progress { ecosystem: &ecosystem.name, done, total });
        })
    });
    let mut scores = ScoreTable::default();
    let mut problems = Vec::new();
    let mut drafts = Vec::new();
    let mut tables = Tables::default();
    for reading in readings {
        let reading = reading?;
        tables.known_exploited = tables.known_exploited.max(reading.known_exploited());
        tables.end_of_life = tables.end_of_life.or_else(|| reading.end_of_life().cloned());
        scores.merge(reading.scores);
        problems.extend(reading.problems);
        drafts.extend(reading.draft);
    }
    drafts.sort_by_key(|draft| draft.family.id);
    let families = on_all_processors(drafts, |draft| draft.finish(&scores, &options.output));
    Ok(Build { families: families.into_iter().collect::<Result<_, _>>()?, tables, problems })
}

/// What `work` gives for each of `inputs`, in their order.
fn on_all_processors<I: Send, O: Send>(inputs: Vec<I>, work: impl Fn(I) -> O + Sync) -> Vec<O> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(inputs.len());
    let next = Mutex::new(inputs.into_iter().enumerate());
    let worker = || {
        let mut done = Vec::new();
        loop {
            let taken = next.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((position, input)) = taken else { return done };
            done.push((position, work(input)));
        }
    };
    let mut done: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let results = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
        results.flat_map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    done.sort_by_key(|(position, _)| *position);
    done.into_iter().map(|(_, output)| output).collect()
}
