//! An organisation with rules on a table in memory, a clock that is set, and a queue that keeps what was sent.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidewatch_core::Digest;
use tidewatch_core::config::Config;
use tidewatch_core::image::{Image, Platform};
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::table::{Condition, Key, Update};
use tidewatch_core::ports::{Clock as _, Table as _};
use tidewatch_core::work::{ListingMessage, Priority, RunId, ScanMessage, Work};
use tidewatch_evaluate_rules::{EvaluateRules, Tick};
use tidewatch_store::records::ListingState;
use tidewatch_store::{MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::interleave::PausingTable;
use tidewatch_testkit::ports::{InstantSleeper, RecordingQueue, SettableClock};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) table: Arc<MemoryTable>,
    pub(crate) objects: Arc<ObjectStorage>,
    pub(crate) clock: Arc<SettableClock>,
    pub(crate) queue: Arc<RecordingQueue>,
    pub(crate) records: Records,
    pub(crate) pausing: Records,
}

impl World {
    /// The organisation `acme`, whose only rule has this schedule.
    pub(crate) async fn new(schedule: Value) -> Self {
        let world = Self::empty();
        world.apply(&config("acme", &schedule)).await;
        world
    }

    pub(crate) fn empty() -> Self {
        let table = Arc::new(MemoryTable::new());
        let objects = Arc::new(ObjectStorage::in_memory());
        let sleeper = Arc::new(InstantSleeper::new());
        let pausing = Arc::new(PausingTable::new(Arc::clone(&table) as _));
        Self {
            records: Records::new(
                Arc::clone(&table) as _,
                Arc::clone(&objects) as _,
                Arc::clone(&sleeper) as _,
            ),
            pausing: Records::new(pausing, Arc::clone(&objects) as _, sleeper),
            table,
            objects,
            clock: Arc::new(SettableClock::at("2026-03-01T00:00:00Z")),
            queue: Arc::new(RecordingQueue::new()),
        }
    }

    pub(crate) async fn apply(&self, config: &Config) {
        let version = self.records.config(&config.org).await.unwrap().map(|applied| applied.version);
        self.records.apply_config(config, version, self.clock.now()).await.unwrap();
    }

    pub(crate) fn evaluator(&self) -> EvaluateRules {
        EvaluateRules::new(self.records.clone(), Arc::clone(&self.queue) as _, Arc::clone(&self.clock) as _)
    }

    pub(crate) fn pausing_evaluator(&self) -> EvaluateRules {
        EvaluateRules::new(self.pausing.clone(), Arc::clone(&self.queue) as _, Arc::clone(&self.clock) as _)
    }

    pub(crate) async fn tick(&self) -> Tick {
        self.evaluator().tick().await.unwrap()
    }

    pub(crate) fn listings(&self) -> Vec<ListingMessage> {
        self.queue.messages(QueueName::Listings)
    }

    /// Completes every listing that is queued.
    pub(crate) async fn finish_listings(&self) {
        for message in self.listings() {
            for mut listing in self.records.listings(&message.org, &message.run).await.unwrap() {
                listing.state = ListingState::Done;
                self.records
                    .put_listing(&message.org, &message.run, &listing, self.clock.now())
                    .await
                    .unwrap();
            }
        }
    }

    /// Makes an item unreadable, or puts one there that is.
    pub(crate) async fn break_item(&self, partition: &str, sort: &str) {
        let broken = Update::default().set("v", 1).set("data", "{");
        self.table.update(&Key::new(partition, sort), broken, Condition::Always).await.unwrap();
    }

    /// The contents of the images that were dispatched, in the order of dispatch.
    pub(crate) fn dispatched(&self) -> Vec<Digest> {
        let messages: Vec<ScanMessage> = self.queue.messages(QueueName::Scans);
        messages.into_iter().map(|message| message.work.image.digest).collect()
    }

    /// Queues work that is due so many seconds from now.
    pub(crate) async fn enqueue(&self, work: &Work, seconds: i64) {
        let due_at = jiff::Timestamp::from_second(self.clock.now().as_second() + seconds).unwrap();
        self.records.enqueue(&acme(), work, due_at).await.unwrap();
    }
}

pub(crate) fn acme() -> OrgName {
    "acme".parse().unwrap()
}

pub(crate) fn config(org: &str, schedule: &Value) -> Config {
    serde_json::from_value(json!({
        "org": org,
        "registries": [
            {"id": "hub", "kind": "oci", "url": "https://hub.example.com"},
            {"id": "quay", "kind": "oci", "url": "https://quay.example.com"},
        ],
        "rules": [{"id": "nightly", "registries": ["hub", "quay"], "schedule": schedule}],
    }))
    .unwrap()
}

pub(crate) fn hourly() -> Value {
    json!({"cron": "0 * * * *"})
}

pub(crate) fn work(content: &str, priority: Priority) -> Work {
    Work {
        image: Image {
            registry: "hub".parse().unwrap(),
            repository: "team/web".parse().unwrap(),
            digest: Digest::of(content.as_bytes()),
            platform: Platform::linux_amd64(),
        },
        tag: "latest".parse().unwrap(),
        seen_at: "2026-02-28T00:00:00Z".parse().unwrap(),
        counted: true,
        priority,
        read_again: false,
        run: Some(RunId { rule: "nightly".parse().unwrap(), run: "1".to_owned() }),
        attestations: None,
    }
}

pub(crate) fn digests(contents: &[&str]) -> Vec<Digest> {
    contents.iter().map(|content| Digest::of(content.as_bytes())).collect()
}
