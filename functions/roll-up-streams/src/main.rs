//! The deployed function `roll-up-streams`: all organisations at each event of its schedule, one at each message of the
//! queue `rollups`.

use std::process::ExitCode;
use std::sync::Arc;

use tidewatch_core::ports::queue::QueueName;
use tidewatch_roll_up_streams::{EVENT_BUS_VARIABLE, Freshness, RollUpStreams};
use tidewatch_runtime::aws::lambda_config;
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::lambda::{self, Entry, Queues};
use tidewatch_runtime::system::{SystemClock, SystemSleeper};
use tidewatch_store::{Deployed, EventBridge, Places};

// One thread: it mostly waits for answers, and what it computes in between is short.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    lambda::run(entry).await
}

async fn entry() -> anyhow::Result<Entry> {
    let places = Places::from_environment(&variable)?;
    let config = lambda_config(variable)?;
    let stack = Deployed::open(&config, places, Arc::new(SystemSleeper))?;
    let roll_up = RollUpStreams::new(stack.records, Arc::new(SystemClock));
    let mut roll_up = roll_up.fresh(Freshness::from_environment(variable)?);
    if let Some(bus) = variable(EVENT_BUS_VARIABLE).filter(|bus| !bus.is_empty()) {
        roll_up = roll_up.announcing(Arc::new(EventBridge::new(&config, bus)));
    }
    let queue = Arc::new(stack.queue);
    let queues = Queues::new(queue.clone(), move |arn| queue.named_by(arn))
        .handle(QueueName::Rollups, roll_up.clone());
    Ok(Entry::new().schedule(async move || roll_up.tick().await).queues(queues))
}
