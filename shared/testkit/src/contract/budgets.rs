//! The contract of the port of rate budgets. Every promise is a function that takes budgets of which nothing was taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tidewatch_core::Timestamp;
use tidewatch_core::budget::{Account, Block, Level, PATIENCE, Plan};
use tidewatch_core::config::RateConfig;
use tidewatch_core::ports::RateBudgets;
use tidewatch_core::ports::budgets::{Taken, Wish};

/// Makes a module `$backend` with one test for each promise of [`RateBudgets`]. `$make` is an async function that gives an
/// `Arc<dyn RateBudgets>`.
#[macro_export]
macro_rules! budgets_contract {
    ($backend:ident, $make:path) => {
        $crate::budgets_contract!(@tests $backend, $make,
            what_is_taken_at_once_is_no_more_than_a_block_and_what_is_waited_for,
            a_bucket_fills_up_again_and_no_further,
            accounts_and_buckets_have_nothing_of_one_another,
            nothing_left_tells_how_long_to_wait,
            workers_at_the_same_time_never_make_more_requests_than_the_rate_and_the_burst,
            the_latest_pause_is_kept_and_no_longer_than_a_day,
        );
    };
    (@tests $backend:ident, $make:path, $($promise:ident),+ $(,)?) => {
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $promise() {
                    $crate::contract::budgets::$promise($make().await).await;
                }
            )+
        }
    };
}

/// A rate of so many requests in `per`, with `burst` more.
///
/// # Panics
/// Where there is no such rate.
pub fn rate(requests: u32, per: &str, burst: u32) -> RateConfig {
    serde_json::from_value(serde_json::json!({"requests": requests, "per": per, "burst": burst})).unwrap()
}

/// Fails when in some stretch of time there are more requests than `rate` allows. `made` are their times in microseconds.
///
/// # Panics
/// Then.
pub fn assert_within(rate: &RateConfig, made: &mut [i64]) {
    made.sort_unstable();
    let (requests, per) = (i128::from(rate.requests.get()), rate.per.duration().as_micros().cast_signed());
    for (first, from) in made.iter().enumerate() {
        for (last, to) in made.iter().enumerate().skip(first) {
            let over = i128::try_from(last - first + 1).unwrap() - i128::from(rate.burst().get());
            let given = i128::from(to - from) * requests;
            assert!(over * per <= given, "{} requests within {} µs", last - first + 1, to - from);
        }
    }
}

fn account(host: &str) -> Account {
    Account { host: host.to_owned(), credential: "anonymous".to_owned() }
}

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + milliseconds).unwrap()
}

async fn take(budgets: &dyn RateBudgets, plan: &Plan, requests: u32, now: Timestamp) -> Option<Block> {
    let wish = Wish { bucket: 0, requests, seen: Level::FULL };
    match budgets.take_requests(&account("hub"), plan, wish, now).await.unwrap() {
        Taken::Block(block, _) => Some(block),
        Taken::Nothing(_) => None,
    }
}

/// Takes single requests until there is nothing left; how many there were.
async fn take_all(budgets: &dyn RateBudgets, plan: &Plan, now: Timestamp) -> u32 {
    let mut taken = 0;
    while let Some(block) = take(budgets, plan, 1, now).await {
        assert!(block.from.duration_since(now).unsigned_abs() <= PATIENCE && block.from < block.until);
        taken += block.requests;
    }
    taken
}

/// Of 10 a second with a burst of 20, ten are there and twenty come within two seconds.
pub async fn what_is_taken_at_once_is_no_more_than_a_block_and_what_is_waited_for(
    budgets: Arc<dyn RateBudgets>,
) {
    let plan = Plan::of(&rate(10, "1s", 20));
    assert_eq!(plan.largest_block(), 10);
    assert_eq!(take_all(&*budgets, &plan, at(0)).await, 30);
    assert_eq!(take_all(&*budgets, &plan, at(0)).await, 0);
}

/// Ten seconds give a hundred, an hour no more than at first.
pub async fn a_bucket_fills_up_again_and_no_further(budgets: Arc<dyn RateBudgets>) {
    let plan = Plan::of(&rate(10, "1s", 20));
    assert_eq!(take_all(&*budgets, &plan, at(0)).await, 30);
    assert_eq!(take_all(&*budgets, &plan, at(500)).await, 5);
    assert_eq!(take_all(&*budgets, &plan, at(3_600_000)).await, 30);
}

/// Nor have credentials.
pub async fn accounts_and_buckets_have_nothing_of_one_another(budgets: Arc<dyn RateBudgets>) {
    let plan = Plan::of(&rate(10, "1s", 20));
    assert_eq!(take_all(&*budgets, &plan, at(0)).await, 30);
    let wish = Wish { bucket: 0, requests: 10, seen: Level::FULL };
    let other = Account { credential: "env:LOGIN".to_owned(), ..account("hub") };
    for (account, wish) in
        [(account("other"), wish), (other, wish), (account("hub"), Wish { bucket: 1, ..wish })]
    {
        let taken = budgets.take_requests(&account, &plan, wish, at(0)).await.unwrap();
        assert!(matches!(taken, Taken::Block(Block { requests: 10, .. }, _)), "{taken:?}");
    }
}

/// Until the next one can be made.
pub async fn nothing_left_tells_how_long_to_wait(budgets: Arc<dyn RateBudgets>) {
    let plan = Plan::of(&rate(10, "1s", 20));
    take_all(&*budgets, &plan, at(0)).await;
    let wish = Wish { bucket: 0, requests: 1, seen: Level(at(1).as_microsecond()) };
    let taken = budgets.take_requests(&account("hub"), &plan, wish, at(0)).await.unwrap();
    let Taken::Nothing(level) = taken else { panic!("{taken:?}") };
    assert_eq!(plan.wait(1, level, at(0)), PATIENCE + Duration::from_millis(100));
}

/// Twenty-four workers, each as fast as it can, with blocks of any size that are used at any time; while the clock runs.
pub async fn workers_at_the_same_time_never_make_more_requests_than_the_rate_and_the_burst(
    budgets: Arc<dyn RateBudgets>,
) {
    const END: i64 = 4_000_000;
    let rate = rate(50, "1s", 60);
    let (clock, start) = (Arc::new(AtomicI64::new(0)), at(0).as_microsecond());
    let workers = (0..24_u32).map(|worker| {
        let (budgets, clock) = (Arc::clone(&budgets), Arc::clone(&clock));
        tokio::spawn(async move {
            let (plan, mut made, mut seen) = (Plan::of(&rate), Vec::new(), Level::FULL);
            for turn in worker.. {
                // The clock goes on with each wish.
                let now = clock.fetch_add(2_000, Ordering::SeqCst);
                if now >= END {
                    break;
                }
                let now = Timestamp::from_microsecond(start + now).unwrap();
                let wish = Wish { bucket: 0, requests: turn % plan.largest_block() + 1, seen };
                let taken = budgets.take_requests(&account("hub"), &plan, wish, now).await.unwrap();
                let (Taken::Block(_, level) | Taken::Nothing(level)) = taken;
                seen = seen.max(level);
                let Taken::Block(block, _) = taken else { continue };
                // The first moment, the last one, or one in between.
                let (from, until) = (block.from.as_microsecond(), block.until.as_microsecond() - 1);
                let moment = [from, until, i64::midpoint(from, until)][usize::try_from(turn % 3).unwrap()];
                made.extend(std::iter::repeat_n(moment - start, usize::try_from(block.requests).unwrap()));
            }
            made
        })
    });
    let mut made = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        made.extend(worker.await.unwrap());
    }
    // Two seconds can be taken before the end, and the burst at the beginning.
    assert!(made.len() >= 100, "only {} requests were taken", made.len());
    assert_within(&rate, &mut made);
}

/// Whoever notes it, and in whatever order.
pub async fn the_latest_pause_is_kept_and_no_longer_than_a_day(budgets: Arc<dyn RateBudgets>) {
    let hub = account("hub");
    assert_eq!(budgets.not_before(&hub).await.unwrap(), None);
    budgets.put_not_before(&hub, at(60_000), at(0)).await.unwrap();
    budgets.put_not_before(&hub, at(30_000), at(1)).await.unwrap();
    assert_eq!(budgets.not_before(&hub).await.unwrap(), Some(at(60_000)));
    assert_eq!(budgets.not_before(&account("other")).await.unwrap(), None);
    budgets.put_not_before(&hub, at(1_000_000_000), at(2)).await.unwrap();
    assert_eq!(budgets.not_before(&hub).await.unwrap(), Some(at(86_400_002)));
}
