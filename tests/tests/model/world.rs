//! The real functions on one table in memory, and the messages between them that are in flight.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tidewatch_assessment::AdvisoryIndexes;
use tidewatch_core::config::Config;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::queue::{OutgoingMessage, QueueError, QueueName};
use tidewatch_core::ports::{Clock as _, QueueSender, Sleeper};
use tidewatch_evaluate_rules::EvaluateRules;
use tidewatch_rematch_images::{RematchImages, RematchPorts, RematchSettings};
use tidewatch_resolve_images::{ResolveHints, ResolveImages};
use tidewatch_roll_up_streams::RollUpStreams;
use tidewatch_runtime::{Deadline, HandlerError, MessageHandler};
use tidewatch_scan_image::{ScanImage, ScanPorts, ScanSettings};
use tidewatch_store::{MemoryTable, ObjectStorage, Records};
use tidewatch_testkit::interleave::PausingTable;
use tidewatch_testkit::ports::{InstantSleeper, RecordingBus, SequentialIds, SettableClock};

use crate::registry::Held;

/// When every case begins.
pub(crate) const START: &str = "2026-06-15T00:00:00Z";

/// How long one who tells events has a lease.
pub(crate) const LEASE: Duration = Duration::from_secs(120);

/// A message as it lies in its queue.
pub(crate) type Message = (QueueName, String);

/// Messages that were sent and not acknowledged, by a number that grows.
#[derive(Default)]
pub(crate) struct InFlight(Mutex<(u64, BTreeMap<u64, Message>)>);

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Message>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The message at this place, counted around, which stays.
    pub(crate) fn get(&self, place: usize) -> Option<(u64, Message)> {
        let messages = &self.lock().1;
        messages.iter().nth(place % messages.len().max(1)).map(|(id, message)| (*id, message.clone()))
    }

    pub(crate) fn acknowledge(&self, id: u64) {
        self.lock().1.remove(&id);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().1.is_empty()
    }
}

#[async_trait]
impl QueueSender for InFlight {
    async fn send(&self, queue: QueueName, messages: Vec<OutgoingMessage>) -> Result<(), QueueError> {
        let (last, in_flight) = &mut *self.lock();
        for message in messages {
            *last += 1;
            in_flight.insert(*last, (queue, message.body));
        }
        Ok(())
    }
}

/// Nobody's lease has to be renewed: a case moves the clock by hand.
struct Asleep;

#[async_trait]
impl Sleeper for Asleep {
    async fn sleep(&self, _duration: Duration) {
        std::future::pending::<()>().await;
    }
}

/// All functions.
pub(crate) struct Functions {
    pub(crate) evaluate: EvaluateRules,
    pub(crate) roll_up: RollUpStreams,
    pub(crate) hints: ResolveHints,
    resolve: ResolveImages,
    scan: ScanImage,
    rematch: RematchImages,
}

impl Functions {
    pub(crate) async fn handle(&self, (queue, body): &Message) -> Result<(), HandlerError> {
        match queue {
            QueueName::Hints => deliver(&self.hints, body).await,
            QueueName::Listings => deliver(&self.resolve, body).await,
            QueueName::Pushed | QueueName::Scans => deliver(&self.scan, body).await,
            QueueName::Rematches => deliver(&self.rematch, body).await,
            QueueName::Rollups => deliver(&self.roll_up, body).await,
            QueueName::Advisories => panic!("nobody fetches advisories here"),
        }
    }
}

async fn deliver<H: MessageHandler<Message: DeserializeOwned>>(
    handler: &H,
    body: &str,
) -> Result<(), HandlerError> {
    handler.handle(serde_json::from_str(body).expect("a message"), Deadline::NONE).await
}

pub(crate) struct World {
    pub(crate) records: Records,
    pub(crate) clock: Arc<SettableClock>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) held: Held,
    pub(crate) bus: Arc<RecordingBus>,
    /// The functions as they are.
    pub(crate) functions: Functions,
    /// The functions, pausing before each table operation.
    pub(crate) pausing: Functions,
    _indexes: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let (table, objects) = (Arc::new(MemoryTable::new()), Arc::new(ObjectStorage::in_memory()));
        let sleeper = Arc::new(InstantSleeper::new());
        let pausing = PausingTable::new(Arc::clone(&table) as _);
        let pausing = Records::new(Arc::new(pausing), Arc::clone(&objects) as _, Arc::clone(&sleeper) as _);
        let records = Records::new(table, objects, sleeper);
        let (clock, in_flight) = (Arc::new(SettableClock::at(START)), Arc::new(InFlight::default()));
        let (held, folder) = (Held::default(), TempDir::new().unwrap());
        let advisories = Arc::new(AdvisoryIndexes::new(folder.path()));
        let ids = Arc::new(SequentialIds::new());
        let bus = Arc::new(RecordingBus::new());
        let functions = |records: &Records| {
            let queue = || Arc::clone(&in_flight) as Arc<dyn QueueSender>;
            let registries = Arc::new(held.clone());
            let scan = ScanPorts {
                records: records.clone(),
                registries: Arc::clone(&registries) as _,
                queue: queue(),
                advisories: Arc::clone(&advisories),
                clock: Arc::clone(&clock) as _,
                sleeper: Arc::new(Asleep),
                ids: Arc::clone(&ids) as _,
            };
            let rematch = RematchPorts {
                records: records.clone(),
                queue: queue(),
                advisories: Arc::clone(&advisories),
                clock: Arc::clone(&clock) as _,
            };
            // So small that a few images need several of each.
            let sizes = RematchSettings {
                images_per_message: 2,
                images_per_segment: 2,
                ..RematchSettings::default()
            };
            let clock = || Arc::clone(&clock) as _;
            let pause = Duration::from_secs(10);
            let resolve = ResolveImages::new(records.clone(), registries, queue(), clock(), pause);
            Functions {
                evaluate: EvaluateRules::new(records.clone(), queue(), clock()),
                roll_up: RollUpStreams::new(records.clone(), clock()).announcing(Arc::clone(&bus) as _),
                hints: ResolveHints::new(resolve.clone()),
                resolve,
                scan: ScanImage::new(scan, ScanSettings::default()),
                rematch: RematchImages::new(rematch, sizes),
            }
        };
        let (functions, pausing) = (functions(&records), functions(&pausing));
        Self { records, clock, in_flight, held, bus, functions, pausing, _indexes: folder }
    }

    /// Puts a configuration in force.
    pub(crate) async fn apply(&self, config: &Config) {
        assert_eq!(config.problems(), []);
        let version = self.records.config(&acme()).await.unwrap().map(|applied| applied.version);
        self.records.apply_config(config, version, self.clock.now()).await.unwrap();
    }

    /// Handles every message, and those that are sent in doing so. One that fails comes again.
    pub(crate) async fn deliver_all(&self) {
        for _ in 0..2_000 {
            let Some((id, message)) = self.in_flight.get(0) else { return };
            self.clock.advance(Duration::from_millis(1));
            match self.functions.handle(&message).await {
                Ok(()) => self.in_flight.acknowledge(id),
                Err(error) => {
                    // The other messages come first.
                    self.in_flight.acknowledge(id);
                    let (queue, body) = message;
                    let again = OutgoingMessage { body, delay: Duration::ZERO };
                    self.in_flight.send(queue, vec![again]).await.unwrap();
                    tracing::debug!(%error, "again");
                }
            }
        }
        panic!("messages do not end: {:?}", self.in_flight.get(0));
    }
}

pub(crate) fn acme() -> OrgName {
    "acme".parse().unwrap()
}
