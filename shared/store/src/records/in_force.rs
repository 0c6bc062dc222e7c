//! What results depend on: the advisories that images are matched against and the policies that they are judged by. And
//! for which of these images were last sent to be matched again.

use serde::{Deserialize, Serialize};
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::Condition;
use tidewatch_core::result::ImageResult;
use tidewatch_core::{Digest, Timestamp};

use super::{AppliedConfig, CurrentAdvisories, RecordError, Records, encode, keys, unless_condition_failed};

/// What is in force for an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The configuration.
    pub applied: AppliedConfig,
    /// The advisories.
    pub advisories: CurrentAdvisories,
}

/// What was in force when images were last sent to be matched again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RematchState {
    /// [`InForce::fingerprint`].
    pub fingerprint: Digest,
    /// When they were sent.
    pub sent_at: Timestamp,
}

impl InForce {
    /// Whether matching and judging again would give the same as `result`.
    pub fn is_current(&self, result: &ImageResult) -> bool {
        result.is_current(|family| self.advisories.hash(family), self.applied.config.judging_fingerprint())
    }

    /// Names all of it that results depend on: the index of each family, and what images are judged by. The rest of the
    /// configuration does not count, nor when an index was built.
    pub fn fingerprint(&self) -> Digest {
        let indexes: Vec<_> =
            self.advisories.families.iter().map(|(family, index)| (family, index.hash)).collect();
        let judging = self.applied.config.judging_fingerprint();
        Digest::of(&serde_json::to_vec(&(indexes, judging)).unwrap_or_default())
    }
}

impl Records {
    /// What is in force; `None` for an organisation that is not there. The object of the configuration is read only when
    /// it is not the one of `known`.
    pub async fn in_force(
        &self,
        org: &OrgName,
        known: Option<&InForce>,
    ) -> Result<Option<InForce>, RecordError> {
        let advisories = self.current_advisories().await?;
        let applied = self.config_unless_known(org, known.map(|known| &known.applied)).await?;
        Ok(applied.map(|applied| InForce { applied, advisories }))
    }

    /// For what images were last sent to be matched again; `None` when they never were.
    pub async fn rematch_state(&self, org: &OrgName) -> Result<Option<RematchState>, RecordError> {
        self.record(&keys::rematch(org)).await
    }

    /// Notes that images were sent to be matched again, decided on what was `read` before. `false` when somebody else has
    /// noted something since.
    pub async fn note_rematch(
        &self,
        org: &OrgName,
        read: Option<&RematchState>,
        sent: &RematchState,
    ) -> Result<bool, RecordError> {
        let unchanged = read.map_or(Condition::ItemAbsent, |read| {
            Condition::Equal("fingerprint".to_owned(), read.fingerprint.to_string().into())
        });
        let item = encode(keys::rematch(org), sent)?.with("fingerprint", sent.fingerprint.to_string());
        Ok(unless_condition_failed(self.table.put(item, unchanged).await)?.is_some())
    }
}
