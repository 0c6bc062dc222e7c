//! The snapshot of an organisation: the metrics as they are served.
//!
//! It is two items, written together. The head is small, is read at every scrape, and is all that changes while the
//! numbers stay; DynamoDB counts the size of whole items, also when only some attributes are read or changed. The bodies
//! are read when the head has another number than those that the reader has.

use jiff::Timestamp;
use tidewatch_core::Digest;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::{Condition, Item, TableError, Update, Value, Write};

use super::{
    ITEM_VERSION, RecordError, Records, check_version, corrupt, keys, millis, unless_condition_failed,
};

/// How often the two items are read anew when a roll-up has published between them.
const READS: usize = 4;

/// What is told of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextHead {
    /// Its length in bytes.
    pub length: u64,
    /// Its digest: its entity tag.
    pub digest: Digest,
}

/// What is told of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The version of the configuration that it was made under.
    pub config_version: i64,
    /// Grows with every change under one configuration: counts how often what it is made of has changed.
    pub number: i64,
    /// The text of Docker Scout's families.
    pub metrics: TextHead,
    /// The text of our own families.
    pub own: TextHead,
    /// When it was made.
    pub made_at: Timestamp,
    /// When a roll-up last found it right.
    pub checked_at: Timestamp,
    /// Names the policies and exceptions that its images were judged by; `None` where its writer did not say yet.
    pub judging: Option<Digest>,
}

impl SnapshotHead {
    /// Which snapshot it is: a later one is greater.
    pub const fn version(&self) -> (i64, i64) {
        (self.config_version, self.number)
    }
}

/// The metrics of an organisation, ready to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What is told of it.
    pub head: SnapshotHead,
    /// The text of Docker Scout's families, compressed by gzip. Both texts together have at most 300 KiB.
    pub metrics: Vec<u8>,
    /// The text of our own families, likewise.
    pub own: Vec<u8>,
}

impl Records {
    /// The head of an organisation's snapshot; `None` before the first roll-up.
    pub async fn snapshot_head(&self, org: &OrgName) -> Result<Option<SnapshotHead>, RecordError> {
        let item = self.table.get(&keys::snapshot(org)).await?;
        // One from before there were two texts has one body in it, and no second one: the next roll-up replaces it.
        item.filter(|item| item.number("v") != Some(ITEM_VERSION) || item.text("own_digest").is_some())
            .map(|item| read_head(&item))
            .transpose()
    }

    /// The snapshot of an organisation with its bodies; `None` before the first roll-up.
    pub async fn snapshot(&self, org: &OrgName) -> Result<Option<Snapshot>, RecordError> {
        for _ in 0..READS {
            let Some(head) = self.snapshot_head(org).await? else { return Ok(None) };
            let bodies = self.table.get(&keys::snapshot_bodies(org)).await?;
            let missing = || corrupt(keys::snapshot_bodies(org).sort, "there are no bodies");
            let bodies = bodies.ok_or_else(missing)?;
            check_version(&bodies)?;
            let version = (bodies.number("config_version"), bodies.number("number"));
            if version == (Some(head.config_version), Some(head.number)) {
                let body = |name| bodies.bytes(name).map(<[u8]>::to_vec).ok_or_else(missing);
                return Ok(Some(Snapshot { head, metrics: body("metrics")?, own: body("own")? }));
            }
        }
        Err(RecordError::Changed { what: format!("the snapshot of {org}") })
    }

    /// Publishes a snapshot. `false` when the published one is as new, or newer.
    pub async fn publish_snapshot(&self, org: &OrgName, snapshot: &Snapshot) -> Result<bool, RecordError> {
        let Snapshot { head, metrics, own } = snapshot;
        let older = Condition::Any(vec![
            Condition::ItemAbsent,
            // One from before there were two texts.
            Condition::Absent("own_digest".to_owned()),
            Condition::Less("config_version".to_owned(), head.config_version.into()),
            Condition::All(vec![
                Condition::Equal("config_version".to_owned(), head.config_version.into()),
                Condition::Less("number".to_owned(), head.number.into()),
            ]),
        ]);
        let versioned = |key| {
            Item::new(key)
                .with("v", ITEM_VERSION)
                .with("config_version", head.config_version)
                .with("number", head.number)
        };
        let length = |text: &TextHead| i64::try_from(text.length).unwrap_or(i64::MAX);
        let bodies = versioned(keys::snapshot_bodies(org))
            .with("metrics", Value::Bytes(metrics.clone()))
            .with("own", Value::Bytes(own.clone()));
        let item = versioned(keys::snapshot(org))
            .with("length", length(&head.metrics))
            .with("digest", head.metrics.digest.to_string())
            .with("own_length", length(&head.own))
            .with("own_digest", head.own.digest.to_string())
            .with("made_at", millis(head.made_at))
            .with("checked_at", millis(head.checked_at));
        let item = match head.judging {
            Some(judging) => item.with("judging", judging.to_string()),
            None => item,
        };
        let writes = vec![Write::Put(item, older), Write::Put(bodies, Condition::Always)];
        Ok(unless_condition_failed(self.transact(writes).await)?.is_some())
    }

    /// Notes that a roll-up found the published snapshot right at `now`, when it is still that one and was not found
    /// right later.
    pub async fn confirm_snapshot(
        &self,
        org: &OrgName,
        head: &SnapshotHead,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let same = Condition::All(vec![
            Condition::Equal("config_version".to_owned(), head.config_version.into()),
            Condition::Equal("number".to_owned(), head.number.into()),
            Condition::Less("checked_at".to_owned(), millis(now).into()),
        ]);
        let checked = Update::default().set("checked_at", millis(now));
        match self.table.update(&keys::snapshot(org), checked, same).await {
            // Another roll-up is publishing a newer one right now.
            Err(TableError::TransactionConflict) => Ok(()),
            outcome => unless_condition_failed(outcome).map(drop),
        }
    }
}

fn read_head(item: &Item) -> Result<SnapshotHead, RecordError> {
    check_version(item)?;
    let missing = |name: &str| corrupt(item.key.partition.clone(), format!("there is no {name}"));
    let number = |name: &str| item.number(name).ok_or_else(|| missing(name));
    let time = |name: &str| Timestamp::from_millisecond(number(name)?).map_err(|_| missing(name));
    let text = |length: &str, digest: &str| {
        Ok::<_, RecordError>(TextHead {
            length: u64::try_from(number(length)?).map_err(|_| missing(length))?,
            digest: item
                .text(digest)
                .and_then(|digest| digest.parse().ok())
                .ok_or_else(|| missing("digest"))?,
        })
    };
    Ok(SnapshotHead {
        config_version: number("config_version")?,
        number: number("number")?,
        metrics: text("length", "digest")?,
        own: text("own_length", "own_digest")?,
        made_at: time("made_at")?,
        checked_at: time("checked_at")?,
        judging: item.text("judging").and_then(|judging| judging.parse().ok()),
    })
}
