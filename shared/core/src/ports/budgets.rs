//! Rate budgets as a port: what all workers together may ask of a registry, and until when it is to be left alone.

use async_trait::async_trait;

use crate::Timestamp;
use crate::budget::{Account, Block, Level, Plan};
use crate::retry::{Retry, Retryable};

/// A wish for requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Which bucket of the plan they are taken from.
    pub bucket: u32,
    /// How many, at least 1 and at most [`Plan::largest_block`]. Fewer are given where others want some too.
    pub requests: u32,
    /// The level of the bucket that was seen last, which saves a write where the bucket cannot be full by now;
    /// [`Level::FULL`] when none was.
    pub seen: Level,
}

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// These requests are the caller's, at least one. The bucket has this level now.
    Block(Block, Level),
    /// None can be made soon. The bucket has this level.
    Nothing(Level),
}

/// Keeps the budgets of accounts, for all workers.
#[async_trait]
pub trait RateBudgets: Send + Sync {
    /// Takes requests from the budget of `account`, which is kept by `plan`.
    async fn take_requests(
        &self,
        account: &Account,
        plan: &Plan,
        wish: Wish,
        now: Timestamp,
    ) -> Result<Taken, BudgetError>;

    /// Until when nothing is to be asked of `account`, by what its registry has said; a time that has passed, or none,
    /// when it may be asked.
    async fn not_before(&self, account: &Account) -> Result<Option<Timestamp>, BudgetError>;

    /// Notes that nothing is to be asked of `account` before `until`, unless a later time is noted.
    async fn put_not_before(
        &self,
        account: &Account,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), BudgetError>;
}

/// A budget cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("failed to keep the rate budget of {host}")]
pub struct BudgetError {
    /// The host.
    pub host: String,
    /// Whether it can be tried again.
    pub retry: Retry,
    /// What the store says.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Retryable for BudgetError {
    fn retry(&self) -> Retry {
        self.retry
    }
}
