//! The compiled index: one read-only redb file for each family, opened without reading it all.
//!
//! Table `packages`: (ecosystem with release, package name) → a hash of all that is said about it (8 bytes), and one
//! [`Statement`] for each advisory that names it, sorted by the number of the advisory. Table `advisories`: number →
//! [`Advisory`]; they are numbered in the order of their ids. Table `meta`: `format` → the number of this layout, `info`
//! → [`IndexInfo`]. All in postcard's format (<https://postcard.jamesmunns.com/wire-format>). The file holds nothing that
//! depends on the time or place of its making.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use redb::{AccessGuard, ReadOnlyDatabase, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidewatch_core::{Date, Retry, Retryable, Timestamp};

use crate::ecosystem::Family;
use crate::evaluate::{Judgement, Range, judge, judge_before};
use crate::order::Compare;
use crate::severity::Rating;

pub(crate) mod write;

const PACKAGES: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("packages");
const ADVISORIES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("advisories");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const FORMAT_KEY: &str = "format";
const INFO_KEY: &str = "info";
/// The number of the layout, and of how records are read into it and scored. Raise it with every change of what is
/// stored: archives that were read for another number are read again.
pub const FORMAT: u32 = 2;
/// Bytes of the hash of what is said about a package. It only has to differ between two indexes of one family.
const HASH_LENGTH: usize = 8;
/// Bytes of the file that one open index keeps in memory at most.
const CACHE_SIZE: usize = 32 << 20;

/// An advisory, but for the packages that it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advisory {
    /// Its id.
    pub id: String,
    /// Whether it counts for images.
    pub relevance: Relevance,
    /// The vulnerabilities that it is about, at least one.
    pub vulnerabilities: Vec<Vulnerability>,
    /// When it was published, to the second.
    #[serde(with = "jiff::fmt::serde::timestamp::second::optional")]
    pub published_at: Option<Timestamp>,
}

/// What one advisory says about one package.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Statement<'a> {
    /// The number of the advisory, for [`Index::advisory`].
    pub advisory: u32,
    #[serde(borrow)]
    affected: AffectedVersions<'a>,
}

/// Which versions are affected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum AffectedVersions<'a> {
    /// All before this one: most statements say no more.
    Before(&'a str),
    /// Those listed and those in ranges.
    Among(#[serde(borrow)] Vec<&'a str>, #[serde(borrow)] SmallVec<[Range<&'a str>; 1]>),
}

impl Statement<'_> {
    /// Judges `version` by it.
    pub fn judge(&self, version: &str, compare: Compare) -> Judgement<'_> {
        match &self.affected {
            AffectedVersions::Before(fixed) => judge_before(version, fixed, compare),
            AffectedVersions::Among(versions, ranges) => judge(version, versions, ranges, compare),
        }
    }

    /// The affected versions that it lists beside its ranges.
    pub fn versions(&self) -> &[&str] {
        match &self.affected {
            AffectedVersions::Before(_) => &[],
            AffectedVersions::Among(versions, _) => versions,
        }
    }

    /// The versions that fix it, in the order of the record.
    pub fn fixed_versions(&self) -> impl Iterator<Item = &str> {
        let (before, among) = match &self.affected {
            AffectedVersions::Before(fixed) => (Some(*fixed), None),
            AffectedVersions::Among(_, ranges) => (None, Some(ranges)),
        };
        before.into_iter().chain(among.into_iter().flatten().flat_map(Range::fixed_versions))
    }
}

/// All that an index says about one package.
pub struct Statements<'i> {
    stored: AccessGuard<'i, &'static [u8]>,
    family: &'i str,
}

impl Statements<'_> {
    /// One for each advisory and way of naming the package, sorted by the number of the advisory; decoded one by one, so
    /// that nothing is allocated for most.
    pub fn read(&self) -> Result<impl Iterator<Item = Result<Statement<'_>, IndexError>>, IndexError> {
        let stored = self.stored.value().get(HASH_LENGTH..).unwrap_or_default();
        let (count, mut rest) = self.take::<usize>(stored)?;
        Ok((0..count).map(move |_| {
            let (statement, after) = self.take(rest)?;
            rest = after;
            Ok(statement)
        }))
    }

    fn take<'b, T: Deserialize<'b>>(&self, bytes: &'b [u8]) -> Result<(T, &'b [u8]), IndexError> {
        postcard::take_from_bytes(bytes)
            .map_err(|source| decode_error(self.family, "the statements about a package", source))
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
    /// A part of the file is not there.
    #[error("failed to find {key} in the {family} advisory index")]
    Absent {
        /// Id of the family.
        family: String,
        /// What was asked for.
        key: String,
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
            Self::Format { .. } | Self::Absent { .. } | Self::Decode { .. } => Retry::Never,
        }
    }
}

/// An open index. Look-ups read only the pages that they need; several threads can share one.
pub struct Index {
    info: IndexInfo,
    packages: ReadOnlyTable<(&'static str, &'static str), &'static [u8]>,
    advisories: ReadOnlyTable<u32, &'static [u8]>,
    /// The ids that were asked for, by the number of the advisory.
    ids: OnceLock<Box<[OnceLock<Box<str>>]>>,
    // Declared after the tables, which read from it.
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
        let advisories = transaction.open_table(ADVISORIES).map_err(|e| error(e.into()))?;
        Ok(Self { info, packages, advisories, ids: OnceLock::new(), _database: database })
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

    /// What is said about the package `name` of `ecosystem`; `None` where the index knows no such package.
    pub fn statements(&self, ecosystem: &str, name: &str) -> Result<Option<Statements<'_>>, IndexError> {
        if !self.covers(ecosystem) {
            return Ok(None);
        }
        let stored = self.packages.get((ecosystem, name));
        let stored = stored.map_err(|error| self.read_error(key(ecosystem, name), error))?;
        Ok(stored.map(|stored| Statements { stored, family: &self.info.family }))
    }

    /// The advisory with this number.
    pub fn advisory(&self, number: u32) -> Result<Advisory, IndexError> {
        decode(self.stored_advisory(number)?.value(), &self.info.family, "an advisory")
    }

    /// The id of the advisory with this number. It is remembered as long as the index is open.
    pub fn advisory_id(&self, number: u32) -> Result<&str, IndexError> {
        let ids = self.ids.get_or_init(|| (0..self.info.advisories).map(|_| OnceLock::new()).collect());
        let id = usize::try_from(number).ok().and_then(|number| ids.get(number));
        let id = id.ok_or_else(|| self.absent_advisory(number))?;
        if let Some(known) = id.get() {
            return Ok(known);
        }
        // The id is what an advisory begins with.
        let stored = self.stored_advisory(number)?;
        let (read, _) = postcard::take_from_bytes::<&str>(stored.value())
            .map_err(|source| decode_error(&self.info.family, "an advisory", source))?;
        Ok(id.get_or_init(|| read.into()))
    }

    fn stored_advisory(&self, number: u32) -> Result<AccessGuard<'_, &'static [u8]>, IndexError> {
        let stored = self.advisories.get(number);
        let stored = stored.map_err(|error| self.read_error(format!("advisory {number}"), error))?;
        stored.ok_or_else(|| self.absent_advisory(number))
    }

    fn absent_advisory(&self, number: u32) -> IndexError {
        IndexError::Absent { family: self.info.family.clone(), key: format!("advisory {number}") }
    }

    /// Every package that has advisories, as (ecosystem, name), sorted.
    pub fn packages(&self) -> Result<Vec<(String, String)>, IndexError> {
        self.hashes()?.map(|entry| entry.map(|(package, _)| package)).collect()
    }

    /// Every package that has advisories, as (ecosystem, name), sorted, each with the hash of what is said about it.
    fn hashes(&self) -> Result<impl Iterator<Item = Result<HashedPackage, IndexError>>, IndexError> {
        let error = |error| self.read_error("the list of packages".to_owned(), error);
        let owned = |(ecosystem, name): (&str, &str)| (ecosystem.to_owned(), name.to_owned());
        let entries = self.packages.iter().map_err(error)?;
        Ok(entries.map(move |entry| {
            let (package, stored) = entry.map_err(error)?;
            Ok((owned(package.value()), hash_of(stored.value()).to_vec()))
        }))
    }

    fn read_error(&self, key: String, error: redb::StorageError) -> IndexError {
        IndexError::Read { family: self.info.family.clone(), key, source: Box::new(error.into()) }
    }
}

/// (ecosystem, name), and a hash that differs when anything differs that is said about it, the advisories included.
type HashedPackage = ((String, String), Vec<u8>);

fn hash_of(stored: &[u8]) -> &[u8] {
    stored.get(..HASH_LENGTH).unwrap_or(stored)
}

/// A package in an error message.
fn key(ecosystem: &str, name: &str) -> String {
    format!("{ecosystem}/{name}")
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8], family: &str, key: &str) -> Result<T, IndexError> {
    postcard::from_bytes(bytes).map_err(|source| decode_error(family, key, source))
}

fn decode_error(family: &str, key: &str, source: postcard::Error) -> IndexError {
    IndexError::Decode { family: family.to_owned(), key: key.to_owned(), source }
}

/// The packages about which `old` and `new` say something different, as (ecosystem, package name), sorted: those that a
/// change of the index can have made vulnerable or safe, or have rated anew. An ecosystem that only one of them covers is
/// there with an empty name: what is known of any package of it has changed.
pub fn changed_packages(old: &Index, new: &Index) -> Result<Vec<(String, String)>, IndexError> {
    let mut changed = BTreeSet::new();
    let one_sided = |a: &Index, b: &Index| {
        a.info.releases.keys().filter(|name| !b.covers(name)).cloned().collect::<Vec<_>>()
    };
    for ecosystem in one_sided(old, new).into_iter().chain(one_sided(new, old)) {
        changed.insert((ecosystem, String::new()));
    }
    let (mut before, mut after) = (old.hashes()?.peekable(), new.hashes()?.peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => break,
            (Some(Ok(a)), Some(Ok(b))) => a.0.cmp(&b.0),
            // What fails is next in turn.
            (Some(_), None) | (Some(Err(_)), _) => Ordering::Less,
            (None | Some(Ok(_)), Some(_)) => Ordering::Greater,
        };
        let a = if order.is_le() { before.next().transpose()? } else { None };
        let b = if order.is_ge() { after.next().transpose()? } else { None };
        if a != b {
            changed.extend(a.or(b).map(|(package, _)| package));
        }
    }
    Ok(changed.into_iter().collect())
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
