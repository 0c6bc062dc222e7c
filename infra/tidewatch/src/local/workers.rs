//! The workers of local mode: what EventBridge schedules and SQS event source mappings do when deployed.

use std::sync::Arc;
use std::time::Duration;

use tidewatch_assessment::AdvisoryIndexes;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::{QueueReceiver, Sleeper};
use tidewatch_inventory::Limits;
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, Ports};
use tidewatch_rematch_images::{RematchImages, RematchPorts, RematchSettings};
use tidewatch_resolve_images::{ResolveHints, ResolveImages};
use tidewatch_roll_up_streams::{Freshness, RollUpStreams};
use tidewatch_runtime::messages::{Handled, describe, handle, pause};
use tidewatch_runtime::system::{SystemClock, SystemIds, SystemRandomness, SystemSleeper};
use tidewatch_runtime::{Deadline, MessageHandler};
use tidewatch_scan_image::{ScanImage, ScanPorts, ScanSettings};
use tidewatch_store::{LocalQueue, LocalTable};
use tidewatch_sync_advisories::SyncAdvisories;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::OwnedInstance;
use super::event_log::EventLog;
use crate::aws::CallerAws;
use crate::instance::Instance;

/// How long a received message stays with its worker before it is delivered again.
const VISIBILITY: Duration = Duration::from_secs(960);

/// How often an empty queue is looked at.
const IDLE: Duration = Duration::from_millis(200);

/// How often items past their time to live are removed.
const SWEEP: Duration = Duration::from_secs(3600);

/// How many listings are made at the same time.
const LISTINGS_AT_ONCE: usize = 4;

/// How many pushed tags are resolved at the same time.
const HINTS_AT_ONCE: usize = 4;

/// How many repositories are matched again at the same time.
const REMATCHES_AT_ONCE: usize = 2;

/// How often it is looked whether advisories are due.
const ADVISORIES_LOOK: Duration = Duration::from_secs(60);

/// What can be set of local mode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How many images are scanned at the same time.
    pub(crate) scans_at_once: usize,
    /// How often rules are evaluated and streams rolled up; deployed, it is a minute.
    pub(crate) tick: Duration,
    /// What one layer may ask of the process.
    pub(crate) limits: Limits,
    /// When changed numbers are served.
    pub(crate) freshness: Freshness,
}

/// The running workers. Dropping them stops them where they are, which loses nothing.
pub(crate) struct Workers {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Workers {
    /// Starts all workers of an instance.
    pub(crate) fn start(owned: &OwnedInstance, settings: Settings, sync: SyncAdvisories) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let instance = &owned.instance;
        let clock = Arc::new(SystemClock);

        let evaluate = instance.evaluate_rules();
        tasks.spawn(every(settings.tick, stopped.clone(), move || {
            let evaluate = evaluate.clone();
            async move { evaluate.tick().await.map(drop).map_err(|error| describe(&error)) }
        }));
        let roll_up = RollUpStreams::new(instance.records.clone(), clock).fresh(settings.freshness);
        let roll_up = roll_up.announcing(Arc::new(EventLog));
        let hurried = roll_up.clone();
        tasks.spawn(every(settings.tick, stopped.clone(), move || {
            let roll_up = roll_up.clone();
            async move { roll_up.tick().await.map(drop).map_err(|error| describe(&error)) }
        }));
        tasks.spawn(sweep(owned.table.clone(), stopped.clone()));
        tasks.spawn(sync_when_due(sync.clone(), stopped.clone()));

        let (resolve, scan, rematch) = handlers(instance, settings.limits);
        let queue = owned.queue.clone();
        let hints = ResolveHints::new(resolve.clone());
        tasks.spawn(consume(queue.clone(), QueueName::Hints, hints, HINTS_AT_ONCE, stopped.clone()));
        // Workers of their own: pushed images do not wait for those that a rule has found.
        let pushed_at_once = settings.scans_at_once.div_ceil(2);
        tasks.spawn(consume(queue.clone(), QueueName::Pushed, scan.clone(), pushed_at_once, stopped.clone()));
        tasks.spawn(consume(queue.clone(), QueueName::Listings, resolve, LISTINGS_AT_ONCE, stopped.clone()));
        tasks.spawn(consume(
            queue.clone(),
            QueueName::Rematches,
            rematch,
            REMATCHES_AT_ONCE,
            stopped.clone(),
        ));
        tasks.spawn(consume(queue.clone(), QueueName::Rollups, hurried, 1, stopped.clone()));
        // One at a time: an archive takes memory while it is compiled.
        tasks.spawn(consume(queue.clone(), QueueName::Advisories, sync, 1, stopped.clone()));
        tasks.spawn(consume(queue, QueueName::Scans, scan, settings.scans_at_once, stopped));
        Self { tasks, stop }
    }

    /// Returns when a worker has ended although nobody has stopped it, with the reason: it panicked, and what it does
    /// would be left undone from now on.
    pub(crate) async fn ended(&mut self) -> String {
        match self.tasks.join_next().await {
            Some(Err(error)) => error.to_string(),
            Some(Ok(())) | None => "it returned".to_owned(),
        }
    }

    /// Lets every worker finish what it is doing, for up to `limit`, and says whether all have. What is not finished
    /// then is done again after the next start.
    pub(crate) async fn stop(mut self, limit: Duration) -> bool {
        // Nobody listens any more when all workers have ended.
        let _ = self.stop.send(true);
        tokio::select! {
            () = async { while self.tasks.join_next().await.is_some() {} } => true,
            () = SystemSleeper.sleep(limit) => false,
        }
    }
}

fn handlers(instance: &Instance, limits: Limits) -> (ResolveImages, ScanImage, RematchImages) {
    let (clock, sleeper) = (Arc::new(SystemClock), Arc::new(SystemSleeper));
    let ports =
        Ports { clock: clock.clone(), sleeper: sleeper.clone(), randomness: Arc::new(SystemRandomness) };
    let secrets = LocalSecrets::new(tidewatch_runtime::environment::variable);
    let budgets = Arc::new(instance.records.clone());
    let registries = ConfiguredRegistries::new(Arc::new(secrets), ports).within(budgets);
    let registries = Arc::new(registries.with_aws(Arc::new(CallerAws::default())));
    let queue = Arc::clone(&instance.queue);
    let resolve = ResolveImages::new(
        instance.records.clone(),
        registries.clone(),
        queue.clone(),
        clock.clone(),
        Duration::from_secs(2),
    );
    let advisories = Arc::new(AdvisoryIndexes::new(instance.cache()));
    let rematch = RematchPorts {
        records: instance.records.clone(),
        queue: queue.clone(),
        advisories: Arc::clone(&advisories),
        clock: clock.clone(),
    };
    let ports = ScanPorts {
        records: instance.records.clone(),
        registries,
        queue,
        advisories,
        clock,
        sleeper,
        ids: Arc::new(SystemIds::default()),
    };
    // Leases guard workers of this process against each other, and outlive only a killed one: they can be short.
    let settings = ScanSettings {
        lease: Duration::from_secs(10),
        renewal: Duration::from_secs(3),
        retry_pause: Duration::from_secs(2),
        waiting: Duration::from_secs(10),
        limits,
        ..ScanSettings::default()
    };
    let rematch = RematchImages::new(rematch, RematchSettings::default());
    (resolve, ScanImage::new(ports, settings), rematch)
}

/// Sends for advisories at the start, if they are due, and then hourly, until it is stopped.
async fn sync_when_due(sync: SyncAdvisories, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        let period = match sync.tick_if_due().await {
            Ok(true) => tidewatch_sync_advisories::PERIOD,
            Ok(false) => ADVISORIES_LOOK,
            Err(error) => {
                tracing::error!(error = %describe(&error), "advisories cannot be sent for");
                ADVISORIES_LOOK
            }
        };
        pause_unless_stopped(period, &mut stopped).await;
    }
}

/// Does `work` again and again, with a pause of `period`, until it is stopped.
async fn every<F, W>(period: Duration, mut stopped: watch::Receiver<bool>, work: F)
where
    F: Fn() -> W,
    W: Future<Output = Result<(), String>>,
{
    while !*stopped.borrow() {
        if let Err(error) = work().await {
            tracing::error!(error, "scheduled work failed");
        }
        pause_unless_stopped(period, &mut stopped).await;
    }
}

async fn sweep(table: LocalTable, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        if let Err(error) = table.sweep_expired(SystemClock.now()).await {
            tracing::error!(error = %describe(&error), "expired items cannot be removed");
        }
        pause_unless_stopped(SWEEP, &mut stopped).await;
    }
}

/// Receives messages and hands them to `handler`, `at_once` at the same time, until it is stopped; then waits for those
/// at work.
async fn consume<H>(
    queue: LocalQueue,
    name: QueueName,
    handler: H,
    at_once: usize,
    mut stopped: watch::Receiver<bool>,
) where
    H: MessageHandler + Clone + 'static,
{
    let permits = Arc::new(Semaphore::new(at_once));
    let mut at_work = JoinSet::new();
    while !*stopped.borrow() {
        while at_work.try_join_next().is_some() {}
        let free = permits.available_permits().min(10);
        let deliveries = match free {
            0 => Vec::new(),
            free => queue.receive(name, free, VISIBILITY).await.unwrap_or_else(|error| {
                tracing::error!(queue.name = %name, error = %describe(&error), "queue cannot be read");
                Vec::new()
            }),
        };
        let idle = deliveries.is_empty();
        for delivery in deliveries {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let (queue, handler) = (queue.clone(), handler.clone());
            at_work.spawn(async move {
                let settled = match handle(&handler, name, &delivery, Deadline::NONE).await {
                    Handled::Done => queue.acknowledge(name, &delivery.receipt).await,
                    Handled::Again => queue.release(name, &delivery.receipt, pause(delivery.receives)).await,
                };
                if let Err(error) = settled {
                    // It comes again after its visibility time; handling it twice does no harm.
                    tracing::error!(queue.name = %name, error = %describe(&error), "message cannot be settled");
                }
                drop(permit);
            });
        }
        if idle && free > 0 {
            pause_unless_stopped(IDLE, &mut stopped).await;
        } else if free == 0 {
            tokio::select! {
                _ = at_work.join_next() => {}
                _ = stopped.changed() => {}
            }
        }
    }
    while at_work.join_next().await.is_some() {}
}

async fn pause_unless_stopped(period: Duration, stopped: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = SystemSleeper.sleep(period) => {}
        _ = stopped.changed() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(tasks: JoinSet<()>) -> Workers {
        Workers { tasks, stop: watch::channel(false).0 }
    }

    #[tokio::test]
    async fn a_worker_that_panics_is_noticed_while_the_others_go_on() {
        let mut tasks = JoinSet::new();
        tasks.spawn(std::future::pending());
        tasks.spawn(async { panic!("the roll-up is broken") });
        assert!(workers(tasks).ended().await.contains("the roll-up is broken"));
    }

    #[tokio::test]
    async fn stopping_waits_for_what_is_at_work_and_not_longer_than_it_is_told() {
        let mut stuck = JoinSet::new();
        stuck.spawn(std::future::pending());
        assert!(!workers(stuck).stop(Duration::from_millis(10)).await);
        let (done, waited_for) = tokio::sync::oneshot::channel();
        let mut at_work = JoinSet::new();
        at_work.spawn(async move {
            SystemSleeper.sleep(Duration::from_millis(50)).await;
            done.send(()).unwrap();
        });
        assert!(workers(at_work).stop(Duration::from_secs(60)).await);
        waited_for.await.unwrap();
    }
}
