//! One group of a stream: its dirty shards are recomputed from their members, and its totals from its shards.

use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::stream::Totals;
use tidewatch_core::{Digest, Retry, Retryable as _, Timestamp};
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{AppliedConfig, InForce, NewTotals, Part, PartState};

use crate::{RollUpError, RollUpStreams};

/// What one roll-up of an organisation goes by.
pub(crate) struct Pass<'a> {
    pub(crate) org: &'a OrgName,
    /// What is in force, read after the marks of the groups.
    pub(crate) in_force: &'a InForce,
    /// The configuration of it.
    pub(crate) applied: &'a AppliedConfig,
    /// The fingerprint of what images are judged by.
    pub(crate) judging: Digest,
    pub(crate) now: Timestamp,
}

impl<'a> Pass<'a> {
    /// By what is in force, at `now`.
    pub(crate) fn new(org: &'a OrgName, in_force: &'a InForce, now: Timestamp) -> Self {
        let (applied, judging) = (&in_force.applied, in_force.judging(now).fingerprint());
        Self { org, in_force, applied, judging, now }
    }
}

impl RollUpStreams {
    /// Recomputes what is dirty of a group, whose mark was as `state` has it before the configuration was read.
    pub(crate) async fn roll_up_group(
        &self,
        pass: &Pass<'_>,
        stream: &StreamName,
        group: u16,
        state: &PartState,
    ) -> Result<(), RollUpError> {
        let version = pass.applied.version;
        let before = self.records.shards(pass.org, stream, group).await?;
        let dirty = before.iter().filter(|(_, shard)| shard.is_dirty(pass.now, version));
        for (number, shard) in dirty {
            match self.recompute(pass, stream, *number, shard).await {
                // One unreadable row must not stop the others: its shard keeps its totals, and stays dirty.
                Err(error) if error.retry() == Retry::Never => {
                    let error = describe(&error);
                    tracing::error!(
                        org.name = %pass.org, stream.name = %stream, shard.number = number, error,
                        "shard cannot be rolled up"
                    );
                }
                done => done?,
            }
        }
        let after = self.records.shards(pass.org, stream, group).await?;
        let new = group_totals(pass, state, &before, &after);
        let as_read = NewTotals {
            computed_seq: state.computed_seq,
            config_version: state.config_version,
            computed_at: pass.now,
            totals: state.totals.clone(),
        };
        // One that stays dirty, for a shard that cannot be read, is no change at every tick.
        if new != as_read || state.is_old(pass.now) {
            self.records.put_totals(pass.org, stream, Part::Group(group), state, &new).await?;
        }
        Ok(())
    }

    /// Recomputes the totals of one shard, which were as `state` has them before its members are read.
    async fn recompute(
        &self,
        pass: &Pass<'_>,
        stream: &StreamName,
        shard: u16,
        state: &PartState,
    ) -> Result<(), RollUpError> {
        let Pass { org, in_force, applied, now, .. } = pass;
        let since = applied.counting.since();
        let (mut members, former) = self.records.members_and_former(org, stream, shard, since).await?;
        members.retain(|member| applied.counts(stream, member));
        for member in &mut members {
            if member.next_change_at.is_some_and(|change| change <= *now) {
                self.rejudge(org, in_force, stream, member, *now).await?;
            }
        }
        let new = NewTotals {
            computed_seq: state.dirty_seq,
            config_version: applied.version,
            computed_at: *now,
            totals: members.iter().collect(),
        };
        self.records.put_totals(org, stream, Part::Shard(shard), state, &new).await?;
        Ok(self.records.remove_former_slots(former).await?)
    }
}

/// The sum of the shards `after` they were recomputed. Another roll-up may have come first to some of them, with what it
/// had read earlier: the group has come as far as all of them have.
fn group_totals(
    pass: &Pass<'_>,
    state: &PartState,
    before: &[(u16, PartState)],
    after: &[(u16, PartState)],
) -> NewTotals {
    let mut totals = Totals::default();
    for (_, shard) in after {
        totals += &shard.totals;
    }
    let is_done =
        before.iter().zip(after).all(|((_, before), (_, after))| after.computed_seq >= before.dirty_seq);
    // One that is marked only now has its group marked after that.
    let shards = before.iter().zip(after).filter(|((_, before), _)| before.has_members());
    let configured = shards.map(|(_, (_, after))| after.config_version);
    NewTotals {
        computed_seq: if is_done { state.dirty_seq } else { state.computed_seq },
        config_version: configured.fold(pass.applied.version, i64::min),
        computed_at: pass.now,
        totals,
    }
}
