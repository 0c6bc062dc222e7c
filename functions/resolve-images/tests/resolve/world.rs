//! A registry, records, a queue and a clock of one test, and the resolver on them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidewatch_core::basis::MATCHING;
use tidewatch_core::config::Config;
use tidewatch_core::image::Platform;
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName};
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::table::{Condition, Key, Update};
use tidewatch_core::ports::{Clock as _, Objects as _, Registries, Table as _};
use tidewatch_core::result::{ImageResult, ResultState};
use tidewatch_core::severity::SeverityCounts;
use tidewatch_core::work::{HintMessage, ListingMessage, RunId, ScanMessage, Work};
use tidewatch_core::{Digest, Timestamp};
use tidewatch_evaluate_rules::EvaluateRules;
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, Ports};
use tidewatch_resolve_images::{ResolveHints, ResolveImages};
use tidewatch_runtime::{Deadline, HandlerError, MessageHandler as _};
use tidewatch_store::records::{AdvisoryFamily, DueWork, Filling, ImagePlace, ListingProgress, TagRecord};
use tidewatch_store::{MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::failing::{FailingQueue, FailingTable, Outages};
use tidewatch_testkit::image::{BuiltImage, ImageBuilder};
use tidewatch_testkit::layer::LayerBuilder;
use tidewatch_testkit::ports::{InstantSleeper, RecordingQueue, SeededRandomness, SettableClock};
use tidewatch_testkit::registry::{RecordedRequest, TestRegistry};

/// The first pause before a failed listing is tried again.
pub(crate) const PAUSE: Duration = Duration::from_secs(10);

pub(crate) struct World {
    pub(crate) registry: TestRegistry,
    table: Arc<MemoryTable>,
    objects: Arc<ObjectStorage>,
    pub(crate) records: Records,
    /// Outages of what the resolver sees of the table and the queue; `records` has none.
    pub(crate) outages: Arc<Outages>,
    pub(crate) queue: Arc<RecordingQueue>,
    pub(crate) clock: Arc<SettableClock>,
    registries: Arc<dyn Registries>,
    resolver: ResolveImages,
}

impl World {
    /// The organisation `acme` with one registry and a rule for all of it.
    pub(crate) async fn new() -> Self {
        Self::with_rule(json!({})).await
    }

    /// The organisation `acme` with one registry and one rule, which has these fields besides.
    pub(crate) async fn with_rule(rule: Value) -> Self {
        let registry = TestRegistry::start().await.unwrap();
        let (table, objects) = (Arc::new(MemoryTable::new()), Arc::new(ObjectStorage::in_memory()));
        let clock = Arc::new(SettableClock::at("2026-06-15T00:00:00Z"));
        let sleeper = Arc::new(InstantSleeper::new());
        let ports = Ports {
            clock: Arc::clone(&clock) as _,
            sleeper: Arc::clone(&sleeper) as _,
            randomness: Arc::new(SeededRandomness::new(1)),
        };
        let (outages, queue) = (Outages::none(), Arc::new(RecordingQueue::new()));
        let failing = FailingTable::new(Arc::clone(&table) as _, Arc::clone(&outages));
        let registries = ConfiguredRegistries::new(Arc::new(LocalSecrets::new(|_| None)), ports);
        let budgets =
            Records::new(Arc::clone(&table) as _, Arc::clone(&objects) as _, Arc::clone(&sleeper) as _);
        let registries: Arc<dyn Registries> = Arc::new(registries.within(Arc::new(budgets)));
        let resolver = ResolveImages::new(
            Records::new(Arc::new(failing), Arc::clone(&objects) as _, Arc::clone(&sleeper) as _),
            Arc::clone(&registries),
            Arc::new(FailingQueue::new(Arc::clone(&queue) as _, Arc::clone(&outages))),
            Arc::clone(&clock) as _,
            PAUSE,
        );
        let records = Records::new(Arc::clone(&table) as _, Arc::clone(&objects) as _, sleeper);
        let world = Self { registry, table, objects, records, outages, queue, clock, registries, resolver };
        world.apply(json!({"rules": [with(json!({"id": "nightly", "registries": ["reg"]}), rule)]})).await;
        world
    }

    /// Another function on the same table and queue, with the outages of the resolver.
    pub(crate) fn failing_evaluator(&self) -> EvaluateRules {
        let table = FailingTable::new(Arc::clone(&self.table) as _, Arc::clone(&self.outages));
        let (objects, sleeper) = (Arc::clone(&self.objects) as _, Arc::new(InstantSleeper::new()));
        let queue = FailingQueue::new(Arc::clone(&self.queue) as _, Arc::clone(&self.outages));
        let records = Records::new(Arc::new(table), objects, sleeper);
        EvaluateRules::new(records, Arc::new(queue), Arc::clone(&self.clock) as _)
    }

    /// The same, with other registries in place of the real ones, which are handed to `wrap`.
    pub(crate) fn with_registries(
        self,
        wrap: impl FnOnce(Arc<dyn Registries>) -> Arc<dyn Registries>,
    ) -> Self {
        let resolver = ResolveImages::new(
            self.records.clone(),
            wrap(Arc::clone(&self.registries)),
            Arc::clone(&self.queue) as _,
            Arc::clone(&self.clock) as _,
            PAUSE,
        );
        Self { resolver, ..self }
    }

    /// Puts the configuration in force with these fields in place of its own.
    pub(crate) async fn apply(&self, fields: Value) {
        let applied = self.records.config(&acme()).await.unwrap();
        let config = applied.as_ref().map_or_else(
            || json!({"org": "acme", "registries": [self.registry.config("reg")]}),
            |applied| serde_json::to_value(&applied.config).unwrap(),
        );
        let config: Config = serde_json::from_value(with(config, fields)).unwrap();
        let version = applied.map(|applied| applied.version);
        self.records.apply_config(&config, version, self.clock.now()).await.unwrap();
    }

    /// Pushes an image of linux/amd64 that holds nothing but `content`.
    pub(crate) fn push(&self, repository: &str, tag: &str, content: &str) -> BuiltImage {
        let image = image(content, &Platform::linux_amd64());
        self.push_image(repository, tag, &image);
        image
    }

    pub(crate) fn push_image(&self, repository: &str, tag: &str, image: &BuiltImage) {
        for blob in image.blobs.values() {
            self.registry.push_blob(repository, blob.clone());
        }
        for (digest, manifest) in &image.manifests {
            let tag = (*digest == image.digest).then_some(tag);
            self.registry.push_manifest(repository, tag, &manifest.media_type, manifest.bytes.clone());
        }
    }

    pub(crate) async fn deliver(&self, message: ListingMessage) -> Result<(), HandlerError> {
        self.resolver.handle(message, Deadline::NONE).await
    }

    /// Delivers it to a function that ends at `end`.
    pub(crate) async fn deliver_until(
        &self,
        message: ListingMessage,
        end: Timestamp,
    ) -> Result<(), HandlerError> {
        self.resolver.handle(message, Deadline::at(end)).await
    }

    pub(crate) async fn deliver_hint(&self, message: HintMessage) -> Result<(), HandlerError> {
        ResolveHints::new(self.resolver.clone()).handle(message, Deadline::NONE).await
    }

    /// A registry has said just now that this tag was pushed.
    pub(crate) fn hint(&self, repository: &str, tag: &str) -> HintMessage {
        HintMessage {
            org: acme(),
            registry: reg(),
            repository: repository.parse().unwrap(),
            tag: tag.parse().unwrap(),
            received_at: self.clock.now(),
            failures: 0,
            target: None,
            base: None,
        }
    }

    /// The work that was sent to be scanned at once since this was called last.
    pub(crate) fn sent_pushed(&self) -> Vec<Work> {
        let messages: Vec<ScanMessage> = self.queue.messages(QueueName::Pushed);
        let delayed = self.queue.sent(QueueName::Pushed).iter().any(|message| !message.delay.is_zero());
        assert!(!delayed && messages.iter().all(|message| message.org == acme()));
        self.queue.clear();
        messages.into_iter().map(|message| message.work).collect()
    }

    /// Lists the tags of a repository.
    pub(crate) async fn list(&self, repository: &str) -> ListingProgress {
        self.deliver(tags_of(repository)).await.unwrap();
        self.listing(Some(repository)).await
    }

    /// What is recorded of the listing of the registry or of one of its repositories.
    pub(crate) async fn listing(&self, repository: Option<&str>) -> ListingProgress {
        let listings = self.records.listings(&acme(), &run()).await.unwrap();
        let found = listings
            .into_iter()
            .find(|listing| listing.repository.as_ref().map(RepositoryName::as_str) == repository);
        found.expect("the listing is recorded")
    }

    /// The keys of what is staged.
    pub(crate) async fn staged(&self) -> Vec<String> {
        self.objects.list("listings/").await.unwrap()
    }

    pub(crate) fn resolver(&self) -> &ResolveImages {
        &self.resolver
    }

    /// Work that is due now, in the order of repository, digest and platform.
    pub(crate) async fn due(&self) -> Vec<Work> {
        let due: Vec<DueWork> = self.records.due_work(&acme(), &reg(), self.clock.now(), 1000).await.unwrap();
        let mut due: Vec<Work> = due.into_iter().map(|due| due.work).collect();
        due.sort_by(|one, other| one.image.cmp(&other.image));
        due
    }

    /// Repository and tag of the work that is due now.
    pub(crate) async fn due_tags(&self) -> Vec<String> {
        let name = |work: Work| format!("{}:{}", work.image.repository, work.tag);
        let mut tags: Vec<String> = self.due().await.into_iter().map(name).collect();
        tags.sort();
        tags
    }

    pub(crate) async fn tags(&self, repository: &str) -> Vec<TagRecord> {
        self.records.tags(&acme(), &reg(), &repository.parse().unwrap()).await.unwrap()
    }

    /// Makes the item of this key unreadable.
    pub(crate) async fn corrupt(&self, partition: &str, sort: &str) {
        let broken = Update::default().set("data", "{");
        self.table.update(&Key::new(partition, sort), broken, Condition::ItemPresent).await.unwrap();
    }

    /// Scans all due work: each image has a result and stands in its slot.
    pub(crate) async fn scan_into_slots(&self) {
        let due = self.due().await;
        self.scan_due().await;
        let in_force = self.records.in_force(&acme(), None).await.unwrap().unwrap();
        for work in due {
            let Work { image, tag, seen_at, counted, .. } = work;
            let place = ImagePlace { image: image.clone(), tag, seen_at, counted };
            self.records.put_place(&acme(), &place).await.unwrap();
            let stored = self.records.result(&acme(), &image.digest, &image.platform).await.unwrap().unwrap();
            let mut filling = Filling::new(&stored, &in_force, seen_at);
            self.records.enter_latest(&acme(), place, Some(&image), &mut filling).await.unwrap();
        }
    }

    /// Does what a scan of all due work does to the records: each image has a result, and no work.
    pub(crate) async fn scan_due(&self) {
        let config = self.records.config(&acme()).await.unwrap().unwrap().config;
        let advisories = self.records.current_advisories().await.unwrap();
        for work in self.due().await {
            let image = &work.image;
            let stored = self.records.result(&acme(), &image.digest, &image.platform).await.unwrap();
            let result = ImageResult {
                state: ResultState::Scanned,
                reason: None,
                distribution: None,
                packages: 1,
                severities: SeverityCounts::default(),
                suppressed: SeverityCounts::default(),
                policies: BTreeMap::new(),
                created_at: None,
                scanned_at: self.clock.now(),
                next_change_at: None,
                reader_version: 1,
                matching: MATCHING,
                indexes: [("debian".to_owned(), advisories.hash("debian"))].into(),
                judged_under: config.judging_fingerprint(),
                matched: None,
                inventory: Some(Digest::of(b"inventory")),
                metadata: None,
                report: Some("reports/acme/1.json".to_owned()),
                is_limited: false,
            };
            self.records
                .put_result(&acme(), &image.digest, &image.platform, &result, stored.as_ref())
                .await
                .unwrap();
            self.records.complete(&acme(), &work).await.unwrap();
        }
        assert_eq!(self.due().await, []);
    }

    /// Does what posting does to the records: no image waits for it.
    pub(crate) async fn post_all(&self) {
        for row in self.records.unposted(&acme(), usize::MAX).await.unwrap() {
            assert!(self.records.remove_unposted(&acme(), &row.unwrap()).await.unwrap());
        }
    }

    /// Puts an index of this content for Debian in force.
    pub(crate) async fn publish_debian(&self, content: &str) {
        let family = AdvisoryFamily {
            hash: Digest::of(content.as_bytes()),
            size: 1,
            records: 1,
            advisories: 1,
            withdrawn: 0,
            problems: 0,
            newest_modified: None,
            built_at: self.clock.now(),
            confirmed_at: None,
        };
        self.records.publish_advisories([("debian".to_owned(), family)]).await.unwrap();
    }

    /// Method and path of the requests since this was called last.
    pub(crate) fn requests(&self) -> Vec<String> {
        let name = |request: RecordedRequest| format!("{} {}", request.method, request.path);
        let requests = self.registry.requests().into_iter().map(name).collect();
        self.registry.clear_requests();
        requests
    }

    /// The messages that were sent since this was called last, with their delays.
    pub(crate) fn sent(&self) -> Vec<(ListingMessage, Duration)> {
        let messages = self.queue.messages(QueueName::Listings);
        let delays = self.queue.sent(QueueName::Listings).into_iter().map(|message| message.delay);
        let sent = messages.into_iter().zip(delays).collect();
        self.queue.clear();
        sent
    }
}

/// A JSON object with the fields of another in place of its own.
fn with(mut value: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    value.as_object_mut().unwrap().extend(fields);
    value
}

pub(crate) fn image(content: &str, platform: &Platform) -> BuiltImage {
    let layer = LayerBuilder::new().file("content", content).build();
    ImageBuilder::new().layer(layer).platform(platform).build()
}

pub(crate) fn acme() -> OrgName {
    "acme".parse().unwrap()
}

pub(crate) fn reg() -> RegistryId {
    "reg".parse().unwrap()
}

pub(crate) fn run() -> RunId {
    RunId { rule: "nightly".parse().unwrap(), run: "1".to_owned() }
}

/// The message that lists the repositories of the registry.
pub(crate) fn repositories() -> ListingMessage {
    ListingMessage {
        org: acme(),
        run: run(),
        registry: reg(),
        repository: None,
        unlisted: false,
        failures: 0,
        position: None,
    }
}

/// The message that lists the tags of a repository.
pub(crate) fn tags_of(repository: &str) -> ListingMessage {
    ListingMessage { repository: Some(repository.parse().unwrap()), ..repositories() }
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}
