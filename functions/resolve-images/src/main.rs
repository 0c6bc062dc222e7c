//! The deployed function `resolve-images`: the queues `listings` and `hints`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tidewatch_core::ports::queue::QueueName;
use tidewatch_registries::{ConfiguredRegistries, Ports, SecretsManager};
use tidewatch_resolve_images::{ResolveHints, ResolveImages};
use tidewatch_runtime::aws::lambda_config;
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::lambda::{self, Entry, Queues};
use tidewatch_runtime::system::{SystemClock, SystemRandomness, SystemSleeper};
use tidewatch_store::{Deployed, Places};

const RETRY_PAUSE: Duration = Duration::from_secs(30);

// One thread: it waits for registries and the table, and reads only manifests in between.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    lambda::run(entry).await
}

async fn entry() -> anyhow::Result<Entry> {
    let (clock, sleeper) = (Arc::new(SystemClock), Arc::new(SystemSleeper));
    let config = lambda_config(variable)?;
    let stack = Deployed::open(&config, Places::from_environment(&variable)?, sleeper.clone())?;
    let queue = Arc::new(stack.queue);
    let ports = Ports { clock: clock.clone(), sleeper, randomness: Arc::new(SystemRandomness) };
    let secrets = Arc::new(SecretsManager::new(&config, clock.clone()));
    let budgets = Arc::new(stack.records.clone());
    let registries = ConfiguredRegistries::new(secrets, ports).within(budgets);
    let registries = Arc::new(registries.with_aws(Arc::new(config)));
    let images = ResolveImages::new(stack.records, registries, queue.clone(), clock, RETRY_PAUSE);
    let queues = Queues::new(queue.clone(), move |arn| queue.named_by(arn))
        .handle(QueueName::Listings, images.clone())
        .handle(QueueName::Hints, ResolveHints::new(images));
    Ok(Entry::new().queues(queues))
}
