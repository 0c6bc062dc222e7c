//! The compiled index: one read-only redb file for each family, opened without reading it all.
//!
//! Table `packages`: (ecosystem with release, package name) → the advisories about it, sorted by id, in postcard's
//! format (<https://postcard.jamesmunns.com/wire-format>). Table `meta`: `format` → the number of this layout, `info` →
//! [`IndexInfo`]. The file holds nothing that depends on the time or place of its making.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{AccessGuard, ReadOnlyDatabase, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use tidewatch_core::{Date, Retry, Retryable, Timestamp};

use crate::ecosystem::Family;
use crate::evaluate::Range;
use crate::severity::Rating;

pub(crate) mod write;

const PACKAGES: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("packages");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const FORMAT_KEY: &str = "format";
const INFO_KEY: &str = "info";
/// The number of the layout, and of how records are read into it and scored. Raise it with every change of what is
/// stored: archives that were read for another number are read again.
pub const FORMAT: u32 = 1;
/// Bytes of the file that one open index keeps in memory at most.
const CACHE_SIZE: usize = 32 << 20;

/// What one advisory says about one package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advisory {
    /// Id of the advisory.
    pub id: String,
    /// Whether it counts for images.
    pub relevance: Relevance,
    /// The vulnerabilities that it is about, at least one.
    pub vulnerabilities: Vec<Vulnerability>,
    /// When it was published, to the second.
    #[serde(with = "jiff::fmt::serde::timestamp::second::optional")]
    pub published_at: Option<Timestamp>,
    /// Single affected versions.
    pub versions: Vec<String>,
    /// Ranges of affected versions.
    pub ranges: Vec<Range>,
}

impl Advisory {
    /// The versions that fix it, in the order of the record.
    pub fn fixed_versions(&self) -> impl Iterator<Item = &str> {
        self.ranges.iter().flat_map(Range::fixed_versions)
    }
}

/// Whether an advisory counts for the images that are scanned. One that does not still answers questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Relevance {
    /// It is about a vulnerability of packages on Linux.
    Counts,
    /// It is about vulnerabilities on other systems alone.
    OtherSystem,
    /// It tells of something that is no vulnerability: a package that is no longer maintained, a mistake without one.
    Notice,
}

/// A vulnerability that an advisory is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vulnerability {
    /// All its ids, sorted, at least one.
    pub ids: Vec<String>,
    /// How bad it is.
    pub rating: Rating,
    /// Since when it is known to be exploited.
    pub known_exploited: Option<Date>,
}

/// What an index holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexInfo {
    /// Id of the family: `debian`.
    pub family: String,
    /// Number of records that were read, withdrawn ones included.
    pub records: usize,
    /// Number of advisories in the index.
    pub advisories: usize,
    /// Number of withdrawn records, which are left out.
    pub withdrawn: usize,
    /// When the newest record was last changed.
    #[serde(with = "jiff::fmt::serde::timestamp::second::optional")]
    pub newest_modified: Option<Timestamp>,
    /// For each ecosystem with its release the number of packages that have advisories.
    pub releases: BTreeMap<String, usize>,
}

/// An index cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file is not there, cannot be read, or is no redb database.
    #[error("failed to open the advisory index {path:?}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What redb says.
        source: Box<redb::Error>,
    },
    /// The file was made for another version of Tidewatch.
    #[error("failed to use the advisory index {path:?}: it has format {found:?}, expected {FORMAT}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The number of its layout; `None` where it has none.
        found: Option<u32>,
    },
    /// A part of the file cannot be read.
    #[error("failed to read {key} from the {family} advisory index")]
    Read {
        /// Id of the family.
        family: String,
        /// What was asked for.
        key: String,
        /// What redb says.
        source: Box<redb::Error>,
    },
    /// What is stored cannot be decoded.
    #[error("failed to decode {key} in the {family} advisory index")]
    Decode {
        /// Id of the family.
        family: String,
        /// What was asked for.
        key: String,
        /// What postcard says.
        source: postcard::Error,
    },
}

impl Retryable for IndexError {
    fn retry(&self) -> Retry {
        match self {
            Self::Open { source, .. } | Self::Read { source, .. } => match &**source {
                redb::Error::Io(error) if error.kind() != std::io::ErrorKind::NotFound => Retry::Again,
                _ => Retry::Never,
            },
            Self::Format { .. } | Self::Decode { .. } => Retry::Never,
        }
    }
}

/// An open index. Look-ups read only the pages that they need; several threads can share one.
pub struct Index {
    info: IndexInfo,
    packages: ReadOnlyTable<(&'static str, &'static str), &'static [u8]>,
    // Declared after the table, which reads from it.
    _database: ReadOnlyDatabase,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Index {
    /// Opens the index file at `path`.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        let error =
            |source: redb::Error| IndexError::Open { path: path.to_owned(), source: Box::new(source) };
        let database = redb::Builder::new()
            .set_cache_size(CACHE_SIZE)
            .open_read_only(path)
            .map_err(|e| error(e.into()))?;
        let transaction = database.begin_read().map_err(|e| error(e.into()))?;
        let meta = transaction.open_table(META).map_err(|e| error(e.into()))?;
        let get = |key| meta.get(key).map_err(|e| error(e.into()));
        let format = get(FORMAT_KEY)?.and_then(|value| value.value().try_into().ok().map(u32::from_le_bytes));
        let unknown = || IndexError::Format { path: path.to_owned(), found: format };
        if format != Some(FORMAT) {
            return Err(unknown());
        }
        let info: IndexInfo = decode(get(INFO_KEY)?.ok_or_else(unknown)?.value(), "", INFO_KEY)?;
        let packages = transaction.open_table(PACKAGES).map_err(|e| error(e.into()))?;
        Ok(Self { info, packages, _database: database })
    }

    /// What the index holds.
    pub const fn info(&self) -> &IndexInfo {
        &self.info
    }

    /// Whether there are advisories for `ecosystem`, such as `Debian:12`. Where there are none, nothing can be said
    /// about any package of that release.
    pub fn covers(&self, ecosystem: &str) -> bool {
        self.info.releases.contains_key(ecosystem)
    }

    /// The advisories about the package `name` of `ecosystem`, sorted by id; none where the index knows no such package.
    pub fn query(&self, ecosystem: &str, name: &str) -> Result<Vec<Advisory>, IndexError> {
        match self.stored(ecosystem, name)? {
            Some(advisories) => decode(advisories.value(), &self.info.family, &key(ecosystem, name)),
            None => Ok(Vec::new()),
        }
    }

    /// Every package that has advisories, as (ecosystem, name), sorted.
    fn packages(&self) -> Result<Vec<(String, String)>, IndexError> {
        let error = |error| self.read_error("the list of packages".to_owned(), error);
        let entries = self.packages.iter().map_err(error)?;
        let owned = |(ecosystem, name): (&str, &str)| (ecosystem.to_owned(), name.to_owned());
        entries.map(|entry| Ok(owned(entry.map_err(error)?.0.value()))).collect()
    }

    /// The advisories about a package as they are stored.
    fn stored(
        &self,
        ecosystem: &str,
        name: &str,
    ) -> Result<Option<AccessGuard<'_, &'static [u8]>>, IndexError> {
        self.packages.get((ecosystem, name)).map_err(|error| self.read_error(key(ecosystem, name), error))
    }

    fn read_error(&self, key: String, error: redb::StorageError) -> IndexError {
        IndexError::Read { family: self.info.family.clone(), key, source: Box::new(error.into()) }
    }
}

/// A package in an error message.
fn key(ecosystem: &str, name: &str) -> String {
    format!("{ecosystem}/{name}")
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8], family: &str, key: &str) -> Result<T, IndexError> {
    postcard::from_bytes(bytes).map_err(|source| IndexError::Decode {
        family: family.to_owned(),
        key: key.to_owned(),
        source,
    })
}

/// The packages about which `old` and `new` say something different, as (ecosystem, package name), sorted: those that a
/// change of the index can have made vulnerable or safe, or have rated anew. It is there for matching only the images with
/// one of these packages again, which is not built yet: after a change every image is matched in full.
pub fn changed_packages(old: &Index, new: &Index) -> Result<Vec<(String, String)>, IndexError> {
    let (before, after) = (old.packages()?, new.packages()?);
    let keys: BTreeSet<_> = before.into_iter().chain(after).collect();
    let mut changed = Vec::new();
    for (ecosystem, name) in keys {
        let (before, after) = (old.stored(&ecosystem, &name)?, new.stored(&ecosystem, &name)?);
        if before.as_ref().map(AccessGuard::value) != after.as_ref().map(AccessGuard::value) {
            changed.push((ecosystem, name));
        }
    }
    Ok(changed)
}

/// The open indexes, at most one for each family.
#[derive(Debug, Default)]
pub struct IndexSet {
    indexes: BTreeMap<String, Arc<Index>>,
}

impl IndexSet {
    /// Adds `index`, in the place of another of its family.
    pub fn insert(&mut self, index: impl Into<Arc<Index>>) {
        let index = index.into();
        self.indexes.insert(index.info.family.clone(), index);
    }

    /// The index of the family with this id.
    pub fn get(&self, family: &str) -> Option<&Index> {
        self.indexes.get(family).map(AsRef::as_ref)
    }

    /// The index of `family`.
    pub(crate) fn of(&self, family: &Family) -> Option<&Index> {
        self.get(family.id)
    }
}

impl FromIterator<Index> for IndexSet {
    fn from_iter<I: IntoIterator<Item = Index>>(indexes: I) -> Self {
        let mut set = Self::default();
        indexes.into_iter().for_each(|index| set.insert(index));
        set
    }
}
