//! The compiled advisories in force: one index per family, by content hash, and one item that names them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::basis::{Basis, MATCHING};
use tidewatch_core::judgement::judging_fingerprint;
use tidewatch_core::ports::table::Condition;
use tidewatch_core::tables::{EndOfLife, TableDate, TableVersion, TableVersions, Tables};

use super::{RecordError, Records, corrupt, decode, encode, keys, unless_condition_failed};

/// The index of one ecosystem family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvisoryFamily {
    /// Content hash of the index file.
    pub hash: Digest,
    /// Size of the index file in bytes.
    pub size: u64,
    /// Records that were read for it.
    pub records: u64,
    /// Advisories in it.
    pub advisories: u64,
    /// Records that are withdrawn.
    pub withdrawn: u64,
    /// Records that could not be used.
    pub problems: u64,
    /// When the newest of its records was changed.
    pub newest_modified: Option<Timestamp>,
    /// When it was built.
    pub built_at: Timestamp,
    /// When its source last gave what it is made of, or said that it is unchanged; `None` for one that was built of files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Timestamp>,
}

impl AdvisoryFamily {
    /// Of when its advisories are: when its source last confirmed them, else when it was built.
    pub fn date(&self) -> TableDate {
        TableDate(self.confirmed_at.unwrap_or(self.built_at))
    }
}

/// The indexes in force, by family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentAdvisories {
    /// Family to index.
    pub families: BTreeMap<String, AdvisoryFamily>,
    /// The tables that images are judged by.
    #[serde(default, skip_serializing_if = "TableVersions::is_empty")]
    pub tables: TableVersions,
}

impl CurrentAdvisories {
    /// Content hash of the index of a family.
    pub fn hash(&self, family: &str) -> Option<Digest> {
        self.families.get(family).map(|family| family.hash)
    }

    /// Of when the advisories of each family are.
    pub fn dates(&self) -> BTreeMap<String, TableDate> {
        self.families.iter().map(|(family, index)| (family.clone(), index.date())).collect()
    }

    /// All that results depend on at `now`, when images are judged by the criteria of this fingerprint: how packages are
    /// matched, the index of each family, and what images are judged by. It does not count when an index was built.
    /// `is_limited`: whether any of the criteria is limited to some repositories or streams; `counted_since`: since which
    /// version of the configuration images are counted as they are.
    pub(super) fn basis(
        &self,
        criteria: Digest,
        (is_limited, counted_since): (bool, i64),
        now: Timestamp,
    ) -> Basis {
        Basis {
            matching: MATCHING,
            indexes: self.families.iter().map(|(family, index)| (family.clone(), index.hash)).collect(),
            judging: judging_fingerprint(criteria, &self.tables, &self.dates(), now),
            is_limited,
            counted_since,
        }
    }
}

impl Records {
    /// The indexes in force; none before the first build.
    pub async fn current_advisories(&self) -> Result<CurrentAdvisories, RecordError> {
        Ok(self.record(&keys::advisories()).await?.unwrap_or_default())
    }

    /// Stores the file of an index. It is used once [`Records::publish_advisories`] names it.
    pub async fn put_advisory_index(
        &self,
        family: &str,
        hash: &Digest,
        file: Bytes,
    ) -> Result<(), RecordError> {
        Ok(self.objects.put(&keys::object::advisory_index(family, hash), file).await?)
    }

    /// The file of an index.
    pub async fn advisory_index(&self, family: &str, hash: &Digest) -> Result<Option<Bytes>, RecordError> {
        Ok(self.objects.get(&keys::object::advisory_index(family, hash)).await?)
    }

    /// Puts the given indexes in force, beside those of other families.
    pub async fn publish_advisories(
        &self,
        families: impl IntoIterator<Item = (String, AdvisoryFamily)>,
    ) -> Result<(), RecordError> {
        let families: Vec<_> = families.into_iter().collect();
        self.change_advisories(|current| current.families.extend(families.clone())).await
    }

    /// Puts in force of when CISA's catalogue is.
    pub async fn publish_known_exploited(&self, date: TableDate) -> Result<(), RecordError> {
        self.change_advisories(|current| current.tables.known_exploited = Some(date)).await
    }

    /// Stores a table of ends of life, by the hash of what it says. It is used once [`Records::publish_end_of_life`] names
    /// it.
    pub async fn put_end_of_life(&self, ends: &EndOfLife) -> Result<TableVersion, RecordError> {
        let version = ends.version();
        let key = keys::object::end_of_life(&version.content);
        self.objects.put(&key, Bytes::from(ends.content())).await?;
        Ok(version)
    }

    /// Puts a table of ends of life in force.
    pub async fn publish_end_of_life(&self, version: TableVersion) -> Result<(), RecordError> {
        self.change_advisories(|current| current.tables.end_of_life = Some(version)).await
    }

    /// The tables that are in force with `current`. They are read once while they are.
    pub async fn tables(&self, current: &CurrentAdvisories) -> Result<Arc<Tables>, RecordError> {
        let (versions, advisories) = (&current.tables, current.dates());
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let kept = kept.filter(|tables| tables.versions().end_of_life == versions.end_of_life);
        if let Some(tables) = &kept
            && (tables.versions(), &tables.advisories) == (*versions, &advisories)
        {
            return Ok(Arc::clone(tables));
        }
        let end_of_life = match (kept, &versions.end_of_life) {
            (Some(kept), _) => kept.end_of_life.clone(),
            (None, Some(version)) => Some(self.end_of_life(version).await?),
            (None, None) => None,
        };
        let known_exploited = versions.known_exploited;
        let tables = Arc::new(Tables { known_exploited, end_of_life, advisories });
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&tables));
        Ok(tables)
    }

    async fn end_of_life(&self, version: &TableVersion) -> Result<EndOfLife, RecordError> {
        let key = keys::object::end_of_life(&version.content);
        let bytes = self.objects.get(&key).await?.filter(|bytes| Digest::of(bytes) == version.content);
        let bytes = bytes.ok_or_else(|| corrupt(key.clone(), "it is not there, or spoilt"))?;
        EndOfLife::from_content(&bytes, version.date).map_err(|error| corrupt(key, error))
    }

    /// Changes what is in force.
    async fn change_advisories(&self, change: impl Fn(&mut CurrentAdvisories)) -> Result<(), RecordError> {
        loop {
            let item = self.table.get(&keys::advisories()).await?;
            let revision = item.as_ref().and_then(|item| item.number("revision"));
            let mut current: CurrentAdvisories = item.as_ref().map(decode).transpose()?.unwrap_or_default();
            change(&mut current);
            let unchanged = revision.map_or(Condition::ItemAbsent, |revision| {
                Condition::Equal("revision".to_owned(), revision.into())
            });
            let item = encode(keys::advisories(), &current)?.with("revision", revision.unwrap_or(0) + 1);
            // Another build may have put another family in force just now: then this is computed again.
            if unless_condition_failed(self.table.put(item, unchanged).await)?.is_some() {
                return Ok(());
            }
        }
    }
}
