//! The deployed function `export-metrics`: requests for metrics.

use std::process::ExitCode;
use std::sync::Arc;

use tidewatch_export_metrics::{ExportMetrics, scrapes_per_minute};
use tidewatch_runtime::aws::lambda_config;
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::lambda::{self, Entry};
use tidewatch_runtime::system::{SystemClock, SystemSleeper};
use tidewatch_store::{Deployed, Places};

// One thread: it answers one request at a time, with one or two items of the table, and only waits for the queues.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    lambda::run(entry).await
}

async fn entry() -> anyhow::Result<Entry> {
    let places = Places::from_environment(&variable)?;
    let sleeper = Arc::new(SystemSleeper);
    let stack = Deployed::open(&lambda_config(variable)?, places, sleeper.clone())?;
    let metrics = ExportMetrics::new(stack.records, Arc::new(SystemClock))
        .limited(scrapes_per_minute(variable)?)
        .telling(Arc::new(stack.queue), sleeper);
    Ok(Entry::new().http(async move |request| metrics.handle(&request).await))
}
