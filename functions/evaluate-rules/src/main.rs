//! The deployed function `evaluate-rules`: a tick at each event of its schedule.

use std::process::ExitCode;
use std::sync::Arc;

use tidewatch_evaluate_rules::EvaluateRules;
use tidewatch_runtime::aws::lambda_config;
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::lambda::{self, Entry};
use tidewatch_runtime::system::{SystemClock, SystemSleeper};
use tidewatch_store::{Deployed, Places};

// One thread: it takes one event at a time, and only waits for answers.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    lambda::run(entry).await
}

async fn entry() -> anyhow::Result<Entry> {
    let places = Places::from_environment(&variable)?;
    let stack = Deployed::open(&lambda_config(variable)?, places, Arc::new(SystemSleeper))?;
    let queue = Arc::new(stack.queue);
    let evaluate = EvaluateRules::new(stack.records, Arc::clone(&queue) as _, Arc::new(SystemClock));
    let evaluate = evaluate.paced_by(queue);
    Ok(Entry::new().schedule(async move || evaluate.tick().await))
}
