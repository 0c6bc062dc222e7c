//! Reading a dead-letter queue of SQS without emptying it.

use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use serde::Deserialize;
use tidewatch_core::ports::queue::{Delivery, MAX_BATCH, QueueError, QueueName};

use super::failure::from_sdk;
use super::{Received, SqsQueue, account_and_name};

/// How long the messages that were read so far stay invisible, so that the next call gives others.
const HELD: Duration = Duration::from_secs(30);

/// The attribute `RedrivePolicy` of a queue.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedrivePolicy {
    dead_letter_target_arn: String,
}

/// The dead-letter queue of a queue cannot be found.
#[derive(Debug, thiserror::Error)]
#[error("failed to find its dead-letter queue: {0}")]
struct NoDeadLetterQueue(String);

impl SqsQueue {
    /// Receives up to `most` dead letters of `queue`, and gives them back at once.
    pub(super) async fn read_dead_letters(
        &self,
        queue: QueueName,
        most: usize,
    ) -> Result<Vec<Delivery>, QueueError> {
        let url = self.dead_letter_url(queue).await?;
        let mut letters = Vec::new();
        let mut outcome = Ok(());
        while letters.len() < most {
            let wanted = (most - letters.len()).min(MAX_BATCH);
            match self.receive_from(queue, &url, wanted, HELD).await {
                Ok(received) if received.is_empty() => break,
                Ok(received) => letters.extend(received),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        // Also after a failure, so that nobody has to wait for what was read before it.
        for Received { delivery, .. } in &letters {
            self.release_in(queue, &url, &delivery.receipt, Duration::ZERO).await?;
        }
        outcome?;
        letters.sort_by_key(|letter| letter.sent_at);
        Ok(letters.into_iter().map(|letter| letter.delivery).collect())
    }

    /// The URL of the queue that the dead letters of `queue` go to.
    async fn dead_letter_url(&self, queue: QueueName) -> Result<String, QueueError> {
        let unfound =
            |reason: String| QueueError::Unavailable { queue, source: Box::new(NoDeadLetterQueue(reason)) };
        let request = self.client.get_queue_attributes().queue_url(self.url(queue)?);
        let answer = request.attribute_names(QueueAttributeName::RedrivePolicy).send().await;
        let mut attributes = answer.map_err(|error| from_sdk(queue, error))?.attributes.unwrap_or_default();
        let policy = attributes.remove(&QueueAttributeName::RedrivePolicy);
        let policy = policy.ok_or_else(|| unfound("it has none".to_owned()))?;
        let policy: RedrivePolicy =
            serde_json::from_str(&policy).map_err(|error| unfound(error.to_string()))?;
        let arn = policy.dead_letter_target_arn;
        let (account, name) =
            account_and_name(&arn).ok_or_else(|| unfound(format!("{arn:?} is no queue")))?;
        let request = self.client.get_queue_url().queue_name(name).queue_owner_aws_account_id(account);
        let answer = request.send().await.map_err(|error| from_sdk(queue, error))?;
        answer.queue_url.ok_or_else(|| unfound(format!("{arn} has no URL")))
    }
}
