//! `tidewatch up`: local mode, until Ctrl-C or SIGTERM.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tidewatch_export_metrics::ExportMetrics;
use tidewatch_runtime::system::SystemClock;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Context, apply};
use crate::cli::Up;
use crate::failure::Failure;
use crate::local::{OwnedInstance, Settings, Workers, serve};
use crate::output::advise;

/// How often rules are evaluated and streams rolled up.
const TICK: Duration = Duration::from_secs(1);

pub(super) async fn run(context: &Context, arguments: Up) -> Result<(), Failure> {
    let owned = OwnedInstance::take(&context.data).await?;
    if let Some(file) = &arguments.config {
        apply::apply_file(&owned.instance, file, context).await?;
    }
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("failed to listen on {}", arguments.listen))
        .map_err(|error| Failure::new(error).hint("give another address by --listen"))?;
    let address = listener.local_addr()?;

    let settings = Settings { scans_at_once: usize::from(arguments.workers), tick: TICK };
    let workers = Workers::start(&owned, settings);
    advise(
        context.quiet,
        &format!(
            "metrics at http://{address}/v1/exporter/org/ORG/metrics; data in {}",
            context.data.display()
        ),
    );
    if owned.instance.records.orgs().await?.is_empty() {
        advise(context.quiet, "nothing is configured yet: tidewatch apply tidewatch.yaml");
    }
    tracing::info!(http.address = %address, "local mode started");

    let metrics = ExportMetrics::new(owned.instance.records.clone(), Arc::new(SystemClock));
    let (stop, mut stopped) = watch::channel(false);
    let server = tokio::spawn(serve(listener, metrics, async move {
        // The sender is dropped only when the process ends anyway.
        let _ = stopped.wait_for(|stop| *stop).await;
    }));
    asked_to_stop().await?;
    advise(context.quiet, "stopping: finishing what is at work (again to stop at once, nothing is lost)");
    let _ = stop.send(true);
    tokio::select! {
        () = workers.stop() => {}
        again = asked_to_stop() => again?,
    }
    server.abort();
    tracing::info!("local mode stopped");
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM.
async fn asked_to_stop() -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        _ = terminate.recv() => Ok(()),
    }
}
