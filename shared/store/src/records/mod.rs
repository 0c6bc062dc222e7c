//! What Tidewatch keeps: typed records over the table and object storage, one file for each kind.
//!
//! Every item carries its schema version in `v`, and its content as JSON in `data`, beside the attributes that
//! conditions look at. Writers obey the roll-up protocol (see [`streams`](self)): rows first, then the mark.
//! All keys are made in one place, listed with their access patterns in docs/ARCHITECTURE.md.

mod advisories;
mod advisory_sources;
mod advisory_standing;
mod announcements;
mod bases;
mod budgets;
mod capped;
mod configuration;
mod content;
mod environments;
mod hooks;
mod images;
mod in_force;
mod inventories;
mod keys;
mod layers;
mod members;
mod postings;
mod repositories;
mod results;
mod rules;
mod slots;
mod snapshots;
mod staged;
mod streams;
mod switches;
mod tagged;
mod tokens;
mod vex;
mod windows;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidewatch_core::judgement::Criteria;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::objects::ObjectsError;
use tidewatch_core::ports::table::{Item, Key, Query, TableError, Write};
use tidewatch_core::ports::{Objects, Sleeper, Table};
use tidewatch_core::tables::Tables;
use tidewatch_core::{Retry, Retryable};

pub use advisories::{AdvisoryFamily, CurrentAdvisories};
pub use advisory_sources::{
    AdvisorySource, CompiledSource, SourceArchive, SourceError, SourceProgress, StoredSource,
};
pub use advisory_standing::AdvisoryStanding;
pub use announcements::{ANNOUNCEMENT_SHARDS, Alongside, Announcement, StoredAnnouncement};
pub use bases::{BASE_TURNS, LayeredImage};
pub use capped::CappedListing;
pub use configuration::AppliedConfig;
pub use environments::{EnvironmentPlace, MadeEnvironments, Streams};
pub use images::{ImageManifest, ImagePlace};
pub use in_force::{InForce, RematchState};
pub use layers::{Lease, LeaseOutcome};
pub use members::{FormerSlots, HeldSlot};
pub use postings::{
    PostedImage, Postings, Segment, SegmentBuilder, SegmentEntry, StoredPostings, StoredUnposted, Unposted,
};
pub use repositories::{RepositoryPage, TagPage, TagRecord, TaggedImage};
pub use results::StoredResult;
pub use rules::{ListingProgress, ListingState, PutOff, RuleState, Run, RunEnd, RunTrigger};
pub use slots::{Filling, ResultRows};
pub use snapshots::{Snapshot, SnapshotHead, TextHead};
pub use staged::{CreatedTimes, StagedListing, StagedPart, StagedTag};
pub use streams::{NewTotals, Part, PartState};
pub use switches::{Switch, SwitchProgress};
pub use vex::{MOST_DOCUMENT_BYTES, NewVex, StoredVex, UploadedVex, VexEntry, VexError};
pub use windows::BROKEN_OFF;
pub use work::{DueWork, Enqueued, HeldPlace, PendingWork, RunStanding, WorkStanding};

/// The version of the items that this code writes.
const ITEM_VERSION: i64 = 1;

/// The most items of one batch.
const MOST_IN_BATCH: usize = 100;

/// How often a transaction is tried again after a conflict, and the first pause, which doubles.
const CONFLICT_TRIES: u32 = 6;
const CONFLICT_PAUSE: Duration = Duration::from_millis(20);

/// What images are judged by, with the version of the configuration that it was made of, by organisation.
type KeptCriteria = HashMap<OrgName, (i64, Arc<Criteria>)>;

/// Reads and writes the records of all organisations.
#[derive(Clone)]
pub struct Records {
    table: Arc<dyn Table>,
    objects: Arc<dyn Objects>,
    sleeper: Arc<dyn Sleeper>,
    /// The tables that were read last.
    kept: Arc<Mutex<Option<Arc<Tables>>>>,
    /// What images of organisations are judged by, under the version of the configuration that was read last.
    kept_criteria: Arc<Mutex<KeptCriteria>>,
    /// The objects that were stored last.
    stored_keys: Arc<Mutex<content::StoredKeys>>,
}

/// A record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The table did not do it.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Object storage did not do it.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// An item or object does not hold what it should.
    #[error("failed to read the record {place}: {reason}")]
    Corrupt {
        /// Key of the item or object.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else has written what this write was computed from. Compute it again.
    #[error("failed to write {what}: it has changed in the meantime")]
    Changed {
        /// What was to be written.
        what: String,
    },
}

impl Retryable for RecordError {
    fn retry(&self) -> Retry {
        match self {
            Self::Table(error) => error.retry(),
            Self::Objects(error) => error.retry(),
            Self::Corrupt { .. } => Retry::Never,
            Self::Changed { .. } => Retry::Again,
        }
    }
}

impl Records {
    /// Records in `table` and `objects`; `sleeper` is for the pauses between tries of a transaction in conflict.
    pub fn new(table: Arc<dyn Table>, objects: Arc<dyn Objects>, sleeper: Arc<dyn Sleeper>) -> Self {
        Self {
            table,
            objects,
            sleeper,
            kept: Arc::default(),
            kept_criteria: Arc::default(),
            stored_keys: Arc::default(),
        }
    }

    /// A transaction that is tried again after conflicts with other transactions.
    async fn transact(&self, writes: Vec<Write>) -> Result<(), TableError> {
        let mut pause = CONFLICT_PAUSE;
        for _ in 1..CONFLICT_TRIES {
            match self.table.transact(writes.clone()).await {
                Err(TableError::TransactionConflict) => self.sleeper.sleep(pause).await,
                done => return done,
            }
            pause *= 2;
        }
        self.table.transact(writes).await
    }

    /// The record at `key`.
    async fn record<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, RecordError> {
        self.table.get(key).await?.map(|item| decode(&item)).transpose()
    }

    /// The items at `keys`, in their order; `None` where there is none. A key may repeat: the same image stands in several
    /// places.
    async fn items(&self, keys: Vec<Key>) -> Result<Vec<Option<Item>>, RecordError> {
        let mut found = HashMap::with_capacity(keys.len());
        let distinct: Vec<Key> = keys.iter().collect::<HashSet<_>>().into_iter().cloned().collect();
        for batch in distinct.chunks(MOST_IN_BATCH) {
            let items = self.table.get_batch(batch).await?;
            found.extend(items.into_iter().map(|item| (item.key.clone(), item)));
        }
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    /// Every item of a query, page by page. Only for partitions with a bound on their size.
    async fn all(&self, mut query: Query) -> Result<Vec<Item>, RecordError> {
        let mut items = Vec::new();
        loop {
            let page = self.table.query(query.clone()).await?;
            items.extend(page.items);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(items),
            }
        }
    }
}

/// An item that holds `record` as JSON.
fn encode<T: Serialize>(key: Key, record: &T) -> Result<Item, RecordError> {
    let place = format!("{}/{}", key.partition, key.sort);
    let data = serde_json::to_string(record).map_err(|error| corrupt(place, error))?;
    Ok(Item::new(key).with("v", ITEM_VERSION).with("data", data))
}

/// The record that an item holds.
fn decode<T: DeserializeOwned>(item: &Item) -> Result<T, RecordError> {
    check_version(item)?;
    let place = || format!("{}/{}", item.key.partition, item.key.sort);
    let data = item.text("data").ok_or_else(|| corrupt(place(), "there is no `data`"))?;
    serde_json::from_str(data).map_err(|error| corrupt(place(), error))
}

/// A newer schema version than this code knows is refused, not guessed at.
fn check_version(item: &Item) -> Result<(), RecordError> {
    match item.number("v") {
        Some(version) if version <= ITEM_VERSION => Ok(()),
        version => {
            let place = format!("{}/{}", item.key.partition, item.key.sort);
            Err(corrupt(place, format!("schema version {version:?} is not one this version reads")))
        }
    }
}

fn corrupt(place: String, reason: impl std::fmt::Display) -> RecordError {
    RecordError::Corrupt { place, reason: reason.to_string() }
}

/// A point in time as tables hold it: milliseconds since 1970.
fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// A time to live: seconds since 1970, `after` from `now`.
fn time_to_live(now: Timestamp, after: Duration) -> i64 {
    now.as_second().saturating_add(i64::try_from(after.as_secs()).unwrap_or(i64::MAX))
}

/// Turns a condition that did not hold into `None`.
fn unless_condition_failed<T>(outcome: Result<T, TableError>) -> Result<Option<T>, RecordError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(TableError::ConditionFailed { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

const DAY: Duration = Duration::from_secs(86_400);
