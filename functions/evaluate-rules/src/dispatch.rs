//! Sends due work to be scanned: what was pushed at any time, all else in the windows of the rules that have found it.

use std::time::Duration;

use futures::future::try_join_all;
use jiff::Timestamp;
use tidewatch_core::names::{OrgName, RegistryId};
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::{Priority, ScanMessage};
use tidewatch_runtime::messages::send;
use tidewatch_store::records::DueWork;

use crate::windows::{Turn, Windows};
use crate::{EvaluateError, EvaluateRules};

/// The most images that one tick dispatches for one registry.
const MOST_PER_TICK: usize = 2_000;

/// How often one tick looks for work that is due behind what has to wait for a window.
const MOST_LOOKS: usize = 5;

/// How many messages are sent, and their rows moved, at a time.
const BATCH: usize = 10;

/// When work that was dispatched is due again, in case its message is lost: longer than any scan takes.
const REDISPATCH: Duration = Duration::from_secs(20 * 60);

/// What became of the due work of a registry.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dispatch {
    /// How many images were sent.
    pub(crate) sent: usize,
    /// How many wait for a window.
    pub(crate) held: usize,
}

impl EvaluateRules {
    /// Sends the work of a registry that is due, and makes the rest wait for its windows. What waits does not hold up what is
    /// due behind it.
    pub(crate) async fn dispatch(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        windows: &Windows,
    ) -> Result<Dispatch, EvaluateError> {
        let mut all = Dispatch::default();
        for _ in 0..MOST_LOOKS {
            let most = MOST_PER_TICK - all.sent;
            let due = self.records.due_work(org, registry, self.clock.now(), most).await?;
            let Dispatch { sent, held } = self.dispatch_due(org, &due, windows).await?;
            all = Dispatch { sent: all.sent + sent, held: all.held + held };
            if held == 0 || all.sent == MOST_PER_TICK {
                break;
            }
        }
        if all.held > 0 {
            tracing::info!(
                org.name = %org, registry.id = %registry, work.held = all.held, "work waits for a window"
            );
            self.look_again_if_late(org, windows).await?;
        }
        Ok(all)
    }

    /// Images that were pushed go to a queue of their own, before all others. Windows are looked at just before the others are
    /// sent: they can close while a tick is at work.
    async fn dispatch_due(
        &self,
        org: &OrgName,
        due: &[DueWork],
        windows: &Windows,
    ) -> Result<Dispatch, EvaluateError> {
        let (mut all, mut waiting) = (Dispatch::default(), Vec::new());
        let pushed = due.partition_point(|due| due.work.priority == Priority::Pushed);
        let (pushed, others) = due.split_at(pushed);
        for batch in pushed.chunks(BATCH) {
            let batch: Vec<&DueWork> = batch.iter().collect();
            all.sent += self.send(org, QueueName::Pushed, &batch).await?;
        }
        for batch in others.chunks(BATCH) {
            let mut open = Vec::with_capacity(batch.len());
            for (due, turn) in windows.turns(batch, self.clock.now()) {
                match turn {
                    Turn::Now => open.push(due),
                    Turn::At(opens_at) => waiting.push((due, opens_at)),
                    Turn::Unknown => {}
                }
            }
            all.sent += self.send(org, QueueName::Scans, &open).await?;
        }
        all.held = self.hold(org, &waiting).await?;
        Ok(all)
    }

    /// Sends work, then moves its rows into the future. A crash in between sends it twice, which does no harm; the other
    /// order could lose it until it is due again. Gives its number.
    async fn send(&self, org: &OrgName, queue: QueueName, due: &[&DueWork]) -> Result<usize, EvaluateError> {
        let messages: Vec<ScanMessage> =
            due.iter().map(|due| ScanMessage { org: org.clone(), work: due.work.clone() }).collect();
        send(&*self.queue, queue, &messages, Duration::ZERO).await?;
        let again_at = self.clock.now().checked_add(REDISPATCH).unwrap_or(Timestamp::MAX);
        try_join_all(due.iter().map(|due| self.records.note_dispatched(org, due, again_at))).await?;
        Ok(due.len())
    }
}
