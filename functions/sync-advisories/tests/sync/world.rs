//! A server of archives, records and a queue of one test.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidewatch_advisories::{Build, BuildOptions, build};
use tidewatch_core::Digest;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::{Clock as _, Objects, Table};
use tidewatch_core::tables::TableVersions;
use tidewatch_core::work::AdvisoriesMessage;
use tidewatch_runtime::aws::SdkConfig;
use tidewatch_runtime::{Deadline, HandlerError, MessageHandler as _};
use tidewatch_store::records::AdvisorySource;
use tidewatch_store::{MemoryTable, ObjectStorage, Records};
use tidewatch_sync_advisories::{Place, Settings, SyncAdvisories};
use tidewatch_testkit::advisory::{AdvisoryBuilder, archive};
use tidewatch_testkit::archives::ArchiveServer;
use tidewatch_testkit::failing::{FailingObjects, FailingTable, Outages};
use tidewatch_testkit::ports::{InstantSleeper, RecordingQueue, SettableClock};

/// Two vectors, the worse one first.
pub(crate) const CRITICAL: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
pub(crate) const MEDIUM: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N";

/// Where the server has the catalogue.
pub(crate) const KEV: &str = "/known_exploited_vulnerabilities.json";

/// Messages that are handled until none is left, at most: more is a loop without an end.
const MOST_MESSAGES: usize = 200;

pub(crate) struct World {
    pub(crate) server: ArchiveServer,
    pub(crate) records: Records,
    pub(crate) objects: Arc<ObjectStorage>,
    pub(crate) queue: Arc<RecordingQueue>,
    pub(crate) clock: Arc<SettableClock>,
    pub(crate) outages: Arc<Outages>,
    pub(crate) sync: SyncAdvisories,
    pub(crate) folder: TempDir,
    /// The records as the function has them.
    failing: Records,
    settings: Settings,
}

impl World {
    /// Nothing fetched yet, of these ecosystems.
    pub(crate) async fn of(ecosystems: &[&str]) -> Self {
        Self::with(ecosystems, |_| {}).await
    }

    /// The same, with other settings.
    pub(crate) async fn with(ecosystems: &[&str], change: impl FnOnce(&mut Settings)) -> Self {
        let server = ArchiveServer::start().await.unwrap();
        let folder = TempDir::new().unwrap();
        let mut settings = Settings {
            osv: Some(Place::parse(&server.url()).unwrap()),
            ecosystems: ecosystems.iter().map(|&name| name.to_owned()).collect(),
            ..Settings::new(folder.path())
        };
        change(&mut settings);
        let objects = Arc::new(ObjectStorage::in_memory());
        let outages = Outages::none();
        let table: Arc<dyn Table> = Arc::new(MemoryTable::new());
        let failing: Arc<dyn Table> = Arc::new(FailingTable::new(Arc::clone(&table), Arc::clone(&outages)));
        let failing_objects = Arc::new(FailingObjects::new(Arc::clone(&objects) as _, Arc::clone(&outages)));
        let sleeper = Arc::new(InstantSleeper::new());
        let records = Records::new(table, Arc::clone(&objects) as _, Arc::clone(&sleeper) as _);
        let queue = Arc::new(RecordingQueue::new());
        let clock = Arc::new(SettableClock::at("2026-06-01T00:00:00Z"));
        let failing = Records::new(failing, failing_objects, sleeper);
        let sync = SyncAdvisories::new(
            failing.clone(),
            Arc::clone(&queue) as _,
            Arc::clone(&clock) as _,
            settings.clone(),
            None,
        )
        .unwrap();
        Self { server, records, objects, queue, clock, outages, sync, folder, failing, settings }
    }

    /// In 2004, when there are few feeds, with the catalogue, the feeds of the NVD, and the repositories of Amazon Linux on the same server.
    pub(crate) async fn of_every_kind(ecosystems: &[&str]) -> Self {
        let mut world = Self::of(ecosystems).await;
        world.clock.set("2004-06-01T00:00:00Z".parse().unwrap());
        let place = |path: &str| Place::parse(&format!("{}{path}", world.server.url())).ok();
        let (kev, nvd, amazon_linux) = (place(KEV), place("/nvd"), place(""));
        world.again_with(|settings| {
            settings.kev = kev;
            settings.nvd = nvd;
            settings.amazon_linux = amazon_linux;
        });
        world
    }

    /// The function with other settings, on the same records.
    pub(crate) fn again_with(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        self.restart(None);
    }

    fn restart(&mut self, aws: Option<SdkConfig>) {
        let (queue, clock) = (Arc::clone(&self.queue), Arc::clone(&self.clock));
        let (records, settings) = (self.failing.clone(), self.settings.clone());
        self.sync = SyncAdvisories::new(records, queue, clock, settings, aws).unwrap();
    }

    /// The function that reads buckets with this configuration, on the same records.
    pub(crate) fn read_buckets(&mut self, aws: SdkConfig) {
        self.restart(Some(aws));
    }

    /// Has the server serve these archives.
    pub(crate) fn serve(&self, archives: &BTreeMap<String, Vec<Value>>) {
        for (ecosystem, records) in archives {
            self.server.put(ecosystem, records);
        }
    }

    /// Handles one message.
    pub(crate) async fn handle(&self, ecosystem: &str) -> Result<(), HandlerError> {
        self.handle_message(AdvisoriesMessage::of(ecosystem)).await
    }

    pub(crate) async fn handle_message(&self, message: AdvisoriesMessage) -> Result<(), HandlerError> {
        self.sync.handle(message, Deadline::NONE).await
    }

    /// Takes what was sent.
    pub(crate) fn take(&self) -> Vec<AdvisoriesMessage> {
        let messages = self.queue.messages(QueueName::Advisories);
        self.queue.clear();
        messages
    }

    /// Handles messages until none is left; `choose` takes one of so many. A message that fails comes again.
    pub(crate) async fn settle(
        &self,
        mut waiting: Vec<AdvisoriesMessage>,
        mut choose: impl FnMut(usize) -> usize,
    ) {
        for _ in 0..MOST_MESSAGES {
            waiting.extend(self.take());
            if waiting.is_empty() {
                return;
            }
            let message = waiting.swap_remove(choose(waiting.len()));
            if self.handle_message(message.clone()).await.is_err() {
                waiting.push(message);
            }
        }
        panic!("there is no end of messages: {waiting:?}");
    }

    /// What the schedule does, and all that comes of it.
    pub(crate) async fn tick(&self) {
        self.clock.advance(Duration::from_secs(3600));
        self.sync.tick().await.unwrap();
        self.settle(Vec::new(), |_| 0).await;
    }

    pub(crate) async fn source(&self, ecosystem: &str) -> AdvisorySource {
        self.records.advisory_sources().await.unwrap().remove(ecosystem).unwrap_or_default().source
    }

    /// The reason of the error of a source; empty without one.
    pub(crate) async fn error(&self, ecosystem: &str) -> String {
        self.source(ecosystem).await.error.map_or_else(String::new, |error| error.reason)
    }

    /// The indexes in force; each has its file.
    pub(crate) async fn in_force(&self) -> BTreeMap<String, Digest> {
        let current = self.records.current_advisories().await.unwrap();
        let mut hashes = BTreeMap::new();
        for (family, index) in current.families {
            let file = self.records.advisory_index(&family, &index.hash).await.unwrap();
            assert_eq!(Digest::of(&file.expect("the file of an index in force")), index.hash);
            hashes.insert(family, index.hash);
        }
        hashes
    }

    /// The objects under this prefix.
    pub(crate) async fn objects(&self, prefix: &str) -> Vec<String> {
        self.objects.list(prefix).await.unwrap()
    }

    /// What is left in the folder of temporary files.
    pub(crate) fn leftovers(&self) -> usize {
        std::fs::read_dir(self.folder.path()).unwrap().count()
    }

    /// What `advisories build` makes of a folder with these archives.
    pub(crate) fn expected(&self, archives: &BTreeMap<String, Vec<Value>>) -> BTreeMap<String, Digest> {
        let folder = TempDir::new().unwrap();
        for (ecosystem, records) in archives {
            tidewatch_testkit::advisory::write_archive(folder.path(), ecosystem, records);
        }
        self.built(folder.path())
    }

    /// What `advisories build` makes of this folder.
    pub(crate) fn built(&self, source: &Path) -> BTreeMap<String, Digest> {
        let built = self.build(source).families.into_iter();
        built.map(|family| (family.family.to_owned(), family.hash)).collect()
    }

    /// The tables that `advisories build` finds in this folder.
    pub(crate) fn tables_of(&self, source: &Path) -> TableVersions {
        self.build(source).tables.versions()
    }

    fn build(&self, source: &Path) -> Build {
        let output = TempDir::new().unwrap();
        let options = BuildOptions { output: output.path().to_owned(), now: self.clock.now() };
        build(source, &options, &mut |_| {}).unwrap()
    }
}

/// A catalogue of these CVEs.
pub(crate) fn catalogue(ids: &[&str]) -> Value {
    let entry = |id: &&str| json!({"cveID": id, "dateAdded": "2024-05-01"});
    let entries: Vec<_> = ids.iter().map(entry).collect();
    json!({"dateReleased": "2024-05-01T00:00:00Z", "count": entries.len(), "vulnerabilities": entries})
}

/// A feed of the NVD with these CVEs, each with a vector.
pub(crate) fn nvd_feed(cves: &[(&str, &str)]) -> Value {
    let cve = |(id, vector): &(&str, &str)| {
        let data = json!({"version": "3.1", "vectorString": vector, "baseScore": 1.0});
        let metric = json!({"source": "nvd@nist.gov", "type": "Primary", "cvssData": data});
        json!({"cve": {"id": id, "vulnStatus": "Analyzed", "metrics": {"cvssMetricV31": [metric]}}})
    };
    let cves: Vec<_> = cves.iter().map(cve).collect();
    json!({"resultsPerPage": cves.len(), "format": "NVD_CVE", "version": "2.0", "vulnerabilities": cves})
}

/// A record of Debian that fixes `package` and rates nothing.
pub(crate) fn debian(id: &str, cve: &str, package: &str) -> Value {
    AdvisoryBuilder::new(id).upstream([cve]).fixed("Debian:12", package, "2").build()
}

/// A record of Alpine that fixes `package` and rates nothing.
pub(crate) fn alpine(cve: &str, package: &str) -> Value {
    let id = format!("ALPINE-{cve}");
    AdvisoryBuilder::new(&id).upstream([cve]).fixed("Alpine:v3.19", package, "2-r0").build()
}

/// A record that rates a vulnerability and affects nothing that is matched.
pub(crate) fn score(cve: &str, vector: &str) -> Value {
    AdvisoryBuilder::new(cve).severity("CVSS_V3", vector).build()
}

/// The size of an archive of these records.
pub(crate) fn size(records: &[Value]) -> u64 {
    archive(records).len() as u64
}
