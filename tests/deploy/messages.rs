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
    told_to_operators(deployment).await
}

/// The function is let see all queues and dead-letter queues, and so is the command.
async fn told_to_operators(deployment: &Deployment) -> Outcome {
    let authorization = format!("Bearer {}", deployment.operator("acme")?);
    let headers = [("authorization", authorization.as_str())];
    let own = deployment.request("GET", "/v1/exporter/org/acme/tidewatch", &headers, "").await?;
    ensure!(own.status == 200, "{own:?}");
    let status = deployment.json(&["status", "--org", "acme"])?;
    for name in QueueName::ALL {
        let up = format!("tidewatch_queue_up{{queue=\"{name}\"}} 1\n");
        let dead = format!("tidewatch_queue_messages{{queue=\"{name}\",state=\"dead_letter\"}} 1\n");
        ensure!(own.body.contains(&up) && own.body.contains(&dead), "{name}: {}", own.body);
        ensure!(status["queues"][name.as_str()]["dead_letters"] == 1, "{name}: {status}");
    }
    Ok(())
}
