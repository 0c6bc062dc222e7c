//! The records of one test on one table, and builders of what stands in them.

use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;
use tidewatch_core::basis::MATCHING;
use tidewatch_core::config::Config;
use tidewatch_core::image::{Image, Platform};
use tidewatch_core::names::{OrgName, RegistryId, StreamName};
use tidewatch_core::ports::Table;
use tidewatch_core::result::{ImageResult, ResultState};
use tidewatch_core::severity::SeverityCounts;
use tidewatch_core::stream::{Member, SlotForm};
use tidewatch_core::token::{Scope, Token, TokenRecord};
use tidewatch_core::work::{Priority, RunId, Work};
use tidewatch_core::{Digest, Retry, Retryable as _, Timestamp};
use tidewatch_store::records::{
    Enqueued, Lease, LeaseOutcome, PendingWork, RecordError, Snapshot, SnapshotHead, TextHead,
};
use tidewatch_store::{DynamoDbTable, LocalTable, MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::contract::table::ConflictingTable;
use tidewatch_testkit::dynamodb;
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness};

pub(crate) struct World {
    pub(crate) table: Arc<dyn Table>,
    pub(crate) records: Records,
    pub(crate) objects: Arc<ObjectStorage>,
    /// Where the table is, of one in a file.
    _folder: Option<TempDir>,
}

impl World {
    pub(crate) fn new(table: Arc<dyn Table>) -> Self {
        let objects = Arc::new(ObjectStorage::in_memory());
        let records =
            Records::new(Arc::clone(&table), Arc::clone(&objects) as _, Arc::new(InstantSleeper::new()));
        Self { table, records, objects, _folder: None }
    }

    pub(crate) fn on_memory() -> Self {
        Self::new(Arc::new(MemoryTable::new()))
    }

    pub(crate) fn with_conflicts() -> Self {
        Self::new(Arc::new(ConflictingTable::new(Arc::new(MemoryTable::new()))))
    }

    pub(crate) async fn on_local_table() -> Self {
        let folder = TempDir::new().unwrap();
        let table = LocalTable::open(folder.path()).await.unwrap();
        Self { _folder: Some(folder), ..Self::new(Arc::new(table)) }
    }

    pub(crate) async fn on_embedded_dynamodb() -> Self {
        let table = DynamoDbTable::new(dynamodb::embedded(), "tidewatch");
        table.create().await.unwrap();
        Self::new(Arc::new(table))
    }

    pub(crate) async fn lease(&self, owner: &str, now: i64, until: i64) -> Option<Lease> {
        match self.records.lease_layer(&acme(), &layer(), owner, at(now), at(until)).await.unwrap() {
            LeaseOutcome::Granted(lease) => Some(lease),
            LeaseOutcome::Held => None,
        }
    }

    pub(crate) async fn enqueue(&self, work: &Work, due: i64) -> Enqueued {
        self.records.enqueue(&acme(), work, at(due)).await.unwrap()
    }

    /// The tags of the work that is due, which tell it apart.
    pub(crate) async fn due(&self, now: i64, most: usize) -> Vec<String> {
        let due = self.records.due_work(&acme(), &hub(), at(now), most).await.unwrap();
        due.into_iter().map(|due| due.work.tag.to_string()).collect()
    }

    /// Asks for an attempt of `owner` at `now`, with a lease until `until`.
    pub(crate) async fn attempt(
        &self,
        work: &Work,
        owner: &str,
        now: i64,
        until: i64,
    ) -> Option<PendingWork> {
        self.records.lease_attempt(&acme(), &work.image, owner, at(now), at(until)).await.unwrap()
    }

    pub(crate) async fn attempts(&self, work: &Work) -> (u32, u32) {
        let pending = self.records.pending_work(&acme(), &work.image).await.unwrap().expect("work");
        (pending.attempts, pending.cooldowns)
    }
}

pub(crate) fn acme() -> OrgName {
    "acme".parse().unwrap()
}

pub(crate) fn hub() -> RegistryId {
    "hub".parse().unwrap()
}

pub(crate) fn latest() -> StreamName {
    StreamName::latest_indexed()
}

pub(crate) fn layer() -> Digest {
    Digest::of(b"layer")
}

/// So many seconds after the start of the test.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + seconds).unwrap()
}

pub(crate) fn image(content: &str) -> Image {
    Image {
        registry: hub(),
        repository: "team/web".parse().unwrap(),
        digest: Digest::of(content.as_bytes()),
        platform: Platform::linux_amd64(),
    }
}

/// Work on the image with the content `tag`.
pub(crate) fn work(tag: &str) -> Work {
    Work {
        image: image(tag),
        tag: tag.parse().unwrap(),
        seen_at: at(0),
        counted: true,
        priority: Priority::New,
        read_again: false,
        run: Some(RunId { rule: "nightly".parse().unwrap(), run: "1".to_owned() }),
        attestations: None,
    }
}

pub(crate) fn seen(work: &Work, seconds: i64) -> Work {
    Work { seen_at: at(seconds), ..work.clone() }
}

pub(crate) fn config(org: &str, url: &str) -> Config {
    serde_json::from_value(json!({"org": org, "registries": [{"id": "hub", "kind": "oci", "url": url}]}))
        .unwrap()
}

pub(crate) fn result(packages: u64) -> ImageResult {
    ImageResult {
        state: ResultState::Scanned,
        reason: None,
        distribution: None,
        packages,
        severities: SeverityCounts::default(),
        suppressed: SeverityCounts::default(),
        policies: [].into(),
        created_at: None,
        scanned_at: at(0),
        next_change_at: None,
        reader_version: 1,
        matching: MATCHING,
        indexes: [].into(),
        judged_under: Digest::of(b""),
        matched: None,
        inventory: None,
        metadata: None,
        report: None,
        is_limited: false,
    }
}

/// A result that rests on the index of Debian with this content.
pub(crate) fn result_by(index: &str) -> ImageResult {
    let indexes = [("debian".to_owned(), Some(Digest::of(index.as_bytes())))].into();
    ImageResult { indexes, inventory: Some(Digest::of(b"inventory")), ..result(1) }
}

pub(crate) fn member(content: &str, seen: i64) -> Member {
    Member {
        image: image(content),
        tag: "latest".parse().unwrap(),
        seen_at: at(seen),
        created_at: None,
        kept: false,
        form: SlotForm::default(),
        state: ResultState::Scanned,
        severities: SeverityCounts::default(),
        policies: [].into(),
        next_change_at: None,
        result_at: None,
        suppressed: SeverityCounts::default(),
    }
}

pub(crate) fn token(seed: u64, org: &str, created: i64) -> TokenRecord {
    let token = Token::generate(&SeededRandomness::new(seed));
    TokenRecord {
        id: token.id().to_owned(),
        digest: token.digest(),
        org: org.parse().unwrap(),
        scopes: [Scope::MetricsRead].into(),
        created_at: at(created),
        expires_at: None,
        revoked_at: None,
    }
}

pub(crate) fn snapshot(config_version: i64, number: i64) -> Snapshot {
    let text = |text: &str| TextHead { length: text.len() as u64, digest: Digest::of(text.as_bytes()) };
    let (metrics, own) = (text("metrics"), text("own"));
    Snapshot {
        head: SnapshotHead {
            config_version,
            number,
            metrics,
            own,
            made_at: at(0),
            checked_at: at(0),
            judging: None,
        },
        metrics: b"compressed".to_vec(),
        own: format!("compressed {config_version} {number}").into_bytes(),
    }
}

#[track_caller]
pub(crate) fn assert_changed<T: std::fmt::Debug>(outcome: Result<T, RecordError>) {
    match outcome {
        Err(error @ RecordError::Changed { .. }) => assert_eq!(error.retry(), Retry::Again),
        other => panic!("changed, not {other:?}"),
    }
}
