//! Records, a queue and a clock of one test, scanned images in them, and the workers that match them again.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidewatch_advisories::{ReadOptions, Reading, kev};
use tidewatch_assessment::{AdvisoryIndexes, Assessment, Subject, record, record_members, store_index};
use tidewatch_core::basis::Basis;
use tidewatch_core::config::Config;
use tidewatch_core::image::{Image, ImageId, Platform};
use tidewatch_core::metadata::ImageMetadata;
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::package::{Distribution, Package, PackageType};
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::table::{Condition, Key, Update};
use tidewatch_core::ports::{Clock as _, Table as _};
use tidewatch_core::result::{Inventory, Report};
use tidewatch_core::stream::{Member, Slot};
use tidewatch_core::tables::{EndOfLife, TableDate};
use tidewatch_core::work::{RematchMessage, RematchRepository, RematchTask};
use tidewatch_core::{Digest, Timestamp};
use tidewatch_inventory::ImageInventory;
use tidewatch_rematch_images::{RematchImages, RematchPorts, RematchSettings};
use tidewatch_runtime::{Deadline, HandlerError, MessageHandler as _};
use tidewatch_store::records::{ImagePlace, StoredResult, TagRecord, TaggedImage};
use tidewatch_store::{MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::advisory::{AdvisoryBuilder, archive};
use tidewatch_testkit::failing::{FailingTable, Outages};
use tidewatch_testkit::interleave::PausingTable;
use tidewatch_testkit::policies::fixable_only;
use tidewatch_testkit::ports::{InstantSleeper, RecordingQueue, SettableClock};

/// When every test begins.
pub(crate) const START: &str = "2026-06-15T00:00:00Z";

pub(crate) struct World {
    pub(crate) records: Records,
    pub(crate) table: Arc<MemoryTable>,
    pub(crate) objects: Arc<ObjectStorage>,
    /// Outages of the table as the workers see it; `records` has none.
    pub(crate) outages: Arc<Outages>,
    pub(crate) queue: Arc<RecordingQueue>,
    pub(crate) clock: Arc<SettableClock>,
    pub(crate) settings: RematchSettings,
    failing: Records,
    pausing: Records,
    folder: TempDir,
}

impl World {
    /// The organisation `acme`, with the first of [`advisories`] in force, for which images were sent for.
    pub(crate) async fn new() -> Self {
        let world = Self::without_advisories().await;
        world.publish(&advisories()[..1]).await;
        world.rematch().await;
        world
    }

    pub(crate) async fn without_advisories() -> Self {
        let (table, objects) = (Arc::new(MemoryTable::new()), Arc::new(ObjectStorage::in_memory()));
        let (outages, sleeper) = (Outages::none(), Arc::new(InstantSleeper::new()));
        let failing = FailingTable::new(Arc::clone(&table) as _, Arc::clone(&outages));
        let pausing = PausingTable::new(Arc::clone(&table) as _);
        let records = |table| Records::new(table, Arc::clone(&objects) as _, Arc::clone(&sleeper) as _);
        let world = Self {
            records: records(Arc::clone(&table) as _),
            failing: records(Arc::new(failing)),
            pausing: records(Arc::new(pausing)),
            table,
            objects,
            outages,
            queue: Arc::new(RecordingQueue::new()),
            clock: Arc::new(SettableClock::at(START)),
            settings: RematchSettings::default(),
            folder: TempDir::new().unwrap(),
        };
        world.apply(&json!([])).await;
        world
    }

    /// Puts a configuration with these policies in force.
    pub(crate) async fn apply(&self, policies: &Value) {
        self.configure(json!({"org": "acme", "policies": fixable_only(policies)})).await;
    }

    /// Puts a configuration in force.
    pub(crate) async fn configure(&self, config: Value) {
        let config: Config = serde_json::from_value(config).unwrap();
        let version = self.records.config(&acme()).await.unwrap().map(|applied| applied.version);
        self.records.apply_config(&config, version, self.clock.now()).await.unwrap();
    }

    /// Compiles these advisories for Debian and puts them in force.
    pub(crate) async fn publish(&self, advisories: &[Value]) {
        self.publish_all(&[("Debian", advisories)], &[]).await;
    }

    /// Compiles these advisories and puts them in force, the vulnerabilities `exploited` being known to be exploited.
    pub(crate) async fn publish_all(&self, archives: &[(&str, &[Value])], exploited: &[&str]) {
        let (output, now) = (TempDir::new().unwrap(), self.clock.now());
        let entry = |id: &&str| json!({"cveID": id, "dateAdded": "2026-01-01"});
        let entries: Vec<Value> = exploited.iter().map(entry).collect();
        let catalogue = json!({"dateReleased": "2026-01-01T00:00:00Z", "vulnerabilities": entries});
        let mut scores = kev::catalogue(catalogue.to_string().as_bytes()).unwrap().scores;
        let options = ReadOptions { now, inflated_limit: 1 << 30 };
        let mut readings = Vec::new();
        for (ecosystem, records) in archives {
            let archive = std::io::Cursor::new(archive(records));
            let reading = Reading::of_archive(ecosystem, archive, &options).unwrap();
            scores.merge(reading.scores().clone());
            readings.push(reading);
        }
        for reading in readings {
            let built = reading.compile(&scores, output.path()).unwrap().expect("a family");
            let file = std::fs::read(&built.path).unwrap();
            let family = store_index(&self.records, &built, file.into(), now).await.unwrap();
            self.records.publish_advisories([(built.family.to_owned(), family)]).await.unwrap();
        }
    }

    /// Puts a table in force, of `date`, by which all releases of Debian are supported until `last_day`.
    pub(crate) async fn publish_end_of_life(&self, last_day: &str, date: &str) {
        let release = |number: u32| json!({"releaseCycle": number.to_string(), "eol": last_day});
        let releases: Vec<Value> = (9..15).map(release).collect();
        let document = json!({"debian": {"releases": releases}}).to_string();
        let table = EndOfLife::read(document.as_bytes(), TableDate(date.parse().unwrap())).unwrap();
        let version = self.records.put_end_of_life(&table).await.unwrap();
        self.records.publish_end_of_life(version).await.unwrap();
    }

    /// All that results depend on now.
    pub(crate) async fn basis(&self) -> Basis {
        let in_force = self.records.in_force(&acme(), None).await.unwrap().unwrap();
        in_force.basis(self.clock.now())
    }

    /// What a scan of this inventory would find now.
    pub(crate) async fn assess(&self, inventory: &ImageInventory) -> Assessment {
        let in_force = self.records.in_force(&acme(), None).await.unwrap().unwrap();
        let (indexes, now) = (self.indexes(), self.clock.now());
        let assessment =
            indexes.assess(&self.records, Inventory::from(inventory.clone()), Arc::new(in_force), now).await;
        let mut assessment = assessment.unwrap();
        assessment.result.created_at = Some(created_at());
        assessment
    }

    /// Records what a scan of this inventory finds, in a repository, where it is counted.
    pub(crate) async fn scan(&self, image: &Image, inventory: &ImageInventory) -> StoredResult {
        self.place(image, true).await;
        self.scan_placed(image, inventory).await
    }

    /// The same of an image whose place is noted already.
    pub(crate) async fn scan_placed(&self, image: &Image, inventory: &ImageInventory) -> StoredResult {
        let stored = self.records.result(&acme(), &image.digest, &image.platform).await.unwrap();
        let assessment = self.assess(inventory).await;
        let in_force = self.records.in_force(&acme(), None).await.unwrap().unwrap();
        let id = image.id();
        record(&self.records, &acme(), (&id, None), assessment, stored.as_ref(), None, &in_force)
            .await
            .unwrap()
    }

    /// The same of an image of which more is known than its packages.
    pub(crate) async fn scan_with(&self, image: &Image, inventory: &ImageInventory, metadata: ImageMetadata) {
        self.place(image, true).await;
        let in_force = Arc::new(self.records.in_force(&acme(), None).await.unwrap().unwrap());
        let subject = Subject { digest: Some(image.digest), inventory: inventory.clone().into(), metadata };
        let (indexes, now) = (self.indexes(), self.clock.now());
        let mut assessment =
            indexes.assess(&self.records, subject, Arc::clone(&in_force), now).await.unwrap();
        assessment.result.created_at = Some(created_at());
        record(&self.records, &acme(), (&image.id(), None), assessment, None, None, &in_force).await.unwrap();
    }

    /// Records what a scan by newer readers finds, which have read something else of the same image.
    pub(crate) async fn scan_anew(&self, image: &Image, inventory: &ImageInventory) {
        self.scan(image, inventory).await;
    }

    /// Removes all that is recorded of an image.
    pub(crate) async fn forget(&self, image: &Image) {
        let (digest, platform) = (image.digest.hex(), &image.platform);
        let result = Key::new(format!("IMAGE#acme#{digest}#{platform}"), "RESULT");
        let row =
            Key::new(format!("UNPOSTED#acme#{}", image.digest.spread() % 8), format!("{digest}#{platform}"));
        for key in [result, row] {
            self.table.delete(&key, Condition::Always).await.unwrap();
        }
    }

    /// Notes where an image is.
    pub(crate) async fn place(&self, image: &Image, counted: bool) {
        let (image, tag, seen_at) = (image.clone(), "latest".parse().unwrap(), self.clock.now());
        let place = ImagePlace { image, tag, seen_at, counted };
        self.records.put_place(&acme(), &place).await.unwrap();
    }

    /// Lists the repository of `image` with a tag that points to it.
    pub(crate) async fn tag(&self, image: &Image, tag: &str) {
        let Image { registry, repository, digest, platform } = image.clone();
        let images =
            vec![TaggedImage { digest, platform: platform.clone(), counted: true, attestations: None }];
        let (seen_at, platforms) = (self.clock.now(), vec![platform]);
        let tag = TagRecord {
            tag: tag.parse().unwrap(),
            digest,
            images,
            skipped: None,
            platforms,
            seen_at,
            chosen_by: None,
            missing_at: None,
            forgotten: false,
        };
        self.records.put_repository(&acme(), &registry, &repository).await.unwrap();
        self.records.put_tag(&acme(), &registry, &repository, &tag).await.unwrap();
    }

    /// An image with these packages, scanned, behind the tag `latest` of a repository.
    pub(crate) async fn scanned(&self, repository: &str, packages: &[(&str, &str)]) -> Image {
        let image = image(repository, &format!("{repository}{packages:?}"));
        self.tag(&image, "latest").await;
        self.scan(&image, &debian(packages)).await;
        image
    }

    /// One who scans as the function does: whatever it reads of an image, it looks again when that is recorded.
    pub(crate) fn scanner(&self) -> Scanner {
        self.scanner_on(self.records.clone())
    }

    /// The same, pausing before each table operation.
    pub(crate) fn pausing_scanner(&self) -> Scanner {
        self.scanner_on(self.pausing.clone())
    }

    fn scanner_on(&self, records: Records) -> Scanner {
        Scanner { records, indexes: self.indexes(), clock: Arc::clone(&self.clock) }
    }

    /// What a scan that has read `inventory` would find now.
    pub(crate) async fn assess_inventory(&self, inventory: Inventory) -> Assessment {
        let in_force = self.records.in_force(&acme(), None).await.unwrap().unwrap();
        let now = self.clock.now();
        self.indexes().assess(&self.records, inventory, Arc::new(in_force), now).await.unwrap()
    }

    fn indexes(&self) -> Arc<AdvisoryIndexes> {
        Arc::new(AdvisoryIndexes::new(self.folder.path()))
    }

    pub(crate) fn worker(&self) -> RematchImages {
        self.worker_on(self.failing.clone())
    }

    /// A worker that pauses before each table operation.
    pub(crate) fn pausing_worker(&self) -> RematchImages {
        self.worker_on(self.pausing.clone())
    }

    fn worker_on(&self, records: Records) -> RematchImages {
        let ports = RematchPorts {
            records,
            queue: Arc::clone(&self.queue) as _,
            advisories: self.indexes(),
            clock: Arc::clone(&self.clock) as _,
        };
        RematchImages::new(ports, self.settings)
    }

    /// Delivers a message to a new worker.
    pub(crate) async fn deliver(&self, message: RematchMessage) -> Result<(), HandlerError> {
        self.worker().handle(message, Deadline::NONE).await
    }

    /// Sends for the images that changes are about, matches them again, and gives the number of messages that this took.
    pub(crate) async fn rematch(&self) -> usize {
        self.queue.clear();
        self.deliver(everything()).await.unwrap();
        self.drain().await
    }

    /// Handles all messages that were sent, and those that are sent in doing so; gives their number.
    pub(crate) async fn drain(&self) -> usize {
        let mut handled = 0;
        loop {
            let messages: Vec<RematchMessage> = self.queue.messages(QueueName::Rematches);
            let Some(message) = messages.into_iter().nth(handled) else { break };
            self.deliver(message).await.unwrap();
            handled += 1;
        }
        self.queue.clear();
        handled
    }

    /// Posts the images that wait for it.
    pub(crate) async fn compact(&self) {
        self.queue.clear();
        self.deliver(message(Some(RematchTask::Compact {}))).await.unwrap();
        self.drain().await;
    }

    /// The images that one message after the other was sent for.
    pub(crate) fn sent_for(&self) -> Vec<ImageId> {
        let messages: Vec<RematchMessage> = self.queue.messages(QueueName::Rematches);
        let images = messages.into_iter().filter_map(|message| match message.task {
            Some(RematchTask::Images(images) | RematchTask::Unposted(images)) => Some(images),
            _ => None,
        });
        images.flatten().collect()
    }

    /// Whether an image has a row or stands in a segment, with the inventory of its result.
    pub(crate) async fn is_findable(&self, image: &Image) -> bool {
        let inventory = self.stored(image).await.result.inventory;
        let noted = self.records.unposted_image(&acme(), &image.id()).await.unwrap();
        if noted.is_some_and(|noted| Some(noted.row.inventory) == inventory) {
            return true;
        }
        let postings = self.records.postings(&acme()).await.unwrap().unwrap().postings;
        for entry in &postings.segments {
            let segment = self.records.segment(&acme(), &entry.hash).await.unwrap();
            let mut posted = segment.images().iter();
            if posted.any(|posted| posted.image == image.id() && Some(posted.inventory) == inventory) {
                return true;
            }
        }
        false
    }

    /// Whether a listing leaves an image as it is.
    pub(crate) async fn is_current(&self, image: &Image) -> bool {
        let in_force = self.records.in_force(&acme(), None).await.unwrap().unwrap();
        let result = self.stored(image).await.result;
        self.records
            .is_current(&acme(), &image.id(), &result, &in_force.basis(self.clock.now()))
            .await
            .unwrap()
    }

    pub(crate) async fn stored(&self, image: &Image) -> StoredResult {
        let stored = self.records.result(&acme(), &image.digest, &image.platform).await.unwrap();
        stored.expect("a result")
    }

    pub(crate) async fn report(&self, image: &Image) -> Report {
        let key = self.stored(image).await.result.report.expect("a report");
        self.records.report(&key).await.unwrap().expect("the report is there")
    }

    /// How many vulnerabilities the result of an image has.
    pub(crate) async fn vulnerabilities(&self, image: &Image) -> u64 {
        self.stored(image).await.result.severities.total()
    }

    /// The member in the slot of the image's repository.
    pub(crate) async fn member(&self, image: &Image) -> Option<Member> {
        let slot = Slot::of_repository(image.registry.clone(), image.repository.clone());
        self.records.member(&acme(), &StreamName::latest_indexed(), &slot).await.unwrap()
    }

    /// How often groups were marked.
    pub(crate) async fn marks(&self) -> i64 {
        let groups = self.records.groups(&acme(), &[StreamName::latest_indexed()]).await.unwrap();
        groups.iter().flatten().map(|group| group.dirty_seq).sum()
    }

    /// Makes an item unreadable.
    pub(crate) async fn break_item(&self, partition: &str, sort: &str) {
        self.set_data(partition, sort, "{").await;
    }

    /// Changes what an item holds.
    pub(crate) async fn set_data(&self, partition: &str, sort: &str, data: &str) {
        let broken = Update::default().set("data", data);
        self.table.update(&Key::new(partition, sort), broken, Condition::ItemPresent).await.unwrap();
    }
}

/// Scans images.
pub(crate) struct Scanner {
    records: Records,
    indexes: Arc<AdvisoryIndexes>,
    clock: Arc<SettableClock>,
}

impl Scanner {
    /// Records what is found for an image of which this is read, until that is current.
    pub(crate) async fn scan(
        &self,
        image: &Image,
        inventory: &ImageInventory,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let (org, id) = (acme(), image.id());
        let (tag, seen_at) = ("latest".parse().unwrap(), self.clock.now());
        let place = ImagePlace { image: image.clone(), tag, seen_at, counted: true };
        self.records.put_place(&org, &place).await?;
        loop {
            let stored = self.records.result(&org, &id.digest, &id.platform).await?;
            let in_force = Arc::new(self.records.in_force(&org, None).await?.expect("an organisation"));
            if let Some(stored) = &stored
                && self
                    .records
                    .is_current(&org, &id, &stored.result, &in_force.basis(self.clock.now()))
                    .await?
            {
                let judging = (&*in_force, self.clock.now());
                record_members(&self.records, &org, (&id, None), stored, judging).await?;
                return Ok(());
            }
            let now = self.clock.now();
            let (read, judging) = (Inventory::from(inventory.clone()), Arc::clone(&in_force));
            let assessed = self.indexes.assess(&self.records, read, judging, now).await?;
            record(&self.records, &org, (&id, None), assessed, stored.as_ref(), None, &in_force).await?;
        }
    }
}

pub(crate) fn acme() -> OrgName {
    "acme".parse().unwrap()
}

/// When every image says that it was made.
pub(crate) fn created_at() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// The message about whatever has changed for `acme`.
pub(crate) fn everything() -> RematchMessage {
    message(None)
}

/// The message about the repository of an image.
pub(crate) fn repository_of(image: &Image) -> RematchMessage {
    let Image { registry, repository, .. } = image.clone();
    message(Some(RematchTask::Repository(RematchRepository { registry, repository, after: None })))
}

/// A message that does not say when it was sent.
pub(crate) fn message(task: Option<RematchTask>) -> RematchMessage {
    RematchMessage::new(acme(), task)
}

/// The image with this content in a repository of the registry `hub`.
pub(crate) fn image(repository: &str, content: &str) -> Image {
    Image {
        registry: "hub".parse().unwrap(),
        repository: repository.parse().unwrap(),
        digest: Digest::of(content.as_bytes()),
        platform: Platform::linux_amd64(),
    }
}

/// An inventory of Debian 13 with these packages.
pub(crate) fn debian(packages: &[(&str, &str)]) -> ImageInventory {
    let distribution = Distribution {
        id: "debian".to_owned(),
        version_id: Some("13".to_owned()),
        ..Distribution::default()
    };
    let package = |(name, version): &(&str, &str)| Package {
        architecture: Some("amd64".to_owned()),
        ..Package::new(PackageType::Deb, *name, *version, "dpkg")
    };
    let packages = packages.iter().map(package).collect();
    ImageInventory { distribution: Some(distribution), packages, ..ImageInventory::default() }
}

/// Advisories for Debian 13: `openssl` 1 has a critical vulnerability that 2 fixes; `zlib` has a medium one that nothing
/// fixes.
pub(crate) fn advisories() -> Vec<Value> {
    let (critical, medium) =
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N");
    vec![
        AdvisoryBuilder::new("DSA-1-1")
            .upstream(["CVE-2099-0001"])
            .severity("CVSS_V3", critical)
            .fixed("Debian:13", "openssl", "2")
            .build(),
        AdvisoryBuilder::new("DSA-2-1")
            .upstream(["CVE-2099-0002"])
            .severity("CVSS_V3", medium)
            .affects_all("Debian:13", "zlib")
            .build(),
    ]
}
