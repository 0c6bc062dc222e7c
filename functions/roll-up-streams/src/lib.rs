//! The function `roll-up-streams`, run every minute, and for one organisation by the queue `rollups`: recomputes the
//! totals of the shards that have changed, and publishes one snapshot for each organisation.
//!
//! It keeps to the roll-up protocol (see `tidewatch_store::records`): totals are written only over those that were
//! read, and a snapshot is published only over an older one, so that any number of roll-ups can run at the same time.

mod freshness;
mod rejudge;
mod snapshot;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::ports::Clock;
use tidewatch_core::stream::Totals;
use tidewatch_core::work::RollUpMessage;
use tidewatch_core::{Retry, Retryable};
use tidewatch_runtime::messages::describe;
use tidewatch_runtime::{Deadline, HandlerError, MessageHandler};
use tidewatch_store::records::{AdvisoryStanding, AppliedConfig, RecordError, Records, ShardState};

use snapshot::RolledUp;

pub use freshness::{CACHE_MINUTES_VARIABLE, FRESH_VARIABLE, Freshness, FreshnessError};
pub use snapshot::SnapshotError;

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
    /// How the advisories stand, read once for all organisations of a tick; else they are read for each.
    advisories: Option<Arc<AdvisoryStanding>>,
}

impl RollUpStreams {
    /// A roll-up on these ports, which publishes what has changed at once.
    pub fn new(records: Records, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock, freshness: Freshness::OnChange, advisories: None }
    }

    /// The same with another freshness.
    #[must_use]
    pub fn fresh(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// One tick: every organisation. What fails for one is logged, does not stop the others, and is done at the next
    /// tick. Gives the number of snapshots that were published.
    pub async fn tick(&self) -> Result<usize, RollUpError> {
        let mut published = 0;
        let tick = Self { advisories: Some(self.advisories().await?), ..self.clone() };
        for org in self.records.orgs().await? {
            match tick.roll_up(&org).await {
                Ok(new) => published += usize::from(new),
                Err(error) => {
                    let error = describe(&error);
                    tracing::error!(org.name = %org, error, "streams cannot be rolled up");
                }
            }
        }
        Ok(published)
    }

    /// Rolls up one organisation. `true` when a new snapshot was published. A shard with a row that cannot be read counts
    /// with the totals it had.
    pub async fn roll_up(&self, org: &OrgName) -> Result<bool, RollUpError> {
        let stream = StreamName::latest_indexed();
        let now = self.clock.now();
        // The marks are read before all that totals are computed from: whoever changes something in between marks the
        // shard after that, and it is dirty again. That includes the configuration, whose version in the shard is a mark
        // too: read in this order, it is never older than the one that the totals are of.
        let before = self.records.shards(org, &stream).await?;
        let Some(applied) = self.records.config(org).await? else { return Ok(false) };
        for (shard, state) in (0..).zip(&before) {
            if !state.is_dirty(now, applied.version) {
                continue;
            }
            match self.recompute(org, &applied, &stream, shard, state, now).await {
                // One unreadable row must not stop the others: its shard keeps its totals, and stays dirty.
                Err(error) if error.retry() == Retry::Never => {
                    let error = describe(&error);
                    tracing::error!(org.name = %org, shard.number = shard, error, "shard cannot be rolled up");
                }
                done => done?,
            }
        }
        // Read again after all writes: what is published is at least as new as what this roll-up has computed.
        let shards = self.records.shards(org, &stream).await?;
        let streams = vec![RolledUp { name: stream, shards, is_pinned: false }];
        self.publish(org, &applied, streams, now).await
    }

    /// Recomputes the totals of one shard, which were as `state` has them before the configuration was read, from its
    /// members.
    async fn recompute(
        &self,
        org: &OrgName,
        applied: &AppliedConfig,
        stream: &StreamName,
        shard: u16,
        state: &ShardState,
        now: Timestamp,
    ) -> Result<(), RollUpError> {
        let mut members = self.records.members(org, stream, shard).await?;
        members.retain(|member| applied.config.registry(&member.image.registry).is_some());
        for member in &mut members {
            if member.next_change_at.is_some_and(|change| change <= now) {
                self.rejudge(org, applied, stream, member, now).await?;
            }
        }
        let totals: Totals = members.iter().collect();
        self.records.put_totals(org, stream, shard, state, applied.version, &totals).await?;
        Ok(())
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

/// The totals of a stream, and the sum of its shards' revisions, which grows with every change.
fn sum(shards: &[ShardState]) -> (Totals, i64) {
    let mut totals = Totals::default();
    for shard in shards {
        totals += &shard.totals;
    }
    (totals, shards.iter().map(|shard| shard.revision).sum())
}
