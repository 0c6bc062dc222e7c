//! The snapshot of an organisation: the metrics as they are served.

use jiff::Timestamp;
use tidewatch_core::Digest;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::{Condition, Item, Update};

use super::{
    ITEM_VERSION, RecordError, Records, check_version, corrupt, keys, millis, unless_condition_failed,
};

/// The metrics of an organisation, ready to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The version of the configuration that it was made under.
    pub config_version: i64,
    /// Grows with every change under one configuration: how often the totals of its groups have changed.
    pub number: i64,
    /// The text, compressed by gzip; at most 300 KB.
    pub body: Vec<u8>,
    /// Length of the text in bytes.
    pub length: u64,
    /// Digest of the text: its entity tag.
    pub digest: Digest,
    /// When it was made.
    pub made_at: Timestamp,
    /// When a roll-up last found it right.
    pub checked_at: Timestamp,
}

impl Records {
    /// The snapshot of an organisation; `None` before the first roll-up.
    pub async fn snapshot(&self, org: &OrgName) -> Result<Option<Snapshot>, RecordError> {
        self.table.get(&keys::snapshot(org)).await?.map(|item| read_snapshot(&item)).transpose()
    }

    /// Publishes a snapshot. `false` when the published one is as new, or newer.
    pub async fn publish_snapshot(&self, org: &OrgName, snapshot: &Snapshot) -> Result<bool, RecordError> {
        let older = Condition::Any(vec![
            Condition::ItemAbsent,
            Condition::Less("config_version".to_owned(), snapshot.config_version.into()),
            Condition::All(vec![
                Condition::Equal("config_version".to_owned(), snapshot.config_version.into()),
                Condition::Less("number".to_owned(), snapshot.number.into()),
            ]),
        ]);
        let mut item = Item::new(keys::snapshot(org))
            .with("v", ITEM_VERSION)
            .with("config_version", snapshot.config_version)
            .with("number", snapshot.number)
            .with("length", i64::try_from(snapshot.length).unwrap_or(i64::MAX))
            .with("digest", snapshot.digest.to_string())
            .with("made_at", millis(snapshot.made_at))
            .with("checked_at", millis(snapshot.checked_at));
        item.attributes
            .insert("body".to_owned(), tidewatch_core::ports::table::Value::Bytes(snapshot.body.clone()));
        Ok(unless_condition_failed(self.table.put(item, older).await)?.is_some())
    }

    /// Notes that a roll-up found the published snapshot right at `now`, when it is still that one and was not found
    /// right later.
    pub async fn confirm_snapshot(
        &self,
        org: &OrgName,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let same = Condition::All(vec![
            Condition::Equal("config_version".to_owned(), snapshot.config_version.into()),
            Condition::Equal("number".to_owned(), snapshot.number.into()),
            Condition::Less("checked_at".to_owned(), millis(now).into()),
        ]);
        let checked = Update::default().set("checked_at", millis(now));
        unless_condition_failed(self.table.update(&keys::snapshot(org), checked, same).await)?;
        Ok(())
    }
}

fn read_snapshot(item: &Item) -> Result<Snapshot, RecordError> {
    check_version(item)?;
    let missing = |name: &str| corrupt(item.key.partition.clone(), format!("there is no {name}"));
    let number = |name: &str| item.number(name).ok_or_else(|| missing(name));
    let time = |name: &str| Timestamp::from_millisecond(number(name)?).map_err(|_| missing(name));
    Ok(Snapshot {
        config_version: number("config_version")?,
        number: number("number")?,
        body: item.bytes("body").ok_or_else(|| missing("body"))?.to_vec(),
        length: u64::try_from(number("length")?).map_err(|_| missing("length"))?,
        digest: item
            .text("digest")
            .and_then(|digest| digest.parse().ok())
            .ok_or_else(|| missing("digest"))?,
        made_at: time("made_at")?,
        checked_at: time("checked_at")?,
    })
}
