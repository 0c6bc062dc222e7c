//! The deployed function `sync-advisories`: sends for every ecosystem at each event of its schedule, and fetches one at
//! each message of the queue `advisories`.

use std::process::ExitCode;
use std::sync::Arc;

use tidewatch_core::ports::queue::QueueName;
use tidewatch_runtime::aws::lambda_config;
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::lambda::{self, Entry, Queues};
use tidewatch_runtime::system::{SystemClock, SystemSleeper};
use tidewatch_store::{Deployed, Places};
use tidewatch_sync_advisories::{Settings, SyncAdvisories};

// Several threads: an archive is written and compiled while the connection is kept.
#[tokio::main]
async fn main() -> ExitCode {
    lambda::run(entry).await
}

async fn entry() -> anyhow::Result<Entry> {
    let places = Places::from_environment(&variable)?;
    let aws = lambda_config(variable)?;
    let stack = Deployed::open(&aws, places, Arc::new(SystemSleeper))?;
    let queue = Arc::new(stack.queue);
    let settings = Settings::from_environment(lambda::scratch_folder("archives")?, &variable)?;
    let sync = SyncAdvisories::new(stack.records, queue.clone(), Arc::new(SystemClock), settings, Some(aws))?;
    let queues = Queues::new(queue.clone(), move |arn| queue.named_by(arn))
        .handle(QueueName::Advisories, sync.clone());
    Ok(Entry::new().schedule(async move || sync.tick().await).queues(queues))
}
