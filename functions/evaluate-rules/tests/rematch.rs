//! When images are sent to be matched again: by what is in force and what was in force when that was done last, also after
//! a crash and by two evaluators at once.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidewatch_core::Digest;
use tidewatch_core::basis::{Basis, Footing};
use tidewatch_core::config::Config;
use tidewatch_core::image::{ImageId, Platform};
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::{RematchMessage, RematchTask};
use tidewatch_evaluate_rules::EvaluateRules;
use tidewatch_store::records::{AdvisoryFamily, Postings, Unposted};
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
            confirmed_at: None,
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
        assert!(messages.iter().all(|message| message.sent_at == Some(self.clock.now())), "{messages:?}");
        let sent = messages.iter().filter(|message| message.task.is_none());
        sent.map(|message| message.org.to_string()).collect()
    }

    /// How often one tick sends images to be posted.
    async fn posts(&self) -> usize {
        self.queue.clear();
        self.evaluator_on(self.records.clone()).tick().await.unwrap();
        let messages: Vec<RematchMessage> = self.queue.messages(QueueName::Rematches);
        assert!(messages.iter().all(|message| message.task == Some(RematchTask::Compact {})), "{messages:?}");
        messages.len()
    }

    async fn basis(&self) -> Basis {
        self.records.in_force(&acme(), None).await.unwrap().unwrap().basis(self.clock.now())
    }

    /// Does what the change that was sent for comes to: all images are settled by what is in force.
    async fn settle(&self) {
        let read = self.records.postings(&acme()).await.unwrap();
        let (covered, all_sent_at) = (Some(self.basis().await), Some(self.clock.now()));
        let postings = Postings { covered, all_sent_at, ..Postings::default() };
        assert!(self.records.put_postings(&acme(), &postings, read.as_ref()).await.unwrap());
    }

    /// Notes so many images as unposted, in the partition that the present minute looks at.
    async fn note_unposted(&self, images: usize, footing: &Footing, is_left: bool) {
        let minute = self.clock.now().as_second().unsigned_abs() / 60;
        let digests = (0_u64..).map(|number| Digest::of(&number.to_le_bytes()));
        for digest in digests.filter(|digest| digest.spread() % 8 == minute % 8).take(images) {
            let row = Unposted {
                image: ImageId { digest, platform: Platform::linux_amd64() },
                revision: 1,
                inventory: Digest::of(b"inventory"),
                footing: footing.clone(),
                is_posted: false,
                is_left,
                noted_at: self.clock.now(),
            };
            self.records.note_unposted(&acme(), &row).await.unwrap();
        }
    }

    /// So many minutes pass; a multiple of the number of partitions, so that the same is looked at.
    fn wait(&self, minutes: u64) {
        assert!(minutes.is_multiple_of(8));
        self.clock.advance(Duration::from_secs(60 * minutes));
    }
}

fn acme() -> OrgName {
    "acme".parse().unwrap()
}

/// What the result of an image rests on that needs the index of Debian with this content.
fn footing(basis: &Basis, content: &str) -> Footing {
    let indexes = [("debian".to_owned(), Some(Digest::of(content.as_bytes())))].into();
    Footing { matching: basis.matching, indexes, judging: basis.judging }
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
async fn images_are_sent_for_again_while_they_are_not_settled_in_case_the_message_is_lost() {
    let world = World::new().await;
    world.publish("debian", "one").await;
    assert_eq!(world.tick().await, ["acme"]);
    world.clock.advance(Duration::from_secs(14 * 60));
    assert_eq!(world.tick().await, NONE);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!((world.tick().await, world.tick().await), (vec!["acme".to_owned()], vec![]));
    world.settle().await;
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(world.tick().await, NONE);
    world.clock.advance(Duration::from_secs(7 * 24 * 3600));
    assert_eq!(world.tick().await, ["acme"], "all of them, each week");
}

#[tokio::test]
async fn a_change_back_to_what_was_sent_for_last_is_sent_for_at_once() {
    let world = World::new().await;
    world.publish("debian", "one").await;
    world.tick().await;
    // It was found when another one was in force, and then that one is undone.
    world.publish("debian", "two").await;
    world.settle().await;
    world.publish("debian", "one").await;
    assert_eq!((world.tick().await, world.tick().await), (vec!["acme".to_owned()], vec![]));
}

#[tokio::test]
async fn a_change_that_is_undone_before_a_tick_sends_for_nobody() {
    let world = World::new().await;
    world.publish("debian", "one").await;
    world.tick().await;
    world.settle().await;
    world.publish("debian", "two").await;
    world.publish("debian", "one").await;
    assert_eq!(world.tick().await, NONE);
}

#[tokio::test]
async fn images_are_posted_when_many_wait_or_one_has_waited_for_an_hour() {
    for (images, minutes) in [(124, 64), (125, 0)] {
        let world = World::new().await;
        world.publish("debian", "one").await;
        world.settle().await;
        world.note_unposted(images, &footing(&world.basis().await, "one"), false).await;
        world.wait(minutes / 2);
        assert_eq!(world.posts().await, usize::from(minutes == 0), "{images}");
        world.wait(minutes - minutes / 2);
        assert_eq!(world.posts().await, usize::from(minutes > 0), "{images}, once in five minutes");
        world.wait(8);
        assert_eq!(world.posts().await, 1, "{images}");
    }
}

#[tokio::test]
async fn images_that_nobody_settles_are_looked_at_sooner_and_those_left_to_a_scan_not_at_all() {
    let world = World::new().await;
    world.publish("debian", "one").await;
    world.settle().await;
    world.note_unposted(3, &footing(&world.basis().await, "of before"), true).await;
    world.wait(160);
    assert_eq!(world.posts().await, 0);
    // Of those there are more, the first of which are noted already.
    world.note_unposted(4, &footing(&world.basis().await, "of before"), false).await;
    assert_eq!(world.posts().await, 0, "a scan may be at it");
    world.wait(8);
    assert_eq!(world.posts().await, 1);
}

#[tokio::test]
async fn images_are_not_posted_while_a_change_is_to_be_sent_for() {
    let world = World::new().await;
    world.publish("debian", "one").await;
    world.settle().await;
    world.note_unposted(125, &footing(&world.basis().await, "one"), false).await;
    world.publish("debian", "two").await;
    assert_eq!(world.tick().await, ["acme"]);
    assert_eq!(world.posts().await, 0);
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
