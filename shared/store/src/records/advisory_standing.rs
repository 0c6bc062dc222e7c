//! How fresh the advisories are that everything is matched with: the indexes in force and their sources, in one look.

use std::collections::BTreeMap;

use super::{AdvisoryFamily, AdvisorySource, CurrentAdvisories, RecordError, Records, decode, keys};

/// The indexes in force and their sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdvisoryStanding {
    /// Grows with every change of any of it.
    pub revision: i64,
    /// The indexes in force, by family.
    pub families: BTreeMap<String, AdvisoryFamily>,
    /// The sources, by name.
    pub sources: BTreeMap<String, AdvisorySource>,
}

impl Records {
    /// How the advisories stand; empty before the first are there.
    pub async fn advisory_standing(&self) -> Result<AdvisoryStanding, RecordError> {
        let current = self.table.get(&keys::advisories()).await?;
        let mut revision = current.as_ref().and_then(|item| item.number("revision")).unwrap_or(0);
        let current: CurrentAdvisories = current.as_ref().map(decode).transpose()?.unwrap_or_default();
        let mut sources = BTreeMap::new();
        // None is ever removed, so that the sum only grows.
        for (name, stored) in self.advisory_sources().await? {
            revision += stored.revision.unwrap_or(0);
            sources.insert(name, stored.source);
        }
        Ok(AdvisoryStanding { revision, families: current.families, sources })
    }
}
