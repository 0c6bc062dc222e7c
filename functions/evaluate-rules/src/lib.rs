//! The function `evaluate-rules`, run every minute: starts the rules that are due, dispatches the work that is due within
//! their windows, and sends images to be matched again when advisories or policies have changed.
//!
//! It asks no registry anything. A run that was started twice, by two evaluators or after a crash, has the same id and
//! sends the same messages, which do no harm twice.

mod bases;
mod caps;
mod dispatch;
mod ends;
mod environments;
mod pace;
mod rematch;
mod windows;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::{OrgName, RuleId};
use tidewatch_core::ports::queue::{QueueError, QueueName};
use tidewatch_core::ports::{Clock, QueueDepths, QueueSender};
use tidewatch_core::work::{ListingMessage, RunId};
use tidewatch_core::{Retry, Retryable};
use tidewatch_runtime::messages::{describe, send};
use tidewatch_store::records::{AppliedConfig, RecordError, Records, Run, RunTrigger};

use dispatch::Dispatched;
use pace::Pace;
use windows::Windows;

/// How many of the latest runs of a rule are looked at, for what they still wait for and whether they have ended.
const RUNS: usize = 3;

/// How long the listings of a run can hold up the next run of its rule.
const LONGEST_LISTING: SignedDuration = SignedDuration::from_hours(6);

/// The rules could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// A record could not be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A message could not be sent.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The rule to run is not in the configuration.
    #[error("failed to run rule {rule}: the configuration of {org} has none with this id")]
    NoSuchRule {
        /// The organisation.
        org: OrgName,
        /// The rule.
        rule: RuleId,
    },
}

impl Retryable for EvaluateError {
    fn retry(&self) -> Retry {
        match self {
            Self::Record(error) => error.retry(),
            Self::Queue(error) => error.retry(),
            Self::NoSuchRule { .. } => Retry::Never,
        }
    }
}

/// What one tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// Rules that were started.
    pub started: usize,
    /// Images that were dispatched.
    pub dispatched: usize,
    /// Images that were due while no rule that has found them has an open window: due when one opens.
    pub held: usize,
}

/// Evaluates the rules of all organisations.
#[derive(Clone)]
pub struct EvaluateRules {
    records: Records,
    queue: Arc<dyn QueueSender>,
    clock: Arc<dyn Clock>,
    /// The minute since 1970 at which bases were last sent for; a process has many ticks in one. What cannot be sent then
    /// waits for its next turn.
    asked: Arc<AtomicU64>,
    /// Says how much is in the queue of scans.
    depths: Option<Arc<dyn QueueDepths>>,
    pace: Arc<Mutex<Pace>>,
}

impl EvaluateRules {
    /// An evaluator on these ports.
    pub fn new(records: Records, queue: Arc<dyn QueueSender>, clock: Arc<dyn Clock>) -> Self {
        Self { records, queue, clock, asked: Arc::default(), depths: None, pace: Arc::default() }
    }

    /// Dispatches as fast as the queue of scans is worked off, by what `depths` says of it; without it, 2,000 images for a
    /// registry and tick.
    #[must_use]
    pub fn paced_by(self, depths: Arc<dyn QueueDepths>) -> Self {
        Self { depths: Some(depths), ..self }
    }

    /// One tick: for every organisation, starts due rules, and sends images to be matched again when something else is in
    /// force; then dispatches the due work of all, as far as its windows are open, which takes the longest. A rule whose last run still lists is started
    /// when that has ended. What fails for one organisation, rule or registry is logged, does not stop the others, and is
    /// done at the next tick.
    pub async fn tick(&self) -> Result<Tick, EvaluateError> {
        let mut tick = Tick::default();
        let mut registries = Vec::new();
        let minute = self.clock.now().as_second().unsigned_abs() / 60;
        let turn = (self.asked.swap(minute, Ordering::Relaxed) != minute).then_some(minute);
        for org in self.records.orgs().await? {
            match self.records.config(&org).await {
                Ok(Some(applied)) => {
                    tick.started += self.tick_org(&org, &applied, turn).await;
                    let windows = Arc::new(self.windows(&org, &applied).await);
                    let of_org = applied.config.registries.into_iter();
                    registries.extend(of_org.map(|registry| {
                        let (org, windows) = (org.clone(), Arc::clone(&windows));
                        Dispatched { org, registry, windows }
                    }));
                }
                Ok(None) => {}
                Err(error) => {
                    let error = describe(&error);
                    tracing::error!(org.name = %org, error, "rules cannot be evaluated");
                }
            }
        }
        // Each minute another one is the first: should a tick be ended before its time, none waits for ever.
        let first = usize::try_from(minute % registries.len().max(1) as u64).unwrap_or(0);
        registries.rotate_left(first);
        self.dispatch_all(&registries, &mut tick).await;
        Ok(tick)
    }

    /// The windows of an organisation. What waits for others than these is moved; when that fails, at the next tick.
    async fn windows(&self, org: &OrgName, applied: &AppliedConfig) -> Windows {
        let windows = Windows::read(&self.records, org, applied, self.clock.now()).await;
        if let Err(error) = self.apply_windows(org, applied, &windows).await {
            let error = describe(&error);
            tracing::error!(org.name = %org, error, "work that waits for a window cannot be looked at");
        }
        windows
    }

    /// Gives the number of rules that were started. What fails for one of them is logged, and does not stop the others.
    async fn tick_org(&self, org: &OrgName, applied: &AppliedConfig, turn: Option<u64>) -> usize {
        let mut rules = 0;
        for rule in &applied.config.rules {
            match self.start_if_due(org, applied, rule).await {
                Ok(started) => rules += usize::from(started),
                Err(error) => {
                    let error = describe(&error);
                    tracing::error!(org.name = %org, rule.id = %rule.id, error, "rule cannot be evaluated");
                }
            }
            if let Err(error) = self.go_on_with_runs(org, rule, turn.is_some()).await {
                let error = describe(&error);
                tracing::error!(org.name = %org, rule.id = %rule.id, error, "runs cannot go on");
            }
        }
        if let Err(error) = self.apply_environments(org, applied).await {
            let error = describe(&error);
            tracing::error!(org.name = %org, error, "environments of the file cannot be brought into force");
        }
        if let Some(minute) = turn
            && let Err(error) = self.ask_for_bases(org, applied, minute).await
        {
            let error = describe(&error);
            tracing::error!(org.name = %org, error, "base images cannot be sent for");
        }
        if let Err(error) = self.rematch_if_changed(org, applied).await {
            let error = describe(&error);
            tracing::error!(org.name = %org, error, "images cannot be sent to be matched again");
        }
        rules
    }

    /// Lets listings go on that wait for the cap of their run; and once a minute (`look_for_ends`) notes which runs have ended.
    async fn go_on_with_runs(
        &self,
        org: &OrgName,
        rule: &RuleConfig,
        look_for_ends: bool,
    ) -> Result<(), EvaluateError> {
        let runs = self.records.runs(org, &rule.id, RUNS).await?;
        self.apply_cap(org, rule, &runs).await?;
        if look_for_ends { self.end_runs(org, rule, &runs).await } else { Ok(()) }
    }

    async fn start_if_due(
        &self,
        org: &OrgName,
        applied: &AppliedConfig,
        rule: &RuleConfig,
    ) -> Result<bool, EvaluateError> {
        let last = self.records.rule_state(org, &rule.id).await?.map(|state| state.last_slot);
        let now = self.clock.now();
        let Some(slot) = rule.schedule.due(last, applied.applied_at, now) else { return Ok(false) };
        if self.is_another_at_work(org, rule, slot, now).await? {
            return Ok(false);
        }
        self.start(org, rule, slot, RunTrigger::Schedule).await?;
        // Noted last: a crash before this starts the same run again, and nothing is lost.
        Ok(self.records.note_rule_started(org, &rule.id, slot).await?)
    }

    /// Whether the last run of `rule` is another than that of `slot`, and still lists. The start is due until it is made,
    /// so it is only put off; after [`LONGEST_LISTING`] the messages of the other are taken for lost, unless they wait for a
    /// registry that throttles.
    async fn is_another_at_work(
        &self,
        org: &OrgName,
        rule: &RuleConfig,
        slot: Timestamp,
        now: Timestamp,
    ) -> Result<bool, RecordError> {
        let runs = match self.records.runs(org, &rule.id, 1).await {
            // A run that cannot be read must not hold up its rule for ever.
            Err(error) if error.retry() == Retry::Never => return Ok(false),
            runs => runs?,
        };
        let Some(last) = runs.first().filter(|last| last.id.run != run_id(slot)) else { return Ok(false) };
        if now.duration_since(last.started_at) < LONGEST_LISTING {
            return self.records.has_queued_listings(org, &last.id).await;
        }
        self.records.has_listings_put_off(org, &last.id, now).await
    }

    /// Starts a run of `rule` now, whatever its schedule says.
    pub async fn run_now(&self, org: &OrgName, rule: &RuleId) -> Result<RunId, EvaluateError> {
        let applied = self.records.config(org).await?;
        let no_such_rule = || EvaluateError::NoSuchRule { org: org.clone(), rule: rule.clone() };
        let config = applied.as_ref().map(|applied| &applied.config).ok_or_else(no_such_rule)?;
        let rule = config.rule(rule).ok_or_else(no_such_rule)?;
        self.start(org, rule, self.clock.now(), RunTrigger::Manual).await
    }

    /// Records the run and sends one message for each of its registries. The time of the start makes the run's id.
    async fn start(
        &self,
        org: &OrgName,
        rule: &RuleConfig,
        slot: Timestamp,
        trigger: RunTrigger,
    ) -> Result<RunId, EvaluateError> {
        let id = RunId { rule: rule.id.clone(), run: run_id(slot) };
        let now = self.clock.now();
        let mut messages = Vec::with_capacity(rule.registries.len());
        for registry in &rule.registries {
            self.records.put_listing_queued(org, &id, registry, None, now).await?;
            messages.push(ListingMessage {
                org: org.clone(),
                run: id.clone(),
                registry: registry.clone(),
                repository: None,
                unlisted: false,
                failures: 0,
                position: None,
            });
        }
        // After its listings: without any it would be at its end.
        let (has_cap, is_capped) = (rule.max_images.is_some(), false);
        let run = Run { id: id.clone(), trigger, started_at: now, has_cap, is_capped, end: None };
        self.records.put_run(org, &run).await?;
        send(&*self.queue, QueueName::Listings, &messages, Duration::ZERO).await?;
        tracing::info!(org.name = %org, rule.id = %rule.id, run.id = %id.run, "run started");
        Ok(id)
    }
}

/// The id of a run that starts at `slot`: sorts by time, and two evaluators make the same.
fn run_id(slot: Timestamp) -> String {
    format!("{:015}", slot.as_millisecond().max(0))
}
