//! What all sources know of vulnerabilities, and what of that an archive uses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use tidewatch_advisories::{ScoreTable, ScoreTableError};
use tidewatch_core::Digest;
use tidewatch_store::records::StoredSource;

use crate::sources;
use crate::{SyncAdvisories, SyncError};

/// Source to the hash of its scores: with the archive, all that an index depends on.
pub(crate) type Scores = BTreeMap<String, Digest>;

/// All scores of some sources.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    scores: Scores,
    pub(crate) table: Arc<ScoreTable>,
}

/// Stored scores are not there any more.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) ecosystem: String,
    pub(crate) hash: Digest,
}

impl SyncAdvisories {
    /// The present scores of the sources that are set.
    pub(crate) fn present_scores(&self, stored: &BTreeMap<String, StoredSource>) -> Scores {
        let set = self.sources();
        let gives = |name: &str| set.contains(name) && sources::of(name).gives_scores();
        let set = stored.iter().filter(|(ecosystem, _)| gives(ecosystem));
        set.filter_map(|(ecosystem, stored)| {
            Some((ecosystem.clone(), stored.source.archive.as_ref()?.scores))
        })
        .collect()
    }

    /// All scores of these hashes. Those that were asked for last are kept: many ecosystems ask for the same.
    pub(crate) async fn known(&self, scores: &Scores) -> Result<Result<Known, Lost>, SyncError> {
        let kept = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = kept.filter(|known| known.scores == *scores) {
            return Ok(Ok(known));
        }
        let mut table = ScoreTable::default();
        for (ecosystem, hash) in scores {
            let bytes = self.records.source_scores(ecosystem, hash).await?;
            match bytes.and_then(|bytes| ScoreTable::from_bytes(&bytes).ok()) {
                Some(scores) => table.merge(scores),
                None => return Ok(Err(Lost { ecosystem: ecosystem.clone(), hash: *hash })),
            }
        }
        let known = Known { scores: scores.clone(), table: Arc::new(table) };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        Ok(Ok(known))
    }
}

/// The ids of vulnerabilities as they are stored.
pub(crate) fn to_bytes(ids: &BTreeSet<String>) -> Result<Vec<u8>, ScoreTableError> {
    Ok(postcard::to_allocvec(ids)?)
}

/// The hash of what `table` says of these vulnerabilities.
pub(crate) fn used(table: &ScoreTable, ids: &[u8]) -> Result<Digest, ScoreTableError> {
    let ids: BTreeSet<String> = postcard::from_bytes(ids)?;
    Ok(Digest::of(&table.about(&ids).to_bytes()?))
}
