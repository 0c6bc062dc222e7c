//! Rate budgets in memory, for tests of what asks registries.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tidewatch_core::Timestamp;
use tidewatch_core::budget::{Account, Level, Plan};
use tidewatch_core::ports::RateBudgets;
use tidewatch_core::ports::budgets::{BudgetError, Taken, Wish};

/// The budgets of workers that share this.
#[derive(Debug, Default)]
pub struct MemoryBudgets {
    levels: Mutex<HashMap<(Account, u32), Level>>,
    pauses: Mutex<HashMap<Account, Timestamp>>,
}

impl MemoryBudgets {
    /// Budgets of which nothing was taken.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl RateBudgets for MemoryBudgets {
    async fn take_requests(
        &self,
        account: &Account,
        plan: &Plan,
        wish: Wish,
        now: Timestamp,
    ) -> Result<Taken, BudgetError> {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let level = levels.entry((account.clone(), wish.bucket)).or_insert(Level::FULL);
        if *level < Level(now.as_microsecond()) {
            *level = plan.taken_from_full(wish.requests, now);
            return Ok(Taken::Block(plan.block(wish.requests, *level, now), *level));
        }
        let requests = plan.share(wish.requests);
        if *level > plan.highest_level(requests, now) {
            return Ok(Taken::Nothing(*level));
        }
        level.0 += plan.cost(requests);
        Ok(Taken::Block(plan.block(requests, *level, now), *level))
    }

    async fn not_before(&self, account: &Account) -> Result<Option<Timestamp>, BudgetError> {
        Ok(self.pauses.lock().unwrap_or_else(PoisonError::into_inner).get(account).copied())
    }

    async fn put_not_before(
        &self,
        account: &Account,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), BudgetError> {
        let until = until.min(now + tidewatch_core::budget::LONGEST_PAUSE);
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = pauses.entry(account.clone()).or_insert(until);
        *pause = until.max(*pause);
        Ok(())
    }
}
