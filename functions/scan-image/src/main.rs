//! The deployed function `scan-image`: the queues `pushed` and `scans`.

use std::{process::ExitCode, sync::Arc};

use tidewatch_assessment::AdvisoryIndexes;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_registries::{ConfiguredRegistries, Ports, SecretsManager};
use tidewatch_runtime::aws::lambda_config;
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::lambda::{self, Entry, Queues};
use tidewatch_runtime::system::{SystemClock, SystemIds, SystemRandomness, SystemSleeper};
use tidewatch_scan_image::{ScanImage, ScanPorts, ScanSettings};
use tidewatch_store::{Deployed, Places};

// Several threads: layers are pulled while others are inflated and read.
#[tokio::main]
async fn main() -> ExitCode {
    lambda::run(entry).await
}

async fn entry() -> anyhow::Result<Entry> {
    let (clock, sleeper) = (Arc::new(SystemClock), Arc::new(SystemSleeper));
    let config = lambda_config(variable)?;
    let stack = Deployed::open(&config, Places::from_environment(&variable)?, sleeper.clone())?;
    let (records, queue) = (stack.records, Arc::new(stack.queue));
    let advisories = Arc::new(AdvisoryIndexes::new(lambda::scratch_folder("advisories")?));
    let randomness = Arc::new(SystemRandomness);
    let ports = Ports { clock: clock.clone(), sleeper: sleeper.clone(), randomness };
    let secrets = Arc::new(SecretsManager::new(&config, clock.clone()));
    let registries = ConfiguredRegistries::new(secrets, ports).within(Arc::new(records.clone()));
    let registries = Arc::new(registries.with_aws(Arc::new(config)));
    let ids = Arc::new(SystemIds::default());
    let ports = ScanPorts { records, registries, queue: queue.clone(), advisories, clock, sleeper, ids };
    let scan = ScanImage::new(ports, ScanSettings::from_environment(variable)?);
    let queues = Queues::new(queue.clone(), move |arn| queue.named_by(arn))
        .handle(QueueName::Pushed, scan.clone())
        .handle(QueueName::Scans, scan);
    Ok(Entry::new().queues(queues))
}
