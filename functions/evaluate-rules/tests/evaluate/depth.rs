//! How much is dispatched, by what is in the queue.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tidewatch_core::budget::Account;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::queue_depths::QueueDepth;
use tidewatch_core::ports::{Clock as _, QueueDepths as _, RateBudgets as _};
use tidewatch_core::work::{Priority, ScanMessage, Work};
use tidewatch_evaluate_rules::EvaluateRules;
use tidewatch_testkit::depths::SettableDepths;

use crate::world::{MINUTE, World, acme, work};

/// What a queue carries of which nobody knows how fast it is worked off.
const FIRST: usize = 1_000;

fn holds(visible: u64) -> QueueDepth {
    QueueDepth { visible, ..QueueDepth::default() }
}

async fn queue_work(world: &World, registry: &str, images: usize) {
    for number in 0..images {
        let mut work = work(&format!("{registry} {number}"), Priority::New);
        work.image.registry = registry.parse().unwrap();
        world.enqueue(&work, -10).await;
    }
}

fn paced(world: &World, depths: &Arc<SettableDepths>) -> EvaluateRules {
    world.evaluator().paced_by(Arc::clone(depths) as _)
}

/// How many images of each registry were dispatched.
fn by_registry(world: &World) -> BTreeMap<String, usize> {
    let mut dispatched = BTreeMap::new();
    for message in world.queue.messages::<ScanMessage>(QueueName::Scans) {
        *dispatched.entry(message.work.image.registry.to_string()).or_default() += 1;
    }
    dispatched
}

#[tokio::test]
async fn a_queue_that_is_full_gets_nothing_more_until_it_is_worked_off() {
    let world = World::new(json!("manual")).await;
    queue_work(&world, "hub", 1_200).await;
    let depths = Arc::new(SettableDepths::new());
    let evaluator = paced(&world, &depths);
    assert_eq!(evaluator.tick().await.unwrap().dispatched, FIRST);
    world.clock.advance(MINUTE);
    depths.set(QueueName::Scans, holds(FIRST as u64));
    assert_eq!(evaluator.tick().await.unwrap().dispatched, 0, "nothing was worked off");
    world.clock.advance(MINUTE);
    depths.set(QueueName::Scans, holds(100));
    assert_eq!(evaluator.tick().await.unwrap().dispatched, 200, "900 in two minutes: there is room for more");
}

#[tokio::test]
async fn a_queue_that_has_run_empty_gets_more_each_time() {
    let world = World::new(json!("manual")).await;
    queue_work(&world, "hub", 3_200).await;
    let depths = Arc::new(SettableDepths::new());
    let evaluator = paced(&world, &depths);
    let mut dispatched = Vec::new();
    for _ in 0..3 {
        dispatched.push(evaluator.tick().await.unwrap().dispatched);
        world.clock.advance(MINUTE);
    }
    assert_eq!(dispatched, [1_000, 2_000, 200]);
}

#[tokio::test]
async fn registries_share_the_room_and_get_what_others_leave() {
    let world = World::new(json!("manual")).await;
    queue_work(&world, "hub", 1_100).await;
    queue_work(&world, "quay", 300).await;
    let depths = Arc::new(SettableDepths::new());
    assert_eq!(paced(&world, &depths).tick().await.unwrap().dispatched, FIRST);
    assert_eq!(by_registry(&world), BTreeMap::from([("hub".to_owned(), 700), ("quay".to_owned(), 300)]));
}

#[tokio::test]
async fn a_registry_with_much_work_leaves_the_others_their_share() {
    let world = World::new(json!("manual")).await;
    for registry in ["hub", "quay"] {
        queue_work(&world, registry, 800).await;
    }
    let depths = Arc::new(SettableDepths::new());
    paced(&world, &depths).tick().await.unwrap();
    assert_eq!(by_registry(&world), BTreeMap::from([("hub".to_owned(), 500), ("quay".to_owned(), 500)]));
}

#[tokio::test]
async fn what_was_pushed_is_sent_however_much_else_waits() {
    let world = World::new(json!("manual")).await;
    queue_work(&world, "hub", 10).await;
    let pushed = Work { run: None, ..work("pushed", Priority::Pushed) };
    world.enqueue(&pushed, -1).await;
    let depths = Arc::new(SettableDepths::new());
    depths.set(QueueName::Scans, holds(50_000));
    assert_eq!(paced(&world, &depths).tick().await.unwrap().dispatched, 1);
    let sent: Vec<ScanMessage> = world.queue.messages(QueueName::Pushed);
    assert_eq!(sent.iter().map(|message| &message.work).collect::<Vec<_>>(), [&pushed]);
    let due = world.records.pending_work(&acme(), &work("hub 0", Priority::New).image).await.unwrap();
    assert!(due.is_some(), "what is not sent stays due");
}

#[tokio::test]
async fn a_queue_that_does_not_say_what_is_in_it_gets_work_all_the_same() {
    let world = World::new(json!("manual")).await;
    queue_work(&world, "hub", 2_100).await;
    let depths = Arc::new(SettableDepths::new());
    depths.fail(QueueName::Scans);
    depths.depth(QueueName::Scans).await.unwrap_err();
    let evaluator = paced(&world, &depths);
    assert_eq!(evaluator.tick().await.unwrap().dispatched, 2_000);
    assert_eq!(evaluator.tick().await.unwrap().dispatched, 100);
}

#[tokio::test]
async fn a_registry_that_asks_not_to_be_asked_gets_nothing_and_the_others_get_theirs() {
    let world = World::new(json!("manual")).await;
    for registry in ["hub", "quay"] {
        queue_work(&world, registry, 20).await;
    }
    let config = world.records.config(&acme()).await.unwrap().unwrap().config;
    let account = Account::of(config.registry(&"hub".parse().unwrap()).unwrap());
    let until = world.clock.now().checked_add(MINUTE).unwrap();
    world.records.put_not_before(&account, until, world.clock.now()).await.unwrap();
    world.tick().await;
    assert_eq!(by_registry(&world), BTreeMap::from([("quay".to_owned(), 20)]));
    world.clock.advance(MINUTE);
    world.tick().await;
    assert_eq!(by_registry(&world), BTreeMap::from([("hub".to_owned(), 20), ("quay".to_owned(), 20)]));
}

#[tokio::test]
async fn a_registry_with_a_rate_gets_no_more_than_it_can_be_asked_for() {
    let world = World::new(json!("manual")).await;
    queue_work(&world, "hub", 100).await;
    let mut config = world.records.config(&acme()).await.unwrap().unwrap().config;
    config.registries[0].rate = Some(serde_json::from_value(json!({"requests": 20, "per": "1m"})).unwrap());
    world.apply(&config).await;
    let depths = Arc::new(SettableDepths::new());
    assert_eq!(paced(&world, &depths).tick().await.unwrap().dispatched, 30, "20 a minute, in 90 seconds");
}
