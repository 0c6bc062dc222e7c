//! Real stores in a temporary folder, images in them, and the worker that matches them again.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use tidewatch_advisories::{BuildOptions, Index, build};
use tidewatch_assessment::{AdvisoryIndexes, store_index};
use tidewatch_core::Digest;
use tidewatch_core::config::Config;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::{Clock as _, Objects as _};
use tidewatch_core::work::{RematchMessage, RematchTask};
use tidewatch_rematch_images::{RematchImages, RematchPorts, RematchSettings};
use tidewatch_runtime::{Deadline, MessageHandler as _};
use tidewatch_store::records::SegmentEntry;
use tidewatch_store::{LocalTable, ObjectStorage, Records};
use tidewatch_testkit::ports::{InstantSleeper, RecordingQueue, SettableClock};

use crate::fleet::Fleet;

/// How many images are recorded, and messages handled, at the same time.
const AT_ONCE: usize = 4;

/// What was recorded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) packages: usize,
    pub(crate) findings: usize,
    pub(crate) inventories: usize,
    /// Of the inventories, each counted for every image that has it.
    pub(crate) bytes: usize,
}

pub(crate) struct World {
    pub(crate) clock: Arc<SettableClock>,
    records: Records,
    objects: Arc<ObjectStorage>,
    queue: Arc<RecordingQueue>,
    worker: RematchImages,
    org: OrgName,
    archives: PathBuf,
    folder: PathBuf,
}

impl World {
    /// Stores in `folder`, with the advisories of `archives`.
    pub(crate) async fn new(folder: &Path, archives: &Path) -> anyhow::Result<Self> {
        let table = LocalTable::open(&folder.join("table")).await?;
        let objects_folder = folder.join("objects");
        std::fs::create_dir_all(&objects_folder)?;
        let objects = Arc::new(ObjectStorage::scratch_folder(&objects_folder)?);
        let sleeper = Arc::new(InstantSleeper::new());
        let records = Records::new(Arc::new(table), Arc::clone(&objects) as _, sleeper);
        let clock = Arc::new(SettableClock::at("2026-06-15T00:00:00Z"));
        let org: OrgName = "acme".parse()?;
        let config: Config = serde_json::from_value(json!({"org": "acme"}))?;
        records.apply_config(&config, None, clock.now()).await?;
        let queue = Arc::new(RecordingQueue::new());
        let (archives, folder) = (archives.to_owned(), folder.to_owned());
        let worker = worker(&records, &queue, &clock, &folder);
        Ok(Self { clock, records, objects, queue, worker, org, archives, folder })
    }

    /// Goes on with a worker that has just started: it has no index open, and remembers nothing.
    pub(crate) fn restart(&mut self) {
        self.worker = worker(&self.records, &self.queue, &self.clock, &self.folder);
    }

    /// Compiles the archives, with these advisories for Debian beside theirs, and puts them in force.
    pub(crate) async fn publish(&self, more: &[Value]) -> anyhow::Result<()> {
        let (source, output) = (tempfile::tempdir_in(&self.folder)?, tempfile::tempdir_in(&self.folder)?);
        for entry in std::fs::read_dir(&self.archives)? {
            let archive = entry?.path();
            let name = archive.file_name().context("an archive without a name")?;
            if archive.join("all.zip").exists() {
                std::os::unix::fs::symlink(&archive, source.path().join(name))?;
            }
        }
        if !more.is_empty() {
            let debian = source.path().join("Debian");
            std::fs::remove_file(&debian)?;
            let mut records = read_records(&self.archives.join("Debian/all.zip"))?;
            records.extend(more.iter().cloned());
            tidewatch_testkit::advisory::write_archive(source.path(), "Debian", &records);
        }
        let options = BuildOptions { output: output.path().to_owned(), now: self.clock.now() };
        for built in build(source.path(), &options, &mut |_| {})?.families {
            let file = std::fs::read(&built.path)?;
            let family = store_index(&self.records, &built, file.into(), self.clock.now()).await?;
            self.records.publish_advisories([(built.family.to_owned(), family)]).await?;
        }
        Ok(())
    }

    /// The indexes in force.
    pub(crate) async fn indexes(&self) -> anyhow::Result<Vec<Index>> {
        let mut indexes = Vec::new();
        for (family, index) in self.records.current_advisories().await?.families {
            let file = self.records.advisory_index(&family, &index.hash).await?.context("no index")?;
            let path = self.folder.join(format!("{family}.redb"));
            std::fs::write(&path, file)?;
            indexes.push(Index::open(&path)?);
        }
        Ok(indexes)
    }

    /// Records a result for each image, as a scan does; without its report, which is not read here.
    pub(crate) async fn record(&self, fleet: &Fleet, images: usize) -> anyhow::Result<Recorded> {
        let in_force = self.records.in_force(&self.org, None).await?.context("no organisation")?;
        let in_force = Arc::new(in_force);
        let advisories = AdvisoryIndexes::new(self.folder.join("indexes"));
        let seen: Mutex<HashSet<Digest>> = Mutex::default();
        let mut done = futures::stream::iter(0..images as u64)
            .map(|number| {
                let (in_force, seen, advisories) = (Arc::clone(&in_force), &seen, &advisories);
                async move {
                    let (image, now) = (Fleet::image(number), self.clock.now());
                    let inventory = fleet.inventory(number);
                    let assessed = advisories.assess(&self.records, inventory, in_force, now).await?;
                    let mut result = assessed.result;
                    let hash = self.records.put_inventory(&self.org, &assessed.inventory, None).await?;
                    result.inventory = Some(hash);
                    result.report = Some(self.records.report_key(&self.org, &assessed.report)?);
                    let (digest, platform) = (&image.digest, &image.platform);
                    self.records.put_result(&self.org, digest, platform, &result, None).await?;
                    let is_new = seen.lock().is_ok_and(|mut seen| seen.insert(hash));
                    let key = format!("inventories/acme/{}.postcard", hash.hex());
                    let bytes = self.objects.get(&key).await?.map_or(0, |bytes| bytes.len());
                    anyhow::Ok((
                        assessed.inventory.packages.len(),
                        assessed.report.findings.len(),
                        is_new,
                        bytes,
                    ))
                }
            })
            .buffer_unordered(AT_ONCE);
        let mut recorded = Recorded::default();
        while let Some((packages, findings, is_new, bytes)) = done.try_next().await? {
            recorded.packages += packages;
            recorded.findings += findings;
            recorded.inventories += usize::from(is_new);
            recorded.bytes += bytes;
        }
        Ok(recorded)
    }

    async fn handle(&self, task: Option<RematchTask>) -> anyhow::Result<()> {
        let message =
            RematchMessage { sent_at: Some(self.clock.now()), ..RematchMessage::new(self.org.clone(), task) };
        Ok(self.worker.handle(message, Deadline::NONE).await?)
    }

    /// Sends for the images that the changes are about.
    pub(crate) async fn send_changes(&self) -> anyhow::Result<()> {
        self.queue.clear();
        self.handle(None).await
    }

    /// Handles all that was sent, and gives the number of images.
    pub(crate) async fn handle_all(&self) -> anyhow::Result<usize> {
        let messages: Vec<RematchMessage> = self.queue.messages(QueueName::Rematches);
        let images = messages.iter().map(|message| match &message.task {
            Some(RematchTask::Images(images) | RematchTask::Unposted(images)) => images.len(),
            _ => 0,
        });
        let images = images.sum();
        futures::stream::iter(messages)
            .map(|message| {
                let worker = self.worker.clone();
                tokio::spawn(async move { worker.handle(message, Deadline::NONE).await })
            })
            .buffer_unordered(AT_ONCE)
            .map(|joined| anyhow::Ok(joined??))
            .try_collect::<Vec<()>>()
            .await?;
        Ok(images)
    }

    /// Posts all images.
    pub(crate) async fn compact_all(&self) -> anyhow::Result<()> {
        loop {
            self.queue.clear();
            self.handle(Some(RematchTask::Compact {})).await?;
            if self.queue.messages::<RematchMessage>(QueueName::Rematches).is_empty() {
                return Ok(());
            }
        }
    }

    pub(crate) async fn segments(&self) -> anyhow::Result<Vec<SegmentEntry>> {
        Ok(self.records.postings(&self.org).await?.context("no postings")?.postings.segments)
    }

    pub(crate) async fn segment_bytes(&self) -> anyhow::Result<usize> {
        let mut sum = 0;
        for segment in self.segments().await? {
            let key = format!("postings/acme/{}.postcard", segment.hash.hex());
            sum += self.objects.get(&key).await?.map_or(0, |bytes| bytes.len());
        }
        Ok(sum)
    }
}

fn worker(
    records: &Records,
    queue: &Arc<RecordingQueue>,
    clock: &Arc<SettableClock>,
    folder: &Path,
) -> RematchImages {
    let ports = RematchPorts {
        records: records.clone(),
        queue: Arc::clone(queue) as _,
        advisories: Arc::new(AdvisoryIndexes::new(folder.join("indexes"))),
        clock: Arc::clone(clock) as _,
    };
    RematchImages::new(ports, RematchSettings::default())
}

/// The records of an archive.
fn read_records(path: &Path) -> anyhow::Result<Vec<Value>> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path)?)?;
    (0..archive.len()).map(|number| Ok(serde_json::from_reader(archive.by_index(number)?)?)).collect()
}
