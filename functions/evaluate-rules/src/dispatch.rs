//! Sends due work to be scanned: what was pushed at any time, all else in the windows of the rules that have found it, and so
//! much of it that workers have enough to do until the next tick ([`Pace`](crate::pace::Pace)).

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use jiff::Timestamp;
use tidewatch_core::budget::Account;
use tidewatch_core::config::{RateConfig, RegistryConfig};
use tidewatch_core::names::{OrgName, RegistryId};
use tidewatch_core::ports::RateBudgets as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::{Priority, ScanMessage};
use tidewatch_runtime::messages::{describe, send};
use tidewatch_store::records::DueWork;

use crate::windows::{Turn, Windows};
use crate::{EvaluateError, EvaluateRules, Tick};

/// The most images that one tick dispatches for one registry.
const MOST_PER_TICK: usize = 20_000;

/// The same where nobody says how much is in the queue.
const MOST_UNMEASURED: usize = 2_000;

/// How often one tick looks for work that is due behind what has to wait for a window.
const MOST_LOOKS: usize = 5;

/// What is not pushed.
const FOUND: &[Priority] = &[Priority::New, Priority::Stale];

/// How many messages are sent, and their rows moved, at a time.
const BATCH: usize = 10;

/// When work that was dispatched is due again, in case its message is lost: longer than any scan takes.
const REDISPATCH: Duration = Duration::from_secs(20 * 60);

/// For how long work is dispatched ahead to a registry with a rate: an image takes at least one request.
const AHEAD: Duration = Duration::from_secs(90);

/// A registry whose work is dispatched.
pub(crate) struct Dispatched {
    pub(crate) org: OrgName,
    pub(crate) registry: RegistryConfig,
    /// The windows of its organisation.
    pub(crate) windows: Arc<Windows>,
}

impl Dispatched {
    /// The most images that are worth sending at once.
    fn most(&self) -> usize {
        let of_rate = |rate: RateConfig| {
            let images = u64::from(rate.requests.get()) * AHEAD.as_secs();
            let images = images.div_ceil(rate.per.duration().as_secs());
            usize::try_from(images).unwrap_or(usize::MAX).min(MOST_PER_TICK)
        };
        self.registry.rate.map_or(MOST_PER_TICK, of_rate)
    }
}

/// What became of the due work of a registry.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dispatch {
    /// How many images were sent.
    pub(crate) sent: usize,
    /// How many wait for a window.
    pub(crate) held: usize,
}

impl EvaluateRules {
    /// Sends the work of these registries that is due. What the queue has room for they share alike; what some have no work for
    /// the others get. What fails for one is logged, and does not stop the others.
    pub(crate) async fn dispatch_all(&self, registries: &[Dispatched], tick: &mut Tick) {
        let mut room = self.room().await;
        let mut wanting: Vec<&Dispatched> = registries.iter().collect();
        // The second time for those that have more work than their share.
        for _ in 0..2 {
            let (mut left, mut again) = (wanting.len(), Vec::new());
            for registry in wanting {
                let share =
                    room.map_or(MOST_UNMEASURED, |room| room.div_ceil(left.max(1))).min(registry.most());
                left -= 1;
                let sent = self.dispatch_share(registry, share, tick).await;
                room = room.map(|room| room.saturating_sub(sent));
                if share > 0 && sent == share && share < registry.most() {
                    again.push(registry);
                }
            }
            if room.is_none_or(|room| room == 0) {
                return;
            }
            wanting = again;
        }
    }

    /// Sends up to so much of the work of a registry, and gives how much was sent to the queue of all scans.
    async fn dispatch_share(&self, registry: &Dispatched, share: usize, tick: &mut Tick) -> usize {
        if self.is_paused(registry).await {
            return 0;
        }
        let Dispatched { org, registry: RegistryConfig { id: registry, .. }, windows } = registry;
        match self.dispatch(org, registry, windows, share).await {
            Ok((dispatch, scans)) => {
                tick.dispatched += dispatch.sent;
                tick.held += dispatch.held;
                self.pace.lock().unwrap_or_else(PoisonError::into_inner).sent(scans as u64);
                scans
            }
            Err(error) => {
                let error = describe(&error);
                tracing::error!(org.name = %org, registry.id = %registry, error, "work cannot be dispatched");
                0
            }
        }
    }

    /// Whether the registry has asked not to be asked now: whatever was sent would only be put off. When that cannot be looked
    /// up, the workers find it out.
    async fn is_paused(&self, Dispatched { org, registry, .. }: &Dispatched) -> bool {
        match self.records.not_before(&Account::of(registry)).await {
            Ok(not_before) => not_before.is_some_and(|not_before| not_before > self.clock.now()),
            Err(error) => {
                let error = describe(&error);
                tracing::warn!(org.name = %org, registry.id = %registry.id, error, "pause of a registry cannot be read");
                false
            }
        }
    }

    /// How much the queue of scans has room for; `None` where nobody says what is in it.
    async fn room(&self) -> Option<usize> {
        let depths = self.depths.as_ref()?;
        match depths.depth(QueueName::Scans).await {
            Ok(depth) => {
                let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
                Some(usize::try_from(pace.room(self.clock.now(), depth.messages())).unwrap_or(usize::MAX))
            }
            Err(error) => {
                let error = describe(&error);
                tracing::warn!(error, "queue does not say how much is in it");
                None
            }
        }
    }

    /// Sends what was pushed and up to `most` of the other work of a registry that is due, and makes what has no open window
    /// wait. What waits does not hold up what is due behind it. Gives also how much was sent that was not pushed.
    async fn dispatch(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        windows: &Windows,
        most: usize,
    ) -> Result<(Dispatch, usize), EvaluateError> {
        let (pushed, now) = (&[Priority::Pushed], self.clock.now());
        let pushed = self.records.due_work_of(pushed, org, registry, now, MOST_PER_TICK).await?;
        let pushed = self.send_pushed(org, &pushed).await?;
        let mut found = Dispatch::default();
        let outcome = self.dispatch_found(org, registry, windows, most, &mut found).await;
        if found.held > 0 {
            tracing::info!(
                org.name = %org, registry.id = %registry, work.held = found.held, "work waits for a window"
            );
            // Also when something failed after that.
            self.look_again_if_late(org, windows).await?;
        }
        outcome?;
        Ok((Dispatch { sent: pushed + found.sent, ..found }, found.sent))
    }

    /// Sends up to `most` of the work that is due and was not pushed, and makes what has no open window wait; says in `found` what
    /// was done, also when something fails.
    async fn dispatch_found(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        windows: &Windows,
        most: usize,
        found: &mut Dispatch,
    ) -> Result<(), EvaluateError> {
        for _ in 0..MOST_LOOKS {
            let (now, left) = (self.clock.now(), most - found.sent);
            let due = self.records.due_work_of(FOUND, org, registry, now, left).await?;
            let Dispatch { sent, held } = self.dispatch_due(org, &due, windows).await?;
            *found = Dispatch { sent: found.sent + sent, held: found.held + held };
            if held == 0 || found.sent == most {
                break;
            }
        }
        Ok(())
    }

    /// Images that were pushed go to a queue of their own, before all others.
    async fn send_pushed(&self, org: &OrgName, pushed: &[DueWork]) -> Result<usize, EvaluateError> {
        let mut sent = 0;
        for batch in pushed.chunks(BATCH) {
            sent += self.send(org, QueueName::Pushed, batch.iter().collect()).await?;
        }
        Ok(sent)
    }

    async fn dispatch_due(
        &self,
        org: &OrgName,
        due: &[DueWork],
        windows: &Windows,
    ) -> Result<Dispatch, EvaluateError> {
        let (mut sent, mut waiting) = (0, Vec::new());
        for batch in due.chunks(BATCH) {
            let (of_batch, to_wait) = self.send_open(org, batch, windows).await?;
            sent += of_batch;
            waiting.extend(to_wait);
        }
        Ok(Dispatch { sent, held: self.hold(org, &waiting).await? })
    }

    /// Sends what has an open window, and gives the number, and what has to wait until when. Windows are looked at just before:
    /// they can close while a tick is at work.
    async fn send_open<'a>(
        &self,
        org: &OrgName,
        due: &'a [DueWork],
        windows: &Windows,
    ) -> Result<(usize, Vec<(&'a DueWork, Timestamp)>), EvaluateError> {
        let (mut open, mut waiting) = (Vec::with_capacity(due.len()), Vec::new());
        for (due, turn) in windows.turns(due, self.clock.now()) {
            match turn {
                Turn::Now => open.push(due),
                Turn::At(opens_at) => waiting.push((due, opens_at)),
                Turn::Unknown => {}
            }
        }
        Ok((self.send(org, QueueName::Scans, open).await?, waiting))
    }

    /// Sends work, then moves its rows into the future. A crash in between sends it twice, which does no harm; the other
    /// order could lose it until it is due again. Gives its number.
    async fn send(
        &self,
        org: &OrgName,
        queue: QueueName,
        due: Vec<&DueWork>,
    ) -> Result<usize, EvaluateError> {
        let messages: Vec<ScanMessage> =
            due.iter().map(|due| ScanMessage { org: org.clone(), work: due.work.clone() }).collect();
        send(&*self.queue, queue, &messages, Duration::ZERO).await?;
        let again_at = self.clock.now().checked_add(REDISPATCH).unwrap_or(Timestamp::MAX);
        try_join_all(due.iter().map(|due| self.records.note_dispatched(org, due, again_at))).await?;
        Ok(due.len())
    }
}
