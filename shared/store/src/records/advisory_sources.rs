//! The sources of advisories: for each ecosystem what was fetched last, and what was compiled of it. Sources are the
//! truth about what should be in force; what is in force ([`super::CurrentAdvisories`]) is brought in line with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::ports::table::{Condition, Query, TIME_TO_LIVE};

use super::{
    AdvisoryFamily, RecordError, Records, corrupt, decode, encode, keys, time_to_live,
    unless_condition_failed,
};

/// How long it is kept how far a source was.
const PROGRESS_KEPT: Duration = Duration::from_secs(3600);

/// What is known of the archive of an ecosystem.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvisorySource {
    /// Where it was asked for last; none when nothing could be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The entity tag of the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// When the archive was changed, as its server says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// When the server last gave the archive, or said that it is unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Timestamp>,
    /// When another archive came than the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// The archive that was read last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<SourceArchive>,
    /// The index that was compiled last; none for an ecosystem that gives scores only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiled: Option<CompiledSource>,
    /// Why the last try failed; none when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<SourceError>,
}

/// An archive that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceArchive {
    /// SHA-256 of its bytes.
    pub hash: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Number of records that could be read.
    pub records: u64,
    /// Number of things in it that could not be used.
    pub problems: u64,
    /// SHA-256 of the stored scores that its records give.
    pub scores: Digest,
    /// When its publisher has released it, where that is said in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at: Option<Timestamp>,
    /// SHA-256 of the stored list of the vulnerabilities that its records are about; none where nothing is compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Digest>,
    /// SHA-256 of the stored table that was read of it, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Digest>,
    /// The number of how it was read: one that was read for another is read again.
    pub format: u32,
}

/// An index, and what it was compiled of. The same things give the same index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompiledSource {
    /// Id of the family.
    pub family: String,
    /// SHA-256 of the archive.
    pub archive: Digest,
    /// Ecosystem to SHA-256 of its scores, its own among them.
    pub scores: BTreeMap<String, Digest>,
    /// SHA-256 of what these scores say of the vulnerabilities that the archive is about: other scores that say the same
    /// of them give the same index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Digest>,
    /// The index.
    pub index: AdvisoryFamily,
}

/// How far a source is that is being brought up to date: told of what takes long, and only for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceProgress {
    /// Bytes that were fetched.
    pub done: u64,
    /// Bytes that there are to fetch; none when the server does not say.
    pub total: Option<u64>,
    /// When it was so.
    pub at: Timestamp,
}

/// Why a source could not be brought up to date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceError {
    /// The reason.
    pub reason: String,
    /// When it was.
    pub at: Timestamp,
    /// How often it has failed since it was last asked for by a schedule or by somebody.
    pub failures: u32,
}

/// A source as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredSource {
    /// The source.
    pub source: AdvisorySource,
    /// Counts its writes, from 1; `None` when it is not stored yet.
    pub revision: Option<i64>,
}

impl Records {
    /// Every source that is known, by ecosystem.
    pub async fn advisory_sources(&self) -> Result<BTreeMap<String, StoredSource>, RecordError> {
        let prefix = keys::ADVISORY_SOURCE;
        let items = self.all(Query::prefix(keys::ADVISORIES, prefix)).await?;
        let stored = items.iter().map(|item| {
            let ecosystem = item.key.sort.strip_prefix(prefix).unwrap_or_default().to_owned();
            let revision = item.number("revision");
            if revision.is_none() {
                return Err(corrupt(item.key.sort.clone(), "there is no revision"));
            }
            Ok((ecosystem, StoredSource { source: decode(item)?, revision }))
        });
        stored.collect()
    }

    /// Writes a source, if it still has the revision from which `stored` was computed; else
    /// [`RecordError::Changed`]. Gives it with its new revision.
    pub async fn put_advisory_source(
        &self,
        ecosystem: &str,
        stored: StoredSource,
    ) -> Result<StoredSource, RecordError> {
        let unchanged = stored.revision.map_or(Condition::ItemAbsent, |revision| {
            Condition::Equal("revision".to_owned(), revision.into())
        });
        let revision = stored.revision.unwrap_or(0) + 1;
        let item = encode(keys::advisory_source(ecosystem), &stored.source)?.with("revision", revision);
        match unless_condition_failed(self.table.put(item, unchanged).await)? {
            Some(()) => Ok(StoredSource { revision: Some(revision), ..stored }),
            None => Err(RecordError::Changed { what: format!("the advisory source {ecosystem}") }),
        }
    }

    /// Notes the names of the sources that are fetched, for those who ask for all of them.
    pub async fn put_advisories_set(&self, names: &BTreeSet<String>) -> Result<(), RecordError> {
        Ok(self.table.put(encode(keys::advisories_set(), names)?, Condition::Always).await?)
    }

    /// The names of the sources that are fetched; `None` when nothing has fetched yet.
    pub async fn advisories_set(&self) -> Result<Option<BTreeSet<String>>, RecordError> {
        self.record(&keys::advisories_set()).await
    }

    /// Notes how far a source is.
    pub async fn put_advisory_progress(
        &self,
        ecosystem: &str,
        progress: &SourceProgress,
    ) -> Result<(), RecordError> {
        let until = time_to_live(progress.at, PROGRESS_KEPT);
        let item = encode(keys::advisory_progress(ecosystem), progress)?.with(TIME_TO_LIVE, until);
        Ok(self.table.put(item, Condition::Always).await?)
    }

    /// How far sources were when they last told it, by ecosystem.
    pub async fn advisory_progress(&self) -> Result<BTreeMap<String, SourceProgress>, RecordError> {
        let prefix = keys::ADVISORY_PROGRESS;
        let items = self.all(Query::prefix(keys::ADVISORIES, prefix)).await?;
        let told = items.iter().map(|item| {
            Ok((item.key.sort.strip_prefix(prefix).unwrap_or_default().to_owned(), decode(item)?))
        });
        told.collect()
    }

    /// Stores an archive, by its hash, so that it can be compiled again without being fetched.
    pub async fn put_source_archive(
        &self,
        ecosystem: &str,
        hash: &Digest,
        archive: &Path,
    ) -> Result<(), RecordError> {
        Ok(self.objects.put_file(&keys::object::source_archive(ecosystem, hash), archive).await?)
    }

    /// Writes a stored archive to the file `to`; `false` when it is not there. Whether it is whole is for the caller to
    /// see, by its hash.
    pub async fn source_archive(
        &self,
        ecosystem: &str,
        hash: &Digest,
        to: &Path,
    ) -> Result<bool, RecordError> {
        Ok(self.objects.get_file(&keys::object::source_archive(ecosystem, hash), to).await?)
    }

    /// Stores the list of vulnerabilities that an archive is about, by its hash.
    pub async fn put_source_ids(
        &self,
        ecosystem: &str,
        hash: &Digest,
        ids: Bytes,
    ) -> Result<(), RecordError> {
        Ok(self.objects.put(&keys::object::source_ids(ecosystem, hash), ids).await?)
    }

    /// A stored list of vulnerabilities; `None` when it is not there, or spoilt.
    pub async fn source_ids(&self, ecosystem: &str, hash: &Digest) -> Result<Option<Bytes>, RecordError> {
        self.hashed(&keys::object::source_ids(ecosystem, hash), hash).await
    }

    /// Stores the scores that an archive gives, by their hash.
    pub async fn put_source_scores(
        &self,
        ecosystem: &str,
        hash: &Digest,
        scores: Bytes,
    ) -> Result<(), RecordError> {
        Ok(self.objects.put(&keys::object::source_scores(ecosystem, hash), scores).await?)
    }

    /// Stored scores; `None` when they are not there, or spoilt.
    pub async fn source_scores(&self, ecosystem: &str, hash: &Digest) -> Result<Option<Bytes>, RecordError> {
        self.hashed(&keys::object::source_scores(ecosystem, hash), hash).await
    }

    /// Removes what is stored of `old` and is no part of `new`.
    pub async fn remove_source_objects(
        &self,
        ecosystem: &str,
        old: &SourceArchive,
        new: &SourceArchive,
    ) -> Result<(), RecordError> {
        if old.hash != new.hash {
            self.objects.delete(&keys::object::source_archive(ecosystem, &old.hash)).await?;
        }
        if let Some(ids) = old.ids.filter(|ids| new.ids != Some(*ids)) {
            self.objects.delete(&keys::object::source_ids(ecosystem, &ids)).await?;
        }
        if old.scores != new.scores {
            self.objects.delete(&keys::object::source_scores(ecosystem, &old.scores)).await?;
        }
        Ok(())
    }

    /// The object at `key`, if it has this hash.
    async fn hashed(&self, key: &str, hash: &Digest) -> Result<Option<Bytes>, RecordError> {
        Ok(self.objects.get(key).await?.filter(|bytes| Digest::of(bytes) == *hash))
    }
}
