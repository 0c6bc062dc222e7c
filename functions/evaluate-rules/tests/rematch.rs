//! When images are sent to be matched again: by what is in force and what was in force when that was done last, also after
//! a crash and by two evaluators at once.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use serde_json::{Value, json};
use tidewatch_core::Digest;
use tidewatch_core::config::Config;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::RematchMessage;
use tidewatch_evaluate_rules::EvaluateRules;
use tidewatch_store::records::AdvisoryFamily;
use tidewatch_store::{MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::failing::{FailingTable, Outages};
use tidewatch_testkit::interleave::{Interleaving, PausingTable};
use tidewatch_testkit::ports::{InstantSleeper, RecordingQueue, SettableClock};

struct World {
    table: Arc<MemoryTable>,
    objects: Arc<ObjectStorage>,
    clock: Arc<SettableClock>,
    queue: Arc<RecordingQueue>,
    records: Records,
}

impl World {
    /// The organisation `acme`, with nothing but a name.
    async fn new() -> Self {
        let (table, objects) = (Arc::new(MemoryTable::new()), Arc::new(ObjectStorage::in_memory()));
        let sleeper = Arc::new(InstantSleeper::new());
        let world = Self {
            records: Records::new(Arc::clone(&table) as _, Arc::clone(&objects) as _, sleeper),
            table,
            objects,
            clock: Arc::new(SettableClock::at("2026-03-01T00:00:00Z")),
            queue: Arc::new(RecordingQueue::new()),
        };
        world.apply("acme", &json!({})).await;
        world
    }

    /// Puts a configuration in force that has these keys beside its organisation.
    async fn apply(&self, org: &str, keys: &Value) {
        let mut config = keys.clone();
        config["org"] = org.into();
        let config: Config = serde_json::from_value(config).unwrap();
        let version = self.records.config(&config.org).await.unwrap().map(|applied| applied.version);
        self.records.apply_config(&config, version, self.clock.now()).await.unwrap();
    }

    /// Puts an index with this content in force.
    async fn publish(&self, family: &str, content: &str) {
        let index = AdvisoryFamily {
            hash: Digest::of(content.as_bytes()),
            size: 1,
            records: 1,
            advisories: 1,
            withdrawn: 0,
            problems: 0,
            newest_modified: None,
            built_at: self.clock.now(),
        };
        self.records.publish_advisories([(family.to_owned(), index)]).await.unwrap();
    }

    fn evaluator_on(&self, records: Records) -> EvaluateRules {
        EvaluateRules::new(records, Arc::clone(&self.queue) as _, Arc::clone(&self.clock) as _)
    }

    /// The organisations whose images one tick sends to be matched again.
    async fn tick(&self) -> Vec<String> {
        self.queue.clear();
        self.evaluator_on(self.records.clone()).tick().await.unwrap();
        self.sent()
    }

    fn sent(&self) -> Vec<String> {
        let messages: Vec<RematchMessage> = self.queue.messages(QueueName::Rematches);
        assert!(messages.iter().all(|message| message.task.is_none()), "{messages:?}");
        messages.into_iter().map(|message| message.org.to_string()).collect()
    }
}

const NONE: [&str; 0] = [];

#[tokio::test]
async fn images_are_sent_once_for_each_change_of_what_results_depend_on() {
    let world = World::new().await;
    assert_eq!(world.tick().await, ["acme"], "of what was before, nothing is known");
    assert_eq!(world.tick().await, NONE);
    for (family, content) in [("debian", "one"), ("debian", "two"), ("alpine", "two")] {
        world.publish(family, content).await;
        assert_eq!((world.tick().await, world.tick().await), (vec!["acme".to_owned()], vec![]));
    }
    let disabled = json!({"policies": [{"id": "fixable-vulnerabilities", "enabled": false}]});
    world.apply("acme", &disabled).await;
    assert_eq!((world.tick().await, world.tick().await), (vec!["acme".to_owned()], vec![]));
}

#[tokio::test]
async fn what_no_result_depends_on_sends_nothing() {
    let world = World::new().await;
    world.publish("debian", "one").await;
    world.tick().await;
    world.clock.advance(std::time::Duration::from_secs(60));
    world.publish("debian", "one").await;
    assert_eq!(world.tick().await, NONE, "the same index, built later");
    let registry = json!({"registries": [{"id": "hub", "kind": "oci", "url": "https://hub.example.com"}]});
    world.apply("acme", &registry).await;
    assert_eq!(world.tick().await, NONE, "another registry");
}

#[tokio::test]
async fn advisories_are_for_all_organisations_and_policies_for_their_own() {
    let world = World::new().await;
    world.apply("zebra", &json!({})).await;
    assert_eq!(world.tick().await, ["acme", "zebra"]);
    world.publish("debian", "one").await;
    assert_eq!(world.tick().await, ["acme", "zebra"]);
    let strict = json!({"policies": [{"id": "fixable-vulnerabilities", "config": {"grace_period_days": 3}}]});
    world.apply("zebra", &strict).await;
    assert_eq!(world.tick().await, ["zebra"]);
}

#[tokio::test]
async fn a_crash_before_any_table_operation_loses_no_change() {
    for crash in 0..1_000 {
        let world = World::new().await;
        world.tick().await;
        world.queue.clear();
        world.publish("debian", "one").await;
        let outages = Outages::none();
        let table = FailingTable::new(Arc::clone(&world.table) as _, Arc::clone(&outages));
        let sleeper = Arc::new(InstantSleeper::new());
        let records = Records::new(Arc::new(table), Arc::clone(&world.objects) as _, sleeper);
        outages.fail_after(crash);
        // Whether it fails or logs what fails, the next tick does what is left.
        let _ = world.evaluator_on(records).tick().await;
        let finished = outages.operations() <= crash;
        let before = world.sent().len();
        let after = world.tick().await.len();
        assert!(before + after >= 1, "crash before operation {crash}");
        assert_eq!(world.tick().await, NONE, "crash before operation {crash}");
        if finished {
            assert_eq!((before, after), (1, 0));
            return;
        }
    }
    panic!("a tick takes more than 1000 operations");
}

#[tokio::test]
async fn a_change_while_another_evaluator_is_at_work_is_sent_for() {
    for steps in 1..100 {
        let world = World::new().await;
        world.publish("debian", "one").await;
        let pausing = Arc::new(PausingTable::new(Arc::clone(&world.table) as _));
        let objects = Arc::clone(&world.objects) as _;
        let evaluator = world.evaluator_on(Records::new(pausing, objects, Arc::new(InstantSleeper::new())));
        let mut overtaken = Interleaving::new();
        let task = overtaken.start(evaluator.tick());
        let finished = (0..steps).any(|_| overtaken.step(task).is_some());
        world.publish("debian", "two").await;
        let other = world.tick().await.len();
        if !finished {
            overtaken.finish(task).unwrap().unwrap();
        }
        assert_eq!(other, 1, "after {steps} operations of the other");
        // What the slow one has noted may be old: then images are sent once more, and that is the end of it.
        world.tick().await;
        assert_eq!(world.tick().await, NONE, "after {steps} operations");
        if finished {
            return;
        }
    }
    panic!("a tick takes more than 100 operations");
}
