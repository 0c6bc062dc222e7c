//! One sweep: local mode is started on the data folder, the rule runs, and everything is counted until nothing is left to do.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::{QueueDepths as _, Sleeper as _};
use tidewatch_runtime::system::{SystemClock, SystemSleeper};
use tidewatch_store::LocalQueue;
use tidewatch_tests::LocalMode;

use crate::process::{RegistryProcess, cpu, load, peak_memory};
use crate::registry::Counts;

/// How often it is looked whether queues are empty.
const LOOK: Duration = Duration::from_millis(100);

/// How long nothing may happen before what follows a sweep counts as done.
const QUIET: Duration = Duration::from_secs(4);

/// How long a sweep may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);

/// What was asked of the stores, as the process says in its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoreUse {
    pub(crate) operation: String,
    pub(crate) kind: String,
    pub(crate) requests: u64,
    pub(crate) items: u64,
}

/// What one sweep took.
#[derive(Debug)]
pub(crate) struct Sweep {
    /// From the start of the rule to when nothing was left to list or scan.
    pub(crate) took: Duration,
    /// Processor time of Tidewatch until then.
    pub(crate) cpu: Duration,
    pub(crate) registry_cpu: Duration,
    /// The largest resident set of the process of Tidewatch, in MiB.
    pub(crate) memory: f64,
    /// Requests to the registry by their kind.
    pub(crate) requests: Counts,
    /// Until all that follows is done as well.
    pub(crate) store: Vec<StoreUse>,
    /// The average of the last minute at the end: the sweep itself, and whatever else runs.
    pub(crate) load: String,
}

impl Sweep {
    /// Images of a second.
    pub(crate) fn rate(&self, images: usize) -> f64 {
        images as f64 / self.took.as_secs_f64()
    }

    /// Requests for layers and configurations.
    pub(crate) fn blobs(&self) -> u64 {
        let of = |kind| self.requests.get(kind).copied().unwrap_or(0);
        of("GET layer") + of("GET configuration")
    }

    /// The items of repositories that were written; without that of the listing of the registry.
    pub(crate) fn writes_of_repositories(&self) -> u64 {
        let writes = ["put", "update", "delete", "transact"];
        let is_of_them = |one: &&StoreUse| {
            writes.contains(&one.operation.as_str()) && OF_REPOSITORIES.contains(&one.kind.as_str())
        };
        let items: u64 = self.store.iter().filter(is_of_them).map(|one| one.items).sum();
        items.saturating_sub(1)
    }

    /// The requests that write to the table, and the items that they write.
    pub(crate) fn writes(&self) -> (u64, u64) {
        let writes = ["put", "update", "delete", "transaction"];
        let of_table = self.store.iter().filter(|one| writes.contains(&one.operation.as_str()));
        of_table.fold((0, 0), |(requests, items), one| (requests + one.requests, items + one.items))
    }
}

/// The kinds of the records of which a repository, its tags and its listing are.
const OF_REPOSITORIES: [&str; 5] = ["REPOS", "REPO", "REPO/TAG", "RUN/LISTING", "RUN/SENT"];

/// A data folder with the configuration and the advisories in it.
pub(crate) struct Swept<'a> {
    pub(crate) registry: &'a RegistryProcess,
    pub(crate) binary: &'a Path,
    pub(crate) data: PathBuf,
    pub(crate) config: PathBuf,
}

impl Swept<'_> {
    /// Makes one sweep, in a process of its own.
    pub(crate) async fn sweep(&self) -> anyhow::Result<Sweep> {
        let logs = [("TIDEWATCH_LOG", "info,tidewatch::local=debug")];
        let local = LocalMode::start_with(self.binary, &self.data, &logs)?;
        local.must(&["apply", self.config.to_str().context("the folder's name is no text")?])?;
        let queue = LocalQueue::open(&self.data.join("queue.sqlite"), Arc::new(SystemClock)).await?;
        let before = (cpu(local.id())?, cpu(self.registry.id())?, self.registry.counts().await?);
        let start = Instant::now();
        local.must(&["rules", "run", "everything", "--quiet"])?;
        let (took, cpus) = self.until_done(&local, &queue, start).await?;
        let load = load()?;
        settle(&queue).await?;
        let requests = self.registry.counts().await?;
        let memory = peak_memory(local.id())?;
        let finished = local.terminate()?;
        Ok(Sweep {
            took,
            cpu: cpus.0.saturating_sub(before.0),
            registry_cpu: cpus.1.saturating_sub(before.1),
            memory,
            requests: difference(&requests, &before.2),
            store: store_use(&finished.stderr)?,
            load,
        })
    }

    /// Waits until the run is at its end, and gives when that was, with the processor times until then. `rules status` reads
    /// every row of work, so it is asked only while the queues are empty.
    async fn until_done(
        &self,
        local: &LocalMode,
        queue: &LocalQueue,
        start: Instant,
    ) -> anyhow::Result<(Duration, (Duration, Duration))> {
        while start.elapsed() < PATIENCE {
            SystemSleeper.sleep(LOOK).await;
            if !are_empty(queue, &[QueueName::Listings, QueueName::Scans, QueueName::Pushed]).await? {
                continue;
            }
            let (took, cpus) = (start.elapsed(), (cpu(local.id())?, cpu(self.registry.id())?));
            let status = local.json(&["rules", "status", "everything", "--runs", "1"])?;
            let run = &status["runs"][0];
            let number = |name: &str| run[name].as_u64().with_context(|| format!("no {name}: {run}"));
            ensure!(run["errors"].as_array().is_some_and(Vec::is_empty), "listings failed: {run}");
            if number("listings")? > 0
                && number("listings_done")? == number("listings")?
                && number("remaining")? == 0
            {
                return Ok((took, cpus));
            }
        }
        bail!("the sweep did not come to its end")
    }
}

async fn are_empty(queue: &LocalQueue, names: &[QueueName]) -> anyhow::Result<bool> {
    for name in names {
        let depth = queue.depth(*name).await?;
        ensure!(depth.dead_letters == 0, "there are dead letters in {name}");
        if depth.visible + depth.in_flight + depth.delayed > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Waits until all queues have been empty for a while.
async fn settle(queue: &LocalQueue) -> anyhow::Result<()> {
    let mut since = Instant::now();
    while since.elapsed() < QUIET {
        SystemSleeper.sleep(LOOK).await;
        if !are_empty(queue, &QueueName::ALL).await? {
            since = Instant::now();
        }
    }
    Ok(())
}

fn difference(after: &Counts, before: &Counts) -> Counts {
    let since = |(kind, count): (&String, &u64)| (kind.clone(), count - before.get(kind).unwrap_or(&0));
    after.iter().map(since).filter(|(_, count)| *count > 0).collect()
}

/// What the log of the process says at its end.
fn store_use(log: &str) -> anyhow::Result<Vec<StoreUse>> {
    let value = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}="))?;
        Some(rest.split_whitespace().next()?.trim_matches('"').to_owned())
    };
    let read = |line: &str| {
        Some(StoreUse {
            operation: value(line, "store.operation")?,
            kind: value(line, "store.kind")?,
            requests: value(line, "store.requests")?.parse().ok()?,
            items: value(line, "store.items")?.parse().ok()?,
        })
    };
    let used: Vec<StoreUse> = log.lines().filter_map(read).collect();
    ensure!(!used.is_empty(), "the process did not say what it asked of its stores: {log}");
    Ok(used)
}
