//! A table, objects and a clock of one test, and what stands in them.

use std::io::Read as _;
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde_json::json;
use tidewatch_core::config::Config;
use tidewatch_core::image::{Image, Platform};
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::table::{Condition, Key, Update};
use tidewatch_core::ports::{Clock as _, Table as _};
use tidewatch_core::result::ResultState;
use tidewatch_core::severity::SeverityCounts;
use tidewatch_core::stream::{Layout, Member, SlotForm};
use tidewatch_core::{Digest, Severity, Timestamp};
use tidewatch_roll_up_streams::RollUpStreams;
use tidewatch_store::records::{Snapshot, SnapshotHead, Switch, TextHead};
use tidewatch_store::{MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::interleave::PausingTable;
use tidewatch_testkit::policies::fixable_only;
use tidewatch_testkit::ports::{InstantSleeper, SettableClock};

use crate::naive::{self, Series};

/// When every test begins.
pub(crate) const START: &str = "2026-06-15T00:00:00Z";

pub(crate) struct World {
    pub(crate) table: Arc<MemoryTable>,
    pub(crate) clock: Arc<SettableClock>,
    pub(crate) records: Records,
    /// The same records, through a table that pauses before each operation.
    pub(crate) pausing: Records,
    pub(crate) org: OrgName,
    pub(crate) stream: StreamName,
}

impl World {
    /// Nothing but a configuration.
    pub(crate) async fn new(config: &Config) -> Self {
        let table = Arc::new(MemoryTable::new());
        let objects = Arc::new(ObjectStorage::in_memory());
        let sleeper = Arc::new(InstantSleeper::new());
        let pausing = Arc::new(PausingTable::new(Arc::clone(&table) as _));
        let records =
            Records::new(Arc::clone(&table) as _, Arc::clone(&objects) as _, Arc::clone(&sleeper) as _);
        let pausing = Records::new(pausing, objects, sleeper);
        let clock = Arc::new(SettableClock::at(START));
        records.apply_config(config, None, clock.now()).await.unwrap();
        Self { table, clock, records, pausing, org: config.org.clone(), stream: StreamName::latest_indexed() }
    }

    /// Rolls up once, with nobody else at work. Whether a new snapshot was published.
    pub(crate) async fn roll_up(&self) -> bool {
        let roll_up = RollUpStreams::new(self.records.clone(), Arc::clone(&self.clock) as _);
        roll_up.roll_up(&self.org).await.unwrap()
    }

    pub(crate) fn pausing_roll_up(&self) -> RollUpStreams {
        RollUpStreams::new(self.pausing.clone(), Arc::clone(&self.clock) as _)
    }

    /// What a writer does that has scanned an image: its row, then the mark.
    pub(crate) async fn write(&self, member: &Member, revision: i64) {
        self.records.put_member(&self.org, &self.stream, member, revision).await.unwrap();
        self.records.mark_member(&self.org, &self.stream, member).await.unwrap();
    }

    /// Puts `config` in force.
    pub(crate) async fn apply(&self, config: &Config) {
        let version = self.records.config(&self.org).await.unwrap().map(|applied| applied.version);
        self.records.apply_config(config, version, self.clock.now()).await.unwrap();
    }

    pub(crate) async fn snapshot(&self) -> Option<Snapshot> {
        self.records.snapshot(&self.org).await.unwrap()
    }

    /// What whoever judges images again notes under `config`: that there is nothing left to do.
    pub(crate) async fn switched(&self, config: &Config) {
        let (judging, sent_at) = (config.judging_fingerprint(), self.clock.now());
        self.records.put_switch(&self.org, &Switch { judging, sent_at, parts: 0 }).await.unwrap();
    }

    /// What is told of the published snapshot.
    pub(crate) async fn head(&self) -> SnapshotHead {
        self.records.snapshot_head(&self.org).await.unwrap().expect("a published snapshot")
    }

    /// Makes the configuration of the organisation unreadable.
    pub(crate) async fn break_configuration(&self) {
        let key = Key::new(format!("ORG#{}", self.org), "CONFIG");
        self.change(&key, Update::default().set("data", "{")).await;
    }

    /// The shard that a member lies in.
    pub(crate) fn shard_of(&self, Member { image, .. }: &Member) -> u16 {
        Layout::of(&self.stream).shard_of(&image.registry, &image.repository)
    }

    /// Changes the item of the member in the slot of `image`.
    pub(crate) async fn change_member(&self, image: &Image, change: Update) {
        let shard = Layout::of(&self.stream).shard_of(&image.registry, &image.repository);
        let partition = format!("STREAM#{}#{}#{shard}", self.org, self.stream);
        self.change(&Key::new(partition, format!("MEMBER#{}/{}", image.registry, image.repository)), change)
            .await;
    }

    /// Changes an item that is there.
    pub(crate) async fn change(&self, key: &Key, change: Update) {
        self.table.update(key, change, Condition::ItemPresent).await.unwrap();
    }

    /// The published numbers.
    pub(crate) async fn published(&self) -> Series {
        naive::parse(&text(&self.snapshot().await.expect("a published snapshot")))
    }
}

/// The text of a snapshot.
pub(crate) fn text(snapshot: &Snapshot) -> String {
    inflate(&snapshot.metrics, snapshot.head.metrics)
}

/// The text of the families of our own.
pub(crate) fn own_text(snapshot: &Snapshot) -> String {
    inflate(&snapshot.own, snapshot.head.own)
}

/// A text, checked against what is told of it.
fn inflate(body: &[u8], head: TextHead) -> String {
    let mut text = String::new();
    GzDecoder::new(body).read_to_string(&mut text).unwrap();
    assert_eq!((text.len() as u64, Digest::of(text.as_bytes())), (head.length, head.digest));
    text
}

/// A configuration with these registries, and of the policies with the one about fixable vulnerabilities alone, with this
/// grace period.
pub(crate) fn config(registries: &[&str], grace_period_days: u32) -> Config {
    let registries: Vec<_> = registries
        .iter()
        .map(|id| json!({"id": id, "kind": "oci", "url": format!("https://{id}.example.com")}))
        .collect();
    let grace =
        json!([{"id": "fixable-vulnerabilities", "config": {"grace_period_days": grace_period_days}}]);
    serde_json::from_value(json!({
        "org": "acme",
        "registries": registries,
        "policies": fixable_only(&grace),
    }))
    .unwrap()
}

/// The image with this content in a repository such as `hub/team/web`.
pub(crate) fn image(place: &str, content: &str) -> Image {
    let (registry, repository) = place.split_once('/').unwrap();
    Image {
        registry: registry.parse().unwrap(),
        repository: repository.parse().unwrap(),
        digest: Digest::of(content.as_bytes()),
        platform: Platform::linux_amd64(),
    }
}

/// A member that was seen so many hours after the start.
pub(crate) fn member(image: Image, seen_hours: i64, severities: &[Severity], fixable: Outcome) -> Member {
    let start: Timestamp = START.parse().unwrap();
    Member {
        image,
        tag: "latest".parse().unwrap(),
        seen_at: Timestamp::from_second(start.as_second() + seen_hours * 3600).unwrap(),
        created_at: None,
        kept: false,
        form: SlotForm::default(),
        state: if fixable == Outcome::NoData { ResultState::Partial } else { ResultState::Scanned },
        severities: severities.iter().copied().collect(),
        policies: [("fixable-vulnerabilities".parse().unwrap(), fixable)].into(),
        next_change_at: None,
        result_at: None,
        suppressed: SeverityCounts::default(),
    }
}
