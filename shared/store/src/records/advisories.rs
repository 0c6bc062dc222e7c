//! The compiled advisories in force: one index per family, by content hash, and one item that names them.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::basis::{Basis, MATCHING};
use tidewatch_core::config::Config;
use tidewatch_core::ports::table::Condition;

use super::{RecordError, Records, decode, encode, keys, unless_condition_failed};

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
}

/// The indexes in force, by family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentAdvisories {
    /// Family to index.
    pub families: BTreeMap<String, AdvisoryFamily>,
}

impl CurrentAdvisories {
    /// Content hash of the index of a family.
    pub fn hash(&self, family: &str) -> Option<Digest> {
        self.families.get(family).map(|family| family.hash)
    }

    /// All that results depend on when images are judged by `config`: how packages are matched, the index of each family,
    /// and the policies. The rest of the configuration does not count, nor when an index was built.
    pub fn basis(&self, config: &Config) -> Basis {
        Basis {
            matching: MATCHING,
            indexes: self.families.iter().map(|(family, index)| (family.clone(), index.hash)).collect(),
            judging: config.judging_fingerprint(),
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
        loop {
            let item = self.table.get(&keys::advisories()).await?;
            let revision = item.as_ref().and_then(|item| item.number("revision"));
            let mut current: CurrentAdvisories = item.as_ref().map(decode).transpose()?.unwrap_or_default();
            current.families.extend(families.clone());
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
