//! The deployed function `read-results`: requests for results.

use std::process::ExitCode;
use std::sync::Arc;

use tidewatch_read_results::ReadResults;
use tidewatch_runtime::aws::lambda_config;
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::lambda::{self, Entry};
use tidewatch_runtime::system::{SystemClock, SystemSleeper};
use tidewatch_store::{Deployed, Places};

// One thread: it answers one request at a time, and waits for others.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    lambda::run(entry).await
}

async fn entry() -> anyhow::Result<Entry> {
    let places = Places::from_environment(&variable)?;
    let stack = Deployed::open(&lambda_config(variable)?, places, Arc::new(SystemSleeper))?;
    let results = ReadResults::new(stack.records, Arc::new(SystemClock));
    Ok(Entry::new().http(async move |request| results.handle(&request).await))
}
