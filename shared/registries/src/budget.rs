//! What a client may ask of its registry: by the rate budget that all workers share, and by the pauses that the registry
//! asks for. Each request over HTTP to the registry's own host is paid for before it is sent, also one that is tried again
//! or repeated with an answer to a challenge: the registry counts it.
//!
//! A worker takes requests in blocks, which grow while they are used up and shrink when they are not. The first is enough to
//! bring something to its end, or it is not given. It waits up to
//! [`PATIENCE`] for one; what takes longer is told as [`RegistryError::Throttled`], and nothing is asked.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tidewatch_core::Timestamp;
use tidewatch_core::budget::{Account, Block, LONGEST_PAUSE, Level, PATIENCE, Plan};
use tidewatch_core::ports::RateBudgets;
use tidewatch_core::ports::budgets::{BudgetError, Taken, Wish};
use tidewatch_core::ports::registry::{RegistryError, Throttling};
use tokio::sync::Mutex;

use crate::answer::{Subject, retry_after};
use crate::endpoint::Ports;

/// How long it is believed that no other worker was asked for a pause.
const PAUSE_KNOWN: Duration = Duration::from_secs(2);

/// How many blocks are taken for one request: the first can be lost when the machine stands still while it waits.
const MOST_BLOCKS: u32 = 3;

/// In how many buckets is looked for something that is left.
const MOST_BUCKETS: u32 = 2;

/// Pays for the requests of one client.
pub(crate) struct Budget {
    budgets: Arc<dyn RateBudgets>,
    account: Account,
    /// Without one, only pauses are kept.
    plan: Option<Plan>,
    ports: Ports,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When nothing is to be asked before, and when that was looked up.
    pause: Option<Timestamp>,
    pause_read_at: Option<Timestamp>,
    block: Option<Held>,
    /// How many requests the next block is to have.
    wanted: u32,
    /// The levels of buckets as they were seen last, by the number of the bucket.
    seen: Vec<Level>,
}

/// What is left of a block.
struct Held {
    block: Block,
    left: u32,
}

/// Whether a request can be paid for.
enum Payment {
    /// It can be made from this moment on, and before that one.
    Paid(Timestamp, Timestamp),
    /// None can be made for so long.
    Nothing(Duration),
}

impl Budget {
    /// The budget of `account`, kept by `plan` in `budgets`.
    pub(crate) fn new(
        budgets: Arc<dyn RateBudgets>,
        account: Account,
        plan: Option<Plan>,
        ports: Ports,
    ) -> Self {
        Self { budgets, account, plan, ports, state: Mutex::default() }
    }

    /// Pays for one request for `subject`, which is to be sent at once. Waits for a moment where that is enough.
    pub(crate) async fn pay(&self, subject: &Subject) -> Result<(), RegistryError> {
        for _ in 0..MOST_BLOCKS {
            self.wait_for_pause(subject).await?;
            let Some(plan) = self.plan else { return Ok(()) };
            match self.take(&plan).await.map_err(|error| subject.unavailable(error))? {
                Payment::Nothing(wait) => return Err(subject.throttled(Some(wait), Throttling::Budget)),
                Payment::Paid(from, until) => {
                    let wait = from.duration_since(self.now());
                    if wait.is_positive() {
                        self.ports.sleeper.sleep(wait.unsigned_abs()).await;
                    }
                    if self.now() < until {
                        return Ok(());
                    }
                }
            }
        }
        Err(subject.throttled(Some(PATIENCE), Throttling::Budget))
    }

    /// Notes the pause that an answer of the registry asks for, here and for other workers. When others cannot be told, they
    /// are told by the registry.
    pub(crate) async fn heed(&self, status: StatusCode, headers: &HeaderMap) {
        if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return;
        }
        let now = self.now();
        let Some(pause) = retry_after(headers, now).filter(|pause| !pause.is_zero()) else { return };
        let until = now.saturating_add(pause.min(LONGEST_PAUSE)).unwrap_or(Timestamp::MAX);
        let mut state = self.state.lock().await;
        if state.pause.is_some_and(|known| known >= until) {
            return;
        }
        state.pause = Some(until);
        drop(state);
        if let Err(error) = self.budgets.put_not_before(&self.account, until, now).await {
            let error = error.to_string();
            tracing::warn!(
                registry.host = self.account.host,
                error,
                "other workers cannot be told of a pause"
            );
        }
    }

    /// Waits until the registry may be asked, if that is soon.
    async fn wait_for_pause(&self, subject: &Subject) -> Result<(), RegistryError> {
        let pause = self.pause().await.map_err(|error| subject.unavailable(error))?;
        let Some(until) = pause else { return Ok(()) };
        let wait = until.duration_since(self.now());
        if !wait.is_positive() {
            return Ok(());
        }
        if wait.unsigned_abs() > PATIENCE {
            return Err(subject.throttled(Some(wait.unsigned_abs()), Throttling::Pause));
        }
        self.ports.sleeper.sleep(wait.unsigned_abs()).await;
        Ok(())
    }

    async fn pause(&self) -> Result<Option<Timestamp>, BudgetError> {
        let mut state = self.state.lock().await;
        let now = self.now();
        // Who knows of one need not look whether there is one.
        let is_known = state.pause.is_some_and(|until| until > now)
            || state.pause_read_at.is_some_and(|at| now.duration_since(at).unsigned_abs() < PAUSE_KNOWN);
        if !is_known {
            state.pause = self.budgets.not_before(&self.account).await?.max(state.pause);
            state.pause_read_at = Some(now);
        }
        Ok(state.pause)
    }

    /// Takes one request: of the block that is there, else of a new one. One at a time takes a block, and the others have
    /// something of it.
    async fn take(&self, plan: &Plan) -> Result<Payment, BudgetError> {
        let mut state = self.state.lock().await;
        if let Some(paid) = state.of_block(self.now()) {
            return Ok(paid);
        }
        state.begin(plan);
        let first = self.random_bucket(plan);
        let mut least = Duration::MAX;
        for bucket in (0..plan.buckets().min(MOST_BUCKETS)).map(|next| (first + next) % plan.buckets()) {
            let now = self.now();
            let slot = usize::try_from(bucket).unwrap_or_default();
            let seen = state.seen.get(slot).copied().unwrap_or(Level::FULL);
            let wish = Wish { bucket, requests: state.wanted, seen };
            let taken = self.budgets.take_requests(&self.account, plan, wish, now).await?;
            let (Taken::Block(_, level) | Taken::Nothing(level)) = taken;
            state.seen.iter_mut().skip(slot).take(1).for_each(|seen| *seen = level.max(*seen));
            match taken {
                Taken::Block(block, _) => {
                    state.block = Some(Held { block, left: block.requests - 1 });
                    return Ok(Payment::Paid(block.from, block.until));
                }
                Taken::Nothing(level) => least = least.min(plan.wait(plan.share(wish.requests), level, now)),
            }
        }
        Ok(Payment::Nothing(least))
    }

    fn random_bucket(&self, plan: &Plan) -> u32 {
        if plan.buckets() == 1 {
            return 0;
        }
        let mut random = [0; 4];
        self.ports.randomness.fill(&mut random);
        u32::from_le_bytes(random) % plan.buckets()
    }

    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }
}

impl State {
    /// A request of the block that is held, if there is one that can still be made.
    fn of_block(&mut self, now: Timestamp) -> Option<Payment> {
        let held = self.block.as_mut().filter(|held| held.left > 0 && now < held.block.until)?;
        held.left -= 1;
        Some(Payment::Paid(held.block.from, held.block.until))
    }

    /// Says how large the next block is to be: twice as large as one that was used up, and as large as what was used of one
    /// that was not.
    fn begin(&mut self, plan: &Plan) {
        self.seen.resize(usize::try_from(plan.buckets()).unwrap_or(1), Level::FULL);
        let wanted = self.block.take().map_or(plan.first_block(), |Held { block, left }| match left {
            0 => block.requests.saturating_mul(2),
            left => block.requests - left,
        });
        self.wanted = wanted.clamp(1, plan.largest_block());
    }
}
