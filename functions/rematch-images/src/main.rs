//! The deployed function `rematch-images`: the queue `rematches`.

use std::process::ExitCode;
use std::sync::Arc;

use tidewatch_assessment::AdvisoryIndexes;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_rematch_images::{RematchImages, RematchPorts, RematchSettings};
use tidewatch_runtime::aws::lambda_config;
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::lambda::{self, Entry, Queues};
use tidewatch_runtime::system::{SystemClock, SystemSleeper};
use tidewatch_store::{Deployed, Places};

// Several threads: images are matched while the inventories of others arrive.
#[tokio::main]
async fn main() -> ExitCode {
    lambda::run(entry).await
}

async fn entry() -> anyhow::Result<Entry> {
    let places = Places::from_environment(&variable)?;
    let stack = Deployed::open(&lambda_config(variable)?, places, Arc::new(SystemSleeper))?;
    let (records, queue) = (stack.records, Arc::new(stack.queue));
    let advisories = Arc::new(AdvisoryIndexes::new(lambda::scratch_folder("advisories")?));
    let ports = RematchPorts { records, queue: queue.clone(), advisories, clock: Arc::new(SystemClock) };
    let rematch = RematchImages::new(ports, RematchSettings::default());
    let queues =
        Queues::new(queue.clone(), move |arn| queue.named_by(arn)).handle(QueueName::Rematches, rematch);
    Ok(Entry::new().queues(queues))
}
