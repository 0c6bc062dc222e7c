//! How fresh the advisories are that everything is matched with: the indexes in force and their sources, in one look.

use std::collections::BTreeMap;

use tidewatch_core::ports::table::Query;

use super::{AdvisoryFamily, AdvisorySource, CurrentAdvisories, RecordError, Records, decode, keys};

/// The indexes in force and their sources, as far as their rows can be read.
#[derive(Debug, Default)]
pub struct AdvisoryStanding {
    /// Grows with every change of any of it, also of rows that cannot be read.
    pub revision: i64,
    /// The indexes in force, by family.
    pub families: BTreeMap<String, AdvisoryFamily>,
    /// The sources, by name.
    pub sources: BTreeMap<String, AdvisorySource>,
    /// What is wrong with rows that cannot be read.
    pub unreadable: Vec<RecordError>,
}

impl Records {
    /// How the advisories stand; empty before the first are there.
    pub async fn advisory_standing(&self) -> Result<AdvisoryStanding, RecordError> {
        let mut standing = AdvisoryStanding::default();
        if let Some(item) = self.table.get(&keys::advisories()).await? {
            standing.revision += item.number("revision").unwrap_or(0);
            match decode::<CurrentAdvisories>(&item) {
                Ok(current) => standing.families = current.families,
                Err(error) => standing.unreadable.push(error),
            }
        }
        // No source is ever removed, so that the sum only grows.
        for item in self.all(Query::prefix(keys::ADVISORIES, keys::ADVISORY_SOURCE)).await? {
            standing.revision += item.number("revision").unwrap_or(0);
            let name = item.key.sort.strip_prefix(keys::ADVISORY_SOURCE).unwrap_or_default();
            match decode(&item) {
                Ok(source) => drop(standing.sources.insert(name.to_owned(), source)),
                Err(error) => standing.unreadable.push(error),
            }
        }
        Ok(standing)
    }
}
