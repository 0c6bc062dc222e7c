//! What results depend on: the advisories that images are matched against and the policies that they are judged by. And
//! for which of these images were last sent to be matched again.

use std::sync::{Arc, PoisonError};

use serde::{Deserialize, Serialize};
use tidewatch_core::basis::Basis;
use tidewatch_core::image::ImageId;
use tidewatch_core::judgement::{Criteria, Judging, criteria_fingerprint};
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::Condition;
use tidewatch_core::result::ImageResult;
use tidewatch_core::tables::Tables;
use tidewatch_core::{Digest, Timestamp};

use super::{AppliedConfig, CurrentAdvisories, RecordError, Records, encode, keys, unless_condition_failed};

/// Of how many organisations it is kept what their images are judged by.
const MOST_KEPT: usize = 64;

/// What is in force for an organisation.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The configuration.
    pub applied: AppliedConfig,
    /// The advisories.
    pub advisories: CurrentAdvisories,
    /// What images are judged by.
    pub criteria: Arc<Criteria>,
    /// What is looked up beside the findings.
    pub tables: Arc<Tables>,
}

impl PartialEq for InForce {
    /// The tables are those that the advisories name.
    fn eq(&self, other: &Self) -> bool {
        self.applied == other.applied
            && self.advisories == other.advisories
            && self.criteria.fingerprint() == other.criteria.fingerprint()
    }
}

impl Eq for InForce {}

/// What it was that images were last sent to be matched again for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RematchState {
    /// Names the change.
    pub fingerprint: Digest,
    /// When they were sent for.
    pub sent_at: Timestamp,
    /// When unposted images were last sent to be posted.
    #[serde(default)]
    pub posting_sent_at: Option<Timestamp>,
}

impl InForce {
    /// All of it that results depend on at `now`.
    pub fn basis(&self, now: Timestamp) -> Basis {
        let counted_since = self.applied.counting.since();
        self.advisories.basis(self.criteria.fingerprint(), (self.criteria.has_limited(), counted_since), now)
    }

    /// What images are judged by at `now`.
    pub fn judging(&self, now: Timestamp) -> Judging<'_> {
        Judging { criteria: &self.criteria, tables: &self.tables, now }
    }
}

impl Records {
    /// Whether `result`, the stored one of an image, is as good as a new one by what is in force: it rests on that, or the
    /// image is settled, and whoever finds that a change of what is in force is about it sends for it to be matched again
    /// (docs/ARCHITECTURE.md, "Rematching"). Who was sent for an image asks [`tidewatch_core::basis::Footing::is_of`].
    pub async fn is_current(
        &self,
        org: &OrgName,
        image: &ImageId,
        result: &ImageResult,
        basis: &Basis,
    ) -> Result<bool, RecordError> {
        if result.footing().is_of(basis) {
            return Ok(true);
        }
        if result.inventory.is_none() || result.matching != basis.matching {
            return Ok(false);
        }
        // Read after the result: a row that was written with it is found, unless the image has been posted since.
        let unposted = self.unposted_image(org, image).await?;
        Ok(unposted.is_none_or(|unposted| unposted.row.footing.is_of(basis)))
    }

    /// What is in force; `None` for an organisation that is not there. The object of the configuration is read only when
    /// it is not the one of `known`.
    pub async fn in_force(
        &self,
        org: &OrgName,
        known: Option<&InForce>,
    ) -> Result<Option<InForce>, RecordError> {
        match self.config_unless_known(org, known.map(|known| &known.applied)).await? {
            Some(applied) => self.in_force_with(applied, known).await.map(Some),
            None => Ok(None),
        }
    }

    /// What is in force beside the configuration `applied`. What it has in common with `known` is not read again.
    pub async fn in_force_with(
        &self,
        applied: AppliedConfig,
        known: Option<&InForce>,
    ) -> Result<InForce, RecordError> {
        let advisories = self.current_advisories().await?;
        let tables = self.tables(&advisories).await?;
        let known = known.filter(|known| known.applied.version == applied.version);
        let criteria = match known {
            Some(known) => Arc::clone(&known.criteria),
            None => self.criteria(&applied).await?,
        };
        Ok(InForce { applied, advisories, criteria, tables })
    }

    /// What images are judged by under `applied`. It is made once while that is in force, for all who use these records.
    async fn criteria(&self, applied: &AppliedConfig) -> Result<Arc<Criteria>, RecordError> {
        let AppliedConfig { config, version, vex, counting, .. } = applied;
        let lock = || self.kept_criteria.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((kept, criteria)) = lock().get(&config.org)
            && kept == version
        {
            return Ok(Arc::clone(criteria));
        }
        let documents = self.vex_documents(&config.org, vex).await?;
        let criteria = Arc::new(Criteria::new(config, documents).counted(counting));
        let mut kept = lock();
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(config.org.clone(), (*version, Arc::clone(&criteria)));
        Ok(criteria)
    }

    /// All that results depend on at `now`, when images are judged by the configuration `applied`, for those who do not
    /// match or judge themselves.
    pub async fn basis(&self, applied: &AppliedConfig, now: Timestamp) -> Result<Basis, RecordError> {
        let advisories = self.current_advisories().await?;
        let vex: Vec<Digest> = applied.vex.iter().map(|vex| vex.digest).collect();
        let criteria = criteria_fingerprint(&applied.config, &vex, &applied.counting);
        Ok(advisories.basis(criteria, (applied.has_limited(), applied.counting.since()), now))
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
