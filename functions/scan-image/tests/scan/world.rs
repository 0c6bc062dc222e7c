//! A registry, records, a queue and a clock of one test, and the workers on them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidewatch_advisories::{BuildOptions, build};
use tidewatch_assessment::{AdvisoryIndexes, store_index};
use tidewatch_core::Digest;
use tidewatch_core::config::{Config, RegistryConfig};
use tidewatch_core::image::Image;
use tidewatch_core::names::{OrgName, RegistryId, StreamName};
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::queue::{OutgoingMessage, QueueError, QueueName};
use tidewatch_core::ports::{Clock as _, Objects as _, QueueSender, Registries, Table};
use tidewatch_core::result::{ImageResult, Inventory, Report};
use tidewatch_core::stream::{Layout, Member};
use tidewatch_core::work::{Priority, RunId, ScanMessage, Work};
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, Ports};
use tidewatch_runtime::{Deadline, HandlerError, MessageHandler as _};
use tidewatch_scan_image::{ScanImage, ScanPorts, ScanSettings};
use tidewatch_store::records::{AdvisoryFamily, Part, PendingWork, StoredResult};
use tidewatch_store::{MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::failing::{FailingObjects, FailingTable, Outages};
use tidewatch_testkit::image::BuiltImage;
use tidewatch_testkit::interleave::PausingTable;
use tidewatch_testkit::policies::fixable_only;
use tidewatch_testkit::ports::{
    InstantSleeper, RecordingQueue, SeededRandomness, SequentialIds, SettableClock,
};
use tidewatch_testkit::registry::TestRegistry;

use crate::gate::{Behind, DeepSleeper, Gate, GatedRegistries};
use crate::images;

/// When every test begins.
pub(crate) const START: &str = "2026-06-15T00:00:00Z";

/// When work that was dispatched is due again, in case its message is lost.
pub(crate) const REDISPATCH: Duration = Duration::from_secs(20 * 60);

/// Longer than a lease.
pub(crate) const OVER_A_LEASE: Duration = Duration::from_secs(61);

pub(crate) struct World {
    pub(crate) registry: TestRegistry,
    pub(crate) records: Records,
    /// Outages of what the workers see of the table and of objects; `records` has none.
    pub(crate) table_outages: Arc<Outages>,
    pub(crate) object_outages: Arc<Outages>,
    pub(crate) objects: Arc<ObjectStorage>,
    pub(crate) queue: Arc<RecordingQueue>,
    pub(crate) clock: Arc<SettableClock>,
    /// In which workers sleep between renewals of their leases.
    pub(crate) sleeper: Arc<DeepSleeper>,
    registries: Arc<dyn Registries>,
    table: Arc<MemoryTable>,
    ids: Arc<SequentialIds>,
    failing: Records,
    pausing: Records,
    folder: TempDir,
}

/// A queue that cannot be reached.
struct NoQueue;

#[async_trait]
impl QueueSender for NoQueue {
    async fn send(&self, queue: QueueName, _messages: Vec<OutgoingMessage>) -> Result<(), QueueError> {
        Err(QueueError::Unavailable { queue, source: "the test asked for this".into() })
    }
}

impl World {
    /// The organisation `acme` with one registry, and the advisories for Debian 13.
    pub(crate) async fn new() -> Self {
        let world = Self::without_advisories().await;
        world.publish(&images::advisories()).await;
        world
    }

    pub(crate) async fn without_advisories() -> Self {
        let registry = TestRegistry::start().await.unwrap();
        let (table, objects) = (Arc::new(MemoryTable::new()), Arc::new(ObjectStorage::in_memory()));
        let (table_outages, object_outages) = (Outages::none(), Outages::none());
        let failing_table = FailingTable::new(Arc::clone(&table) as _, Arc::clone(&table_outages));
        let failing_objects = FailingObjects::new(Arc::clone(&objects) as _, Arc::clone(&object_outages));
        let pausing_table = PausingTable::new(Arc::clone(&table) as _);
        let (clock, instant) = (Arc::new(SettableClock::at(START)), Arc::new(InstantSleeper::new()));
        let ports = Ports {
            clock: Arc::clone(&clock) as _,
            sleeper: Arc::clone(&instant) as _,
            randomness: Arc::new(SeededRandomness::new(1)),
        };
        let world = Self {
            records: Records::new(
                Arc::clone(&table) as _,
                Arc::clone(&objects) as _,
                Arc::clone(&instant) as _,
            ),
            table,
            pausing: Records::new(
                Arc::new(pausing_table),
                Arc::clone(&objects) as _,
                Arc::clone(&instant) as _,
            ),
            failing: Records::new(Arc::new(failing_table), Arc::new(failing_objects), instant),
            table_outages,
            object_outages,
            objects,
            queue: Arc::new(RecordingQueue::new()),
            clock,
            sleeper: Arc::new(DeepSleeper::new()),
            registries: Arc::new(ConfiguredRegistries::new(Arc::new(LocalSecrets::new(|_| None)), ports)),
            ids: Arc::new(SequentialIds::new()),
            folder: TempDir::new().unwrap(),
            registry,
        };
        world.apply(&json!([])).await;
        world
    }

    /// Puts a configuration with these policies in force.
    pub(crate) async fn apply(&self, policies: &Value) {
        self.configure("reg", policies).await;
    }

    /// Puts a configuration in force in which the registry has another id.
    pub(crate) async fn configure_registry(&self, id: &str) {
        self.configure(id, &json!([])).await;
    }

    /// Puts a configuration in force in which the registry is asked for what was attached to images.
    pub(crate) async fn ask_for_referrers(&self) {
        let registry = RegistryConfig { referrers: true, ..self.registry.config("reg") };
        self.configure_as(&registry, &json!([{"id": "supply-chain-attestations"}])).await;
    }

    async fn configure(&self, registry: &str, policies: &Value) {
        self.configure_as(&self.registry.config(registry), policies).await;
    }

    async fn configure_as(&self, registry: &RegistryConfig, policies: &Value) {
        self.configure_with(json!({"registries": [registry], "policies": fixable_only(policies)})).await;
    }

    /// Puts a configuration in force by which each platform of an image counts.
    pub(crate) async fn count_all(&self) {
        let registries = [self.registry.config("reg")];
        self.configure_with(json!({"count_platforms": "all", "registries": registries})).await;
    }

    async fn configure_with(&self, mut config: Value) {
        config["org"] = json!("acme");
        let config: Config = serde_json::from_value(config).unwrap();
        let version = self.records.config(&acme()).await.unwrap().map(|applied| applied.version);
        self.records.apply_config(&config, version, self.clock.now()).await.unwrap();
    }

    /// Compiles these advisories for Debian and puts them in force.
    pub(crate) async fn publish(&self, advisories: &[Value]) {
        let folder = TempDir::new().unwrap();
        tidewatch_testkit::advisory::write_folder(folder.path(), "Debian", advisories);
        let output = TempDir::new().unwrap();
        let options = BuildOptions { output: output.path().to_owned(), now: self.clock.now() };
        for built in build(folder.path(), &options, &mut |_| {}).unwrap().families {
            let file = std::fs::read(&built.path).unwrap();
            let family = store_index(&self.records, &built, file.into(), self.clock.now()).await.unwrap();
            self.records.publish_advisories([(built.family.to_owned(), family)]).await.unwrap();
        }
    }

    /// Puts these bytes in force as the index for Debian.
    pub(crate) async fn put_index(&self, bytes: &'static [u8]) {
        let hash = Digest::of(bytes);
        self.records.put_advisory_index("debian", &hash, bytes.into()).await.unwrap();
        let family = AdvisoryFamily {
            hash,
            size: bytes.len() as u64,
            records: 0,
            advisories: 0,
            withdrawn: 0,
            problems: 0,
            newest_modified: None,
            built_at: self.clock.now(),
            confirmed_at: None,
        };
        self.records.publish_advisories([("debian".to_owned(), family)]).await.unwrap();
    }

    /// Replaces every object under `prefix` by noise.
    pub(crate) async fn spoil_objects(&self, prefix: &str) {
        let keys = self.objects.list(prefix).await.unwrap();
        assert!(!keys.is_empty(), "there are objects under {prefix}");
        for key in keys {
            self.objects.put(&key, "noise".into()).await.unwrap();
        }
    }

    pub(crate) fn worker(&self) -> ScanImage {
        self.worker_on(self.failing.clone(), Arc::clone(&self.registries))
    }

    /// A worker that stops before it gets what is behind the gate.
    pub(crate) fn gated_worker(&self, behind: Behind) -> (ScanImage, Arc<Gate>) {
        let gate = Gate::new(behind);
        let registries = Arc::clone(&self.registries);
        let gated = GatedRegistries { registries, gate: Arc::clone(&gate) };
        (self.worker_on(self.failing.clone(), Arc::new(gated)), gate)
    }

    /// A worker in a process of its own, which keeps to the budget of the registry in `records`; that has this rate from now
    /// on.
    pub(crate) async fn worker_within(&self, rate: Value) -> ScanImage {
        let rate = Some(serde_json::from_value(rate).unwrap());
        self.configure_as(&RegistryConfig { rate, ..self.registry.config("reg") }, &json!([])).await;
        let ports = Ports {
            clock: Arc::clone(&self.clock) as _,
            sleeper: Arc::new(InstantSleeper::advancing(Arc::clone(&self.clock))),
            randomness: Arc::new(SeededRandomness::new(1)),
        };
        let registries = ConfiguredRegistries::new(Arc::new(LocalSecrets::new(|_| None)), ports);
        let registries = registries.within(Arc::new(self.records.clone()));
        self.worker_on(self.records.clone(), Arc::new(registries))
    }

    /// A worker that pauses before each table operation.
    pub(crate) fn pausing_worker(&self) -> ScanImage {
        self.worker_on(self.pausing.clone(), Arc::clone(&self.registries))
    }

    /// Records on what `wrap` makes of the table of the world.
    pub(crate) fn records_on(&self, wrap: impl FnOnce(Arc<dyn Table>) -> Arc<dyn Table>) -> Records {
        let table = wrap(Arc::clone(&self.table) as _);
        Records::new(table, Arc::clone(&self.objects) as _, Arc::new(InstantSleeper::new()))
    }

    /// How many objects are stored.
    pub(crate) async fn objects_stored(&self) -> u64 {
        self.objects.list("").await.unwrap().len() as u64
    }

    /// A worker on these records.
    pub(crate) fn worker_with(&self, records: Records) -> ScanImage {
        self.worker_on(records, Arc::clone(&self.registries))
    }

    /// A worker whose messages no queue takes.
    pub(crate) fn worker_that_cannot_send(&self) -> ScanImage {
        let ports = self.ports(self.records.clone(), Arc::clone(&self.registries));
        ScanImage::new(ScanPorts { queue: Arc::new(NoQueue), ..ports }, ScanSettings::default())
    }

    fn worker_on(&self, records: Records, registries: Arc<dyn Registries>) -> ScanImage {
        ScanImage::new(self.ports(records, registries), ScanSettings::default())
    }

    fn ports(&self, records: Records, registries: Arc<dyn Registries>) -> ScanPorts {
        ScanPorts {
            records,
            registries,
            queue: Arc::clone(&self.queue) as _,
            advisories: Arc::new(AdvisoryIndexes::new(self.index_folder())),
            clock: Arc::clone(&self.clock) as _,
            sleeper: Arc::clone(&self.sleeper) as _,
            ids: Arc::clone(&self.ids) as _,
        }
    }

    /// Where workers keep indexes.
    pub(crate) fn index_folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn push(&self, repository: &str, image: &BuiltImage) {
        for blob in image.blobs.values() {
            self.registry.push_blob(repository, blob.clone());
        }
        for (digest, manifest) in &image.manifests {
            let tag = (*digest == image.digest).then_some("latest");
            self.registry.push_manifest(repository, tag, &manifest.media_type, manifest.bytes.clone());
        }
    }

    /// Pushes an image, and gives the work that scans it.
    pub(crate) fn push_work(&self, repository: &str, image: &BuiltImage) -> Work {
        self.push(repository, image);
        self.work(repository, image)
    }

    /// The work that scans an image which was seen now.
    pub(crate) fn work(&self, repository: &str, image: &BuiltImage) -> Work {
        Work {
            image: Image {
                registry: "reg".parse().unwrap(),
                repository: repository.parse().unwrap(),
                digest: image.digest,
                platform: image.platform.clone().unwrap(),
            },
            tag: "latest".parse().unwrap(),
            seen_at: self.clock.now(),
            counted: true,
            priority: Priority::New,
            read_again: false,
            run: Some(RunId { rule: "nightly".parse().unwrap(), run: "1".to_owned() }),
            attestations: None,
        }
    }

    pub(crate) async fn enqueue(&self, work: &Work) {
        self.records.enqueue(&acme(), work, self.clock.now()).await.unwrap();
    }

    /// Queues the work and lets a worker do it.
    pub(crate) async fn scan(&self, work: &Work) {
        self.enqueue(work).await;
        self.deliver(work).await.unwrap();
    }

    /// Delivers the message about the work, once, to a new worker.
    pub(crate) async fn deliver(&self, work: &Work) -> Result<(), HandlerError> {
        self.worker().handle(message(work), Deadline::NONE).await
    }

    /// Lets the clock go on to when the work is due, then dispatches and delivers it.
    pub(crate) async fn deliver_when_due(&self, work: &Work) -> Result<(), HandlerError> {
        let pause = self.due_in(work).await.max(0);
        self.clock.advance(Duration::from_secs(pause.try_into().unwrap()));
        self.note_dispatched(work).await;
        self.deliver(work).await
    }

    /// Notes that a message about the work, which is due, was sent.
    pub(crate) async fn note_dispatched(&self, work: &Work) {
        let (registry, now): (RegistryId, _) = ("reg".parse().unwrap(), self.clock.now());
        let due = self.records.due_work(&acme(), &registry, now, 100).await.unwrap();
        let due = due.iter().find(|due| due.work.image == work.image).expect("it is due");
        let again_at = now.checked_add(REDISPATCH).unwrap();
        self.records.note_dispatched(&acme(), due, again_at).await.unwrap();
    }

    /// Delivers every message that workers have sent since this was called last. Gives their number.
    pub(crate) async fn deliver_sent(&self) -> usize {
        let messages: Vec<ScanMessage> = self.queue.messages(QueueName::Scans);
        self.queue.clear();
        for message in &messages {
            self.worker().handle(message.clone(), Deadline::NONE).await.unwrap();
        }
        messages.len()
    }

    /// The work of an image as it stands; `None` when it is done.
    pub(crate) async fn pending(&self, work: &Work) -> Option<PendingWork> {
        self.records.pending_work(&acme(), &work.image).await.unwrap()
    }

    /// In how many seconds the work is due.
    pub(crate) async fn due_in(&self, work: &Work) -> i64 {
        let registry: RegistryId = "reg".parse().unwrap();
        let far = self.clock.now().checked_add(Duration::from_secs(400 * 86_400)).unwrap();
        let due = self.records.due_work(&acme(), &registry, far, 100).await.unwrap();
        let due: Vec<_> = due.iter().filter(|due| due.work.image == work.image).collect();
        assert_eq!(due.len(), 1, "work has one due row");
        due[0].due_at.as_second() - self.clock.now().as_second()
    }

    /// Work rows and due rows that there are in all.
    pub(crate) async fn due_rows(&self) -> usize {
        let far = self.clock.now().checked_add(Duration::from_secs(400 * 86_400)).unwrap();
        self.records.due_work(&acme(), &"reg".parse().unwrap(), far, 100).await.unwrap().len()
    }

    pub(crate) async fn stored(&self, work: &Work) -> Option<StoredResult> {
        self.records.result(&acme(), &work.image.digest, &work.image.platform).await.unwrap()
    }

    pub(crate) async fn result(&self, work: &Work) -> ImageResult {
        self.stored(work).await.expect("a result").result
    }

    pub(crate) async fn report(&self, work: &Work) -> Report {
        let key = self.result(work).await.report.expect("a report");
        self.records.report(&key).await.unwrap().expect("the report is there")
    }

    /// What was read of an image.
    pub(crate) async fn inventory(&self, work: &Work) -> Inventory {
        let hash = self.result(work).await.inventory.expect("an inventory");
        self.records.inventory(&acme(), &hash).await.unwrap().expect("the inventory is there")
    }

    /// All members of `latest-indexed`, by repository.
    pub(crate) async fn members(&self) -> Vec<Member> {
        let mut members = Vec::new();
        for shard in Layout::of(&StreamName::latest_indexed()).shards() {
            members
                .extend(self.records.members(&acme(), &StreamName::latest_indexed(), shard).await.unwrap());
        }
        members.sort_by(|one, other| one.image.repository.cmp(&other.image.repository));
        members
    }

    /// Whether the shard that holds the repository was ever marked.
    pub(crate) async fn is_marked(&self, work: &Work) -> bool {
        let stream = StreamName::latest_indexed();
        let shard = Layout::of(&stream).shard_of(&work.image.registry, &work.image.repository);
        self.records.part(&acme(), &stream, Part::Shard(shard)).await.unwrap().has_members()
    }

    /// How often groups of `latest-indexed` were marked.
    pub(crate) async fn marks(&self) -> i64 {
        let groups = self.records.groups(&acme(), &[StreamName::latest_indexed()]).await.unwrap();
        groups.iter().flatten().map(|group| group.dirty_seq).sum()
    }
}

pub(crate) fn message(work: &Work) -> ScanMessage {
    ScanMessage { org: acme(), work: work.clone() }
}

pub(crate) fn acme() -> OrgName {
    "acme".parse().unwrap()
}

/// What the policy on fixable vulnerabilities says.
pub(crate) fn fixable(result: &ImageResult) -> Option<Outcome> {
    result.policies.get(&"fixable-vulnerabilities".parse().unwrap()).copied()
}
