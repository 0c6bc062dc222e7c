//! `tidewatch up`: local mode, until Ctrl-C or SIGTERM.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tidewatch_export_metrics::ExportMetrics;
use tidewatch_read_results::ReadResults;
use tidewatch_receive_webhook::ReceiveWebhook;
use tidewatch_runtime::aws::caller_config;
use tidewatch_runtime::system::{SystemClock, SystemSleeper};
use tidewatch_sync_advisories::{Places, SyncAdvisories, parse_ecosystems};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Context, apply};
use crate::cli::{Ecosystems, Up};
use crate::failure::Failure;
use crate::instance::{BuildFolder, Instance};
use crate::local::{Functions, OwnedInstance, Settings, Workers, serve};
use crate::output::advise;

/// How often rules are evaluated and streams rolled up.
const TICK: Duration = Duration::from_secs(1);

/// The pause before advisories that could not be fetched are tried again; it doubles with each try.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// How long a download of advisories may take: nothing kills this process, and the line may be slow.
const DOWNLOAD: Duration = Duration::from_secs(4 * 3600);

/// The pause before changed scores are taken into the indexes of others.
const SCORES_PAUSE: Duration = Duration::from_secs(2);

/// How long what is at work may take to finish after the first signal; service managers kill after 90 seconds or less.
const GRACE: Duration = Duration::from_secs(30);

pub(super) async fn run(context: &Context, arguments: Up) -> Result<(), Failure> {
    let folder = context.place.folder()?;
    let owned = OwnedInstance::take(folder).await?;
    if let Some(file) = &arguments.config {
        apply::apply_file(&owned.instance, file, context).await?;
    }
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("failed to listen on {}", arguments.listen))
        .map_err(|error| Failure::new(error).hint("give another address by --listen"))?;
    let address = listener.local_addr()?;
    OwnedInstance::note_address(folder, address)?;

    let settings = Settings {
        scans_at_once: usize::from(arguments.workers),
        limits: arguments.limits.get(),
        freshness: arguments.metrics.freshness(),
        tick: TICK,
    };
    // For archives while they are compiled; it is there as long as the workers are.
    let build = BuildFolder::make(&owned.instance.cache())?;
    let (places, ecosystems) = (arguments.advisories.get(), arguments.ecosystems);
    let sync = sync_advisories(&owned.instance, build.path(), places, ecosystems).await?;
    sync.note_sources().await?;
    let mut workers = Workers::start(&owned, settings, sync);
    advise(
        context.quiet,
        &format!("metrics at http://{address}/v1/exporter/org/ORG/metrics; data in {}", folder.display()),
    );
    if owned.instance.records.orgs().await?.is_empty() {
        advise(context.quiet, "nothing is configured yet: tidewatch apply tidewatch.yaml");
    }
    tracing::info!(http.address = %address, "local mode started");

    let (records, queue) = (&owned.instance.records, Arc::new(owned.queue.clone()));
    let functions = Functions {
        metrics: ExportMetrics::new(records.clone(), Arc::new(SystemClock))
            .limited(arguments.metrics.scrapes_per_minute)
            .telling(Arc::clone(&owned.instance.depths), Arc::new(SystemSleeper)),
        results: ReadResults::new(records.clone(), Arc::new(SystemClock)),
        hooks: ReceiveWebhook::new(records.clone(), queue, Arc::new(SystemClock)),
    };
    let (stop, mut stopped) = watch::channel(false);
    let mut server = tokio::spawn(serve(listener, functions, async move {
        // The sender is dropped only when the process ends anyway.
        let _ = stopped.wait_for(|stop| *stop).await;
    }));
    tokio::select! {
        asked = asked_to_stop() => asked?,
        reason = workers.ended() => return Err(ended("a worker", &reason)),
        outcome = &mut server => {
            let reason = match outcome {
                Ok(Ok(())) => "it returned".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            return Err(ended("the HTTP server", &reason));
        }
    }
    advise(
        context.quiet,
        "stopping: finishing what is at work, for 30 seconds at most (again to stop at once; nothing is lost)",
    );
    let _ = stop.send(true);
    tokio::select! {
        finished = workers.stop(GRACE) => {
            if !finished {
                tracing::warn!("work was left unfinished; it is done again after the next start");
            }
        }
        again = asked_to_stop() => again?,
    }
    server.abort();
    owned.log_counts();
    tracing::info!("local mode stopped");
    Ok(())
}

/// The function that keeps advisories up to date, on files in `folder`.
async fn sync_advisories(
    instance: &Instance,
    folder: &Path,
    places: Places,
    ecosystems: Ecosystems,
) -> Result<SyncAdvisories, Failure> {
    let mut settings = tidewatch_sync_advisories::Settings {
        ecosystems: parse_ecosystems(ecosystems.names.iter().map(String::as_str))
            .map_err(Failure::wrong_use)?,
        download_timeout: DOWNLOAD,
        progress_period: TICK,
        retry_pause: RETRY_PAUSE,
        scores_pause: SCORES_PAUSE,
        ..tidewatch_sync_advisories::Settings::new(folder)
    };
    places.settle(&mut settings).map_err(Failure::wrong_use)?;
    // Boxed, because the clients of AWS make large futures.
    let aws = if settings.reads_buckets() { Some(Box::pin(caller_config()).await) } else { None };
    let queue = Arc::clone(&instance.queue);
    Ok(SyncAdvisories::new(instance.records.clone(), queue, Arc::new(SystemClock), settings, aws)?)
}

/// The failure of local mode when a part of it has ended by itself. The process ends with it, so that a supervisor
/// starts it again: half of it would look well and do nothing.
fn ended(part: &str, reason: &str) -> Failure {
    tracing::error!(part, error = reason, "a part of local mode ended unexpectedly");
    Failure::new(anyhow::anyhow!("{part} ended unexpectedly: {reason}"))
        .hint("start it again; it goes on where it was. Please report what was logged")
}

/// Waits for Ctrl-C or SIGTERM.
async fn asked_to_stop() -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        _ = terminate.recv() => Ok(()),
    }
}
