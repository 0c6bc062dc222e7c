//! The deployed function `receive-webhook`: calls of registries that something was pushed.

use std::process::ExitCode;
use std::sync::Arc;

use tidewatch_receive_webhook::ReceiveWebhook;
use tidewatch_runtime::aws::lambda_config;
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::lambda::{self, Entry};
use tidewatch_runtime::system::{SystemClock, SystemSleeper};
use tidewatch_store::{Deployed, Places};

// One thread: it answers one call at a time, and only waits for the table and the queue.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    lambda::run(entry).await
}

async fn entry() -> anyhow::Result<Entry> {
    let places = Places::from_environment(&variable)?;
    let stack = Deployed::open(&lambda_config(variable)?, places, Arc::new(SystemSleeper))?;
    let hooks = ReceiveWebhook::new(stack.records, Arc::new(stack.queue), Arc::new(SystemClock));
    Ok(Entry::new().http(async move |request| hooks.handle(&request).await))
}
