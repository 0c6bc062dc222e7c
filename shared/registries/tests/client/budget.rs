//! Clients that share a budget: what the registry gets, and what it does not get.

use std::sync::Arc;
use std::time::Duration;

use tidewatch_core::config::RegistryConfig;
use tidewatch_core::ports::registry::{RegistryError, Throttling};
use tidewatch_core::ports::{RateBudgets, Registries as _, Registry};
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, Ports};
use tidewatch_store::{MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::contract::budgets::rate;
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness, SettableClock};
use tidewatch_testkit::registry::{Access, Fault, TestRegistry};

use crate::support::{blob, push_image, repository, tag};

/// What several processes share, on one machine with one clock, which sleeping does not move.
struct Fleet {
    registry: TestRegistry,
    config: RegistryConfig,
    clock: Arc<SettableClock>,
    sleeper: Arc<InstantSleeper>,
    budgets: Arc<Records>,
}

impl Fleet {
    /// Workers of a registry with one image, of which they may ask as often as `rate` says.
    async fn with(rate: Option<tidewatch_core::config::RateConfig>) -> Self {
        let registry = TestRegistry::start().await.unwrap();
        push_image(&registry);
        let config = RegistryConfig { rate, ..registry.config("hub") };
        let clock = Arc::new(SettableClock::at("2024-01-01T00:00:00Z"));
        let sleeper = Arc::new(InstantSleeper::new());
        let (table, objects) = (Arc::new(MemoryTable::new()), Arc::new(ObjectStorage::in_memory()));
        let budgets = Arc::new(Records::new(table, objects, sleeper.clone()));
        Self { registry, config, clock, sleeper, budgets }
    }

    /// Another process.
    async fn worker(&self, seed: u64) -> Arc<dyn Registry> {
        let ports = Ports {
            clock: self.clock.clone(),
            sleeper: self.sleeper.clone(),
            randomness: Arc::new(SeededRandomness::new(seed)),
        };
        let secrets = LocalSecrets::new(|name| (name == "LOGIN").then(|| "robot:secret".to_owned()));
        let registries = ConfiguredRegistries::new(Arc::new(secrets), ports);
        let budgets: Arc<dyn RateBudgets> = self.budgets.clone();
        registries.within(budgets).open(&self.config).await.unwrap()
    }
}

async fn ask(worker: &dyn Registry) -> Result<(), RegistryError> {
    worker.resolve(&repository("team/web"), &tag("latest")).await.map(drop)
}

fn throttled(error: &RegistryError) -> (Throttling, Option<Duration>) {
    let RegistryError::Throttled { by, retry_after, .. } = error else { panic!("{error:?}") };
    (*by, *retry_after)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_workers_at_once_never_ask_more_often_than_the_budget_says() {
    for (requests, per, burst) in [(50, "1s", 60), (1000, "1s", 1000), (30, "1m", 10)] {
        let fleet = Fleet::with(Some(rate(requests, per, burst))).await;
        let per_minute = if per == "1s" { u64::from(requests) * 60 } else { u64::from(requests) };
        for seconds in [0, 1, 3, 60] {
            fleet.clock.advance(Duration::from_secs(seconds));
            fleet.registry.clear_requests();
            let mut workers = tokio::task::JoinSet::new();
            for seed in 0..16 {
                let worker = fleet.worker(seed).await;
                workers.spawn(async move {
                    let mut asked = 0;
                    while asked < 200 {
                        match ask(&*worker).await {
                            Ok(()) => asked += 1,
                            Err(error) => {
                                assert_eq!(throttled(&error).0, Throttling::Budget);
                                break;
                            }
                        }
                    }
                    asked
                });
            }
            let asked: usize = workers.join_all().await.into_iter().sum();
            assert_eq!(asked, fleet.registry.requests().len());
            // The clock stands still while they ask: what they wait for, up to two seconds, comes at once.
            let most = u64::from(burst) + (per_minute * (2 + seconds)).div_ceil(60);
            assert!(asked > 0 || ![0, 60].contains(&seconds), "{requests} per {per}: nobody could ask");
            assert!(asked as u64 <= most, "{requests} per {per}: {asked} after {seconds} s");
        }
    }
}

#[tokio::test]
async fn who_finds_nothing_left_is_told_when_there_is_and_then_may_ask() {
    // One every ten seconds; 15 are there, and a worker begins with eight or none.
    let fleet = Fleet::with(Some(rate(6, "1m", 16))).await;
    let workers = [fleet.worker(1).await, fleet.worker(2).await];
    ask(&*workers[0]).await.unwrap();
    let (by, retry_after) = throttled(&ask(&*workers[1]).await.unwrap_err());
    assert_eq!((by, retry_after), (Throttling::Budget, Some(Duration::from_secs(10))));
    for _ in 0..7 {
        ask(&*workers[0]).await.unwrap();
    }
    ask(&*workers[0]).await.unwrap_err();
    assert_eq!(fleet.registry.requests().len(), 8);
    fleet.clock.advance(Duration::from_secs(9));
    ask(&*workers[1]).await.unwrap();
    assert_eq!(fleet.sleeper.slept(), [Duration::from_secs(1)], "a moment is waited for");
}

#[tokio::test]
async fn what_is_left_of_a_block_is_lost_after_a_while_and_the_next_one_is_smaller() {
    let fleet = Fleet::with(Some(rate(6, "1m", 40))).await;
    let worker = fleet.worker(1).await;
    for _ in 0..3 {
        ask(&*worker).await.unwrap();
    }
    fleet.clock.advance(Duration::from_secs(10));
    ask(&*worker).await.unwrap();
    let account = tidewatch_core::budget::Account::of(&fleet.config);
    let plan = tidewatch_core::budget::Plan::of(&fleet.config.rate.unwrap());
    // Of 39 one block of eight, and one of the three that were used of it; one has come in the meantime.
    assert_eq!(left(&*fleet.budgets, &account, &plan, &fleet.clock).await, 39 - 8 - 3 + 1);
}

#[tokio::test]
async fn every_request_counts_also_one_that_is_challenged_tried_again_or_goes_on() {
    let fleet = Fleet::with(Some(rate(100, "1s", 100))).await;
    let digest = fleet.registry.push_blob("team/web", vec![7; 300_000]);
    fleet.registry.require(Access::bearer("robot", "secret"));
    let login = Some(tidewatch_core::config::Credentials::Env("LOGIN".to_owned()));
    let fleet = Fleet { config: RegistryConfig { credentials: login, ..fleet.config.clone() }, ..fleet };
    fleet.registry.inject(Fault::CutBlob { digest, after: 100_000, times: 1 });
    let worker = fleet.worker(1).await;
    ask(&*worker).await.unwrap();
    fleet.registry.inject(Fault::Status { requests: 1, status: 500 });
    blob(&*worker, "team/web", &digest).await.unwrap();

    // A challenge, its token, which the registry gives itself, and the answer; a failure, the blob, and the rest of it.
    let made = fleet.registry.requests().len();
    assert_eq!(made, 6);
    let account = tidewatch_core::budget::Account::of(&fleet.config);
    let plan = tidewatch_core::budget::Plan::of(&fleet.config.rate.unwrap());
    // They are one block of eight. Of 100 a second 50 are there, and 200 come within two seconds.
    assert_eq!(left(&*fleet.budgets, &account, &plan, &fleet.clock).await, 50 + 200 - 8);
}

async fn left(
    budgets: &dyn RateBudgets,
    account: &tidewatch_core::budget::Account,
    plan: &tidewatch_core::budget::Plan,
    clock: &SettableClock,
) -> u32 {
    use tidewatch_core::ports::Clock as _;
    use tidewatch_core::ports::budgets::{Taken, Wish};
    let mut left = 0;
    loop {
        let wish = Wish { bucket: 0, requests: 1, seen: tidewatch_core::budget::Level::FULL };
        match budgets.take_requests(account, plan, wish, clock.now()).await.unwrap() {
            Taken::Block(block, _) => left += block.requests,
            Taken::Nothing(_) => return left,
        }
    }
}

#[tokio::test]
async fn a_pause_holds_for_all_workers_and_for_no_other_registry() {
    let fleet = Fleet::with(None).await;
    let other = Fleet { registry: Fleet::with(None).await.registry, ..Fleet::with(None).await };
    let other = Fleet { config: other.registry.config("other"), budgets: fleet.budgets.clone(), ..other };
    let [first, second, elsewhere] = [fleet.worker(1).await, fleet.worker(2).await, other.worker(3).await];
    fleet.registry.inject(Fault::Throttle { requests: 1, retry_after: Some(Duration::from_mins(5)) });
    let wait = Some(Duration::from_mins(5));
    assert_eq!(throttled(&ask(&*first).await.unwrap_err()), (Throttling::Answer, wait));
    for worker in [&first, &second] {
        assert_eq!(throttled(&ask(&**worker).await.unwrap_err()), (Throttling::Pause, wait));
    }
    assert_eq!(fleet.registry.requests().len(), 1);
    ask(&*elsewhere).await.unwrap();

    fleet.clock.advance(Duration::from_secs(299));
    ask(&*second).await.unwrap();
    assert_eq!(fleet.sleeper.slept(), [Duration::from_secs(1)], "a moment is waited for");
}

#[tokio::test]
async fn another_workers_pause_is_seen_within_two_seconds() {
    let fleet = Fleet::with(None).await;
    let [first, second] = [fleet.worker(1).await, fleet.worker(2).await];
    ask(&*second).await.unwrap();
    fleet.registry.inject(Fault::Throttle { requests: 1, retry_after: Some(Duration::from_mins(5)) });
    ask(&*first).await.unwrap_err();
    ask(&*second).await.unwrap();
    fleet.clock.advance(Duration::from_secs(2));
    assert_eq!(throttled(&ask(&*second).await.unwrap_err()).0, Throttling::Pause);
}

#[tokio::test]
async fn without_a_rate_nothing_is_counted() {
    let fleet = Fleet::with(None).await;
    let worker = fleet.worker(1).await;
    for _ in 0..300 {
        ask(&*worker).await.unwrap();
    }
    assert!(fleet.sleeper.slept().is_empty());
}
