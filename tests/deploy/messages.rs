//! A message that no function can read.

use std::time::Duration;

use anyhow::ensure;
use tidewatch_core::ports::queue::{OutgoingMessage, QueueName};
use tidewatch_core::ports::{QueueReceiver as _, QueueSender as _};
use tidewatch_tests::eventually;

use crate::deployment::Deployment;
use crate::{Outcome, PATIENCE};

pub(crate) async fn poisoned(deployment: &Deployment) -> Outcome {
    let queue = deployment.stores()?.queue;
    for name in QueueName::ALL {
        let body = format!("{{\"poisoned\": \"{name}\"}}");
        queue.send(name, vec![OutgoingMessage { body, delay: Duration::ZERO }]).await?;
    }
    for name in QueueName::ALL {
        let dead = eventually(PATIENCE, &format!("nothing is dead in {name}"), async || {
            let dead = queue.dead_letters(name, 10).await.map_err(|error| format!("{error:?}"))?;
            if dead.is_empty() { Err("none".to_owned()) } else { Ok(dead) }
        })
        .await?;
        ensure!(dead.len() == 1 && dead[0].body.contains(name.as_str()), "{name}: {dead:?}");
    }
    Ok(())
}
