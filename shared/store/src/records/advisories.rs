//! The compiled advisories in force: one index per family, by content hash, and one object that names them.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;

use super::{RecordError, Records, keys};

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
}

impl Records {
    /// The indexes in force; none before the first build.
    pub async fn current_advisories(&self) -> Result<CurrentAdvisories, RecordError> {
        Ok(self.object(keys::object::CURRENT_ADVISORIES).await?.unwrap_or_default())
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
        let mut current = self.current_advisories().await?;
        current.families.extend(families);
        self.put_object(keys::object::CURRENT_ADVISORIES, &current).await
    }
}
