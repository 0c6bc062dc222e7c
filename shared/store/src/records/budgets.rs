//! Rate budgets of accounts with registries: one item for each bucket, which holds its level, and one for the pause that
//! a registry has asked for. A block costs one write; two when the bucket may have filled up since its level was seen.
//!
//! See [`tidewatch_core::budget`] for what a level is. It only grows, under two conditions that exclude each other: a full
//! bucket begins at now, and one that is not full is added to. So workers do not have to read before they write, and none
//! has to try again because another was quicker.

use async_trait::async_trait;
use jiff::Timestamp;
use tidewatch_core::Retryable as _;
use tidewatch_core::budget::{Account, LONGEST_PAUSE, Level, Plan};
use tidewatch_core::ports::RateBudgets;
use tidewatch_core::ports::budgets::{BudgetError, Taken, Wish};
use tidewatch_core::ports::table::{Condition, Item, Key, TIME_TO_LIVE, Update};

use super::{
    DAY, ITEM_VERSION, RecordError, Records, check_version, corrupt, keys, millis, time_to_live,
    unless_condition_failed,
};

const LEVEL: &str = "level";
const NOT_BEFORE: &str = "not_before";

impl Records {
    async fn take_of_bucket(
        &self,
        account: &Account,
        plan: &Plan,
        wish: Wish,
        now: Timestamp,
    ) -> Result<Taken, RecordError> {
        let key = keys::budget_bucket(account, wish.bucket);
        // A bucket that was not full by now when it was last seen is not: its level only grows.
        if wish.seen < Level(now.as_microsecond())
            && let Some(taken) = self.take_of_full(&key, plan, wish.requests, now).await?
        {
            return Ok(taken);
        }
        let requests = plan.share(wish.requests);
        let highest = plan.highest_level(requests, now);
        let more = Update::default()
            .add(LEVEL, plan.cost(requests))
            .set("v", ITEM_VERSION)
            .set(TIME_TO_LIVE, kept_until(highest, now));
        let has_room = Condition::LessOrEqual(LEVEL.to_owned(), highest.0.into());
        if let Some(item) = unless_condition_failed(self.table.update(&key, more, has_room).await)? {
            let level = level(&item)?;
            return Ok(Taken::Block(plan.block(requests, level, now), level));
        }
        let item = self.table.get(&key).await?;
        Ok(Taken::Nothing(item.as_ref().map_or(Ok(Level::FULL), level)?))
    }

    /// Takes requests of a bucket that is full; `None` when it is not.
    async fn take_of_full(
        &self,
        key: &Key,
        plan: &Plan,
        requests: u32,
        now: Timestamp,
    ) -> Result<Option<Taken>, RecordError> {
        let level = plan.taken_from_full(requests, now);
        let first = Update::default()
            .set("v", ITEM_VERSION)
            .set(LEVEL, level.0)
            .set(TIME_TO_LIVE, kept_until(level, now));
        let is_full = Condition::Any(vec![
            Condition::Absent(LEVEL.to_owned()),
            Condition::Less(LEVEL.to_owned(), now.as_microsecond().into()),
        ]);
        let taken = unless_condition_failed(self.table.update(key, first, is_full).await)?;
        Ok(taken.map(|_| Taken::Block(plan.block(requests, level, now), level)))
    }

    async fn pause_of(&self, account: &Account) -> Result<Option<Timestamp>, RecordError> {
        let Some(item) = self.table.get(&keys::budget_pause(account)).await? else { return Ok(None) };
        check_version(&item)?;
        let until = item.number(NOT_BEFORE).and_then(|millis| Timestamp::from_millisecond(millis).ok());
        until.map(Some).ok_or_else(|| corrupt(place(&item), "there is no `not_before`"))
    }

    async fn note_pause(
        &self,
        account: &Account,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let until = until.min(now.checked_add(LONGEST_PAUSE).unwrap_or(until));
        let pause = Update::default()
            .set("v", ITEM_VERSION)
            .set(NOT_BEFORE, millis(until))
            .set(TIME_TO_LIVE, time_to_live(until, DAY));
        let is_later = Condition::Any(vec![
            Condition::Absent(NOT_BEFORE.to_owned()),
            Condition::Less(NOT_BEFORE.to_owned(), millis(until).into()),
        ]);
        unless_condition_failed(self.table.update(&keys::budget_pause(account), pause, is_later).await)?;
        Ok(())
    }
}

#[async_trait]
impl RateBudgets for Records {
    async fn take_requests(
        &self,
        account: &Account,
        plan: &Plan,
        wish: Wish,
        now: Timestamp,
    ) -> Result<Taken, BudgetError> {
        self.take_of_bucket(account, plan, wish, now).await.map_err(|error| failure(account, error))
    }

    async fn not_before(&self, account: &Account) -> Result<Option<Timestamp>, BudgetError> {
        self.pause_of(account).await.map_err(|error| failure(account, error))
    }

    async fn put_not_before(
        &self,
        account: &Account,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), BudgetError> {
        self.note_pause(account, until, now).await.map_err(|error| failure(account, error))
    }
}

fn failure(account: &Account, error: RecordError) -> BudgetError {
    BudgetError { host: account.host.clone(), retry: error.retry(), source: error.into() }
}

fn level(item: &Item) -> Result<Level, RecordError> {
    check_version(item)?;
    item.number(LEVEL).map(Level).ok_or_else(|| corrupt(place(item), "there is no `level`"))
}

fn place(item: &Item) -> String {
    format!("{}/{}", item.key.partition, item.key.sort)
}

/// When a bucket with this level can be forgotten: it has long been full.
fn kept_until(level: Level, now: Timestamp) -> i64 {
    let full = Timestamp::from_microsecond(level.0).unwrap_or(now).max(now);
    time_to_live(full, DAY)
}
