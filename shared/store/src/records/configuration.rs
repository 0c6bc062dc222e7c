//! The configuration of an organisation: immutable objects, and one item that points to the one in force.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::config::{Config, ExceptionConfig};
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::ports::table::{Condition, Item, Query, Write};
use tidewatch_core::stream::{Counting, Member};

use super::{RecordError, Records, UploadedVex, corrupt, encode, keys, unless_condition_failed};

/// A configuration in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedConfig {
    /// The configuration.
    pub config: Config,
    /// Counts the changes of what is in force for the organisation, of its configuration and of VEX documents, from 1.
    pub version: i64,
    /// When it was put in force.
    pub applied_at: Timestamp,
    /// The VEX documents that are in force beside it, in the order in which they were uploaded.
    pub vex: Vec<UploadedVex>,
    /// How images are counted under it.
    pub counting: Counting,
}

impl AppliedConfig {
    /// Whether a member of `stream` counts: its registry is configured, and it stands in a slot of the counting in force.
    pub fn counts(&self, stream: &StreamName, member: &Member) -> bool {
        self.config.registry(&member.image.registry).is_some() && self.counting.counts(stream, member)
    }

    /// Whether anything that images are judged by is limited to some repositories or streams.
    pub fn has_limited(&self) -> bool {
        self.config.exceptions.iter().any(ExceptionConfig::is_limited)
            || self.vex.iter().any(|vex| vex.is_limited)
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Pointer {
    pub(super) version: i64,
    pub(super) object: String,
    pub(super) applied_at: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) vex: Vec<UploadedVex>,
    #[serde(default, skip_serializing_if = "Counting::is_first")]
    pub(super) counting: Counting,
}

impl Records {
    /// The names of all organisations, sorted.
    pub async fn orgs(&self) -> Result<Vec<OrgName>, RecordError> {
        let items = self.all(Query::prefix(keys::ORGS, "")).await?;
        let name = |item: Item| item.key.sort.parse().map_err(|error| corrupt(item.key.sort.clone(), error));
        items.into_iter().map(name).collect()
    }

    /// The configuration in force; `None` for an organisation that is not there.
    pub async fn config(&self, org: &OrgName) -> Result<Option<AppliedConfig>, RecordError> {
        self.config_unless_known(org, None).await
    }

    /// The configuration in force; its object is not read when it is the `known` one.
    pub async fn config_unless_known(
        &self,
        org: &OrgName,
        known: Option<&AppliedConfig>,
    ) -> Result<Option<AppliedConfig>, RecordError> {
        let Some(pointer) = self.record::<Pointer>(&keys::configuration(org)).await? else {
            return Ok(None);
        };
        if let Some(known) = known.filter(|known| known.version == pointer.version) {
            return Ok(Some(known.clone()));
        }
        let place = || pointer.object.clone();
        let object =
            self.objects.get(&pointer.object).await?.ok_or_else(|| corrupt(place(), "it is not there"))?;
        let config = serde_json::from_slice(&object).map_err(|error| corrupt(place(), error))?;
        let Pointer { version, applied_at, vex, counting, .. } = pointer;
        Ok(Some(AppliedConfig { config, version, applied_at, vex, counting }))
    }

    /// Puts `config` in force, beside the VEX documents that are, planned against version `planned_against` (`None`: there was no configuration).
    /// Gives the new version, or [`RecordError::Changed`] when somebody else applied one in between.
    pub async fn apply_config(
        &self,
        config: &Config,
        planned_against: Option<i64>,
        now: Timestamp,
    ) -> Result<i64, RecordError> {
        let version = planned_against.unwrap_or(0) + 1;
        let content =
            serde_json::to_vec(config).map_err(|error| corrupt("configuration".to_owned(), error))?;
        let object = keys::object::configuration(&config.org, version, &Digest::of(&content));
        self.objects.put(&object, Bytes::from(content)).await?;
        // As of the version that it is planned against: of another, nothing is written.
        let before = match planned_against {
            Some(_) => self.record::<Pointer>(&keys::configuration(&config.org)).await?,
            None => None,
        };
        let (vex, counting) = before.map(|before| (before.vex, before.counting)).unwrap_or_default();
        let counting = counting.after(config, version, now);
        let pointer = Pointer { version, object, applied_at: now, vex, counting };
        let pointer = encode(keys::configuration(&config.org), &pointer)?.with("version", version);
        let unchanged = planned_against
            .map_or(Condition::ItemAbsent, |version| Condition::Equal("version".to_owned(), version.into()));
        let entry = Item::new(keys::org_entry(&config.org)).with("v", super::ITEM_VERSION);
        let writes = vec![Write::Put(pointer, unchanged), Write::Put(entry, Condition::Always)];
        unless_condition_failed(self.transact(writes).await)?
            .map(|()| version)
            .ok_or_else(|| RecordError::Changed { what: format!("the configuration of {}", config.org) })
    }
}
