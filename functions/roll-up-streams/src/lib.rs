//! The function `roll-up-streams`, run every minute, and for one organisation by the queue `rollups`: recomputes the
//! totals of the shards that have changed and of their groups, publishes one snapshot for each organisation, and tells
//! what newly affects images.
//!
//! It keeps to the roll-up protocol (see `tidewatch_store::records`): totals are written only over those that were
//! read, and a snapshot is published only over an older one, so that any number of roll-ups can run at the same time.

mod announce;
mod freshness;
mod groups;
mod reconcile;
mod rejudge;
mod snapshot;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::ports::{Clock, EventBus};
use tidewatch_core::stream::Totals;
use tidewatch_core::work::RollUpMessage;
use tidewatch_core::{Retry, Retryable, Timestamp};
use tidewatch_runtime::messages::describe;
use tidewatch_runtime::{Deadline, HandlerError, MessageHandler};
use tidewatch_store::records::{AdvisoryStanding, PartState, RecordError, Records, Streams};

use crate::groups::Pass;

use snapshot::RolledUp;

pub use announce::EVENT_BUS_VARIABLE;
pub use freshness::{CACHE_MINUTES_VARIABLE, FRESH_VARIABLE, Freshness, FreshnessError};
pub use reconcile::{Drift, Reconciliation};
pub use snapshot::SnapshotError;

/// For how long a tick tells announcements at most, of all organisations together.
const ANNOUNCING: Duration = Duration::from_secs(40);

/// How many groups are rolled up at the same time.
const GROUPS_AT_ONCE: usize = 8;

/// Streams could not be rolled up.
#[derive(Debug, thiserror::Error)]
pub enum RollUpError {
    /// A record could not be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The snapshot could not be made.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl Retryable for RollUpError {
    fn retry(&self) -> Retry {
        match self {
            Self::Record(error) => error.retry(),
            Self::Snapshot(_) => Retry::Never,
        }
    }
}

/// Rolls up the streams of all organisations.
#[derive(Clone)]
pub struct RollUpStreams {
    records: Records,
    clock: Arc<dyn Clock>,
    freshness: Freshness,
    /// Where events go, if anywhere.
    bus: Option<Arc<dyn EventBus>>,
    /// How the advisories stand, read once for all organisations of a tick; else they are read for each.
    advisories: Option<Arc<AdvisoryStanding>>,
    /// The last minute at which groups were reconciled.
    reconciled: Arc<AtomicI64>,
}

impl RollUpStreams {
    /// A roll-up on these ports, which publishes what has changed at once.
    pub fn new(records: Records, clock: Arc<dyn Clock>) -> Self {
        Self {
            records,
            clock,
            freshness: Freshness::OnChange,
            bus: None,
            advisories: None,
            reconciled: Arc::default(),
        }
    }

    /// The same with another freshness.
    #[must_use]
    pub fn fresh(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// The same, whose ticks tell `bus` what newly affects images.
    #[must_use]
    pub fn announcing(mut self, bus: Arc<dyn EventBus>) -> Self {
        self.bus = Some(bus);
        self
    }

    /// One tick: every organisation. What fails for one is logged, does not stop the others, and is done at the next
    /// tick. Gives the number of snapshots that were published.
    pub async fn tick(&self) -> Result<usize, RollUpError> {
        let mut published = 0;
        let tick = Self { advisories: Some(self.advisories().await?), ..self.clone() };
        let minute = self.clock.now().as_second().div_euclid(60);
        let is_turn = self.reconciled.swap(minute, Ordering::Relaxed) != minute;
        let mut orgs = self.records.orgs().await?;
        for org in &orgs {
            let rolled_up = async {
                let new = tick.roll_up(org).await?;
                if is_turn && let Err(error) = tick.reconcile_in_turn(org, minute).await {
                    let error = describe(&error);
                    tracing::error!(org.name = %org, error, "streams cannot be reconciled");
                }
                Ok::<_, RollUpError>(new)
            };
            match rolled_up.await {
                Ok(new) => published += usize::from(new),
                Err(error) => {
                    let error = describe(&error);
                    tracing::error!(org.name = %org, error, "streams cannot be rolled up");
                }
            }
        }
        // Each minute another one is the first: should the time not be enough for all, none waits for ever.
        let first = usize::try_from(minute).unwrap_or(0) % orgs.len().max(1);
        orgs.rotate_left(first);
        self.announce_all(&orgs).await;
        Ok(published)
    }

    /// Tells what newly affects images of one organisation, as a tick does. Gives how many events the bus has taken.
    pub async fn announce(&self, org: &OrgName) -> Result<usize, RecordError> {
        let Some(bus) = &self.bus else { return Ok(0) };
        self.announce_until(&**bus, org, self.end_of_announcing()).await
    }

    /// When a tick that begins now stops to begin with announcements.
    fn end_of_announcing(&self) -> Timestamp {
        let now = self.clock.now();
        now.checked_add(ANNOUNCING).unwrap_or(now)
    }

    /// Tells what newly affects images of `orgs`. What cannot be told is logged, and told at a later tick.
    async fn announce_all(&self, orgs: &[OrgName]) {
        let Some(bus) = &self.bus else { return };
        let stop = self.end_of_announcing();
        for org in orgs {
            if let Err(error) = self.announce_until(&**bus, org, stop).await {
                let error = describe(&error);
                tracing::error!(org.name = %org, error, "announcements cannot be told");
            }
        }
    }

    /// Rolls up one organisation. `true` when a new snapshot was published. A shard with a row that cannot be read counts
    /// with the totals it had.
    pub async fn roll_up(&self, org: &OrgName) -> Result<bool, RollUpError> {
        let now = self.clock.now();
        let Some(known) = self.records.config(org).await? else { return Ok(false) };
        let Streams { names: streams, revision } = self.records.streams(org, &known.config).await?;
        // The marks are read before all that totals are computed from: whoever changes something in between marks after
        // that, and the part is dirty again.
        let before = self.records.groups(org, &streams).await?;
        let Some(applied) = self.records.config_unless_known(org, Some(&known)).await? else {
            return Ok(false);
        };
        if applied.version != known.version {
            // Of which streams, it may say something else: the next roll-up finds out.
            return Ok(false);
        }
        let in_force = self.records.in_force_with(applied, None).await?;
        let applied = &in_force.applied;
        let pass = Pass::new(org, &in_force, now);
        let dirty: Vec<(StreamName, u16, PartState)> = streams
            .iter()
            .zip(before)
            .flat_map(|(stream, groups)| {
                (0..).zip(groups).map(move |(group, state)| (stream.clone(), group, state))
            })
            .filter(|(.., state)| state.is_dirty(now, applied.version))
            .collect();
        let groups = stream::iter(dirty).map(|(stream, group, state)| {
            let pass = &pass;
            async move { self.roll_up_group(pass, &stream, group, &state).await }
        });
        groups.buffer_unordered(GROUPS_AT_ONCE).try_collect::<()>().await?;
        // Read again after all writes: what is published is at least as new as what this roll-up has computed.
        let mut groups = self.records.groups(org, &streams).await?.into_iter();
        let is_pinned = |stream: &StreamName| {
            let mut environments = applied.config.environments.iter();
            environments.any(|environment| environment.id == *stream && environment.pinned)
        };
        let streams = streams.into_iter().map(|name| {
            let (groups, is_pinned) = (groups.next().unwrap_or_default(), is_pinned(&name));
            RolledUp { name, groups, is_pinned }
        });
        self.publish(&pass, revision, streams.collect()).await
    }
}

/// Rolls up one organisation before its turn. What has been rolled up by then costs a few reads.
#[async_trait]
impl MessageHandler for RollUpStreams {
    type Message = RollUpMessage;

    async fn handle(&self, message: RollUpMessage, _deadline: Deadline) -> Result<(), HandlerError> {
        self.roll_up(&message.org).await.map(drop).map_err(HandlerError::new)
    }
}

/// The totals of a stream, and how often those of its groups have changed.
fn sum(groups: &[PartState]) -> (Totals, i64) {
    (PartState::sum(groups), groups.iter().map(|group| group.changes).sum())
}
