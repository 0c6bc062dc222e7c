//! How much is in queues of SQS, by their attributes. There is none for how long a message waits.
//!
//! Attributes: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_sqs::types::QueueAttributeName;
use tidewatch_core::ports::QueueDepths;
use tidewatch_core::ports::queue::{QueueError, QueueName};
use tidewatch_core::ports::queue_depths::QueueDepth;

use super::SqsQueue;
use super::failure::from_sdk;

/// The attributes that count messages.
const VISIBLE: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessages;
const IN_FLIGHT: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
const DELAYED: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessagesDelayed;

/// The stack gives this process no URL of the dead-letter queue of this queue.
#[derive(Debug, thiserror::Error)]
#[error("the process was given no URL of the dead-letter queue of {0}")]
struct UnknownDeadLetterQueue(QueueName);

/// SQS left out an attribute that was asked for, or gave one that is no number.
#[derive(Debug, thiserror::Error)]
#[error("SQS gave no {0}")]
struct MissingCount(QueueAttributeName);

/// What one queue of SQS says of itself.
struct Counts {
    visible: u64,
    in_flight: u64,
    delayed: u64,
}

#[async_trait]
impl QueueDepths for SqsQueue {
    async fn depth(&self, queue: QueueName) -> Result<QueueDepth, QueueError> {
        let unknown = || QueueError::Unavailable { queue, source: Box::new(UnknownDeadLetterQueue(queue)) };
        let (live, dead) = (self.url(queue)?, self.dead.get(&queue).ok_or_else(unknown)?);
        let asked = futures::future::try_join(self.counts(queue, live), self.counts(queue, dead));
        let (live, dead) = asked.await?;
        Ok(QueueDepth {
            visible: live.visible,
            in_flight: live.in_flight,
            delayed: live.delayed,
            // Whoever looks at a dead letter hides it for a moment.
            dead_letters: dead.visible.saturating_add(dead.in_flight).saturating_add(dead.delayed),
            longest_wait_seconds: None,
        })
    }
}

impl SqsQueue {
    /// Asks the queue of SQS at `url`, which is `queue` or its dead-letter queue.
    async fn counts(&self, queue: QueueName, url: &str) -> Result<Counts, QueueError> {
        let request = [VISIBLE, IN_FLIGHT, DELAYED]
            .into_iter()
            .fold(self.client.get_queue_attributes().queue_url(url), |request, name| {
                request.attribute_names(name)
            });
        let answer = request.send().await.map_err(|error| from_sdk(queue, error))?;
        let attributes = answer.attributes.unwrap_or_default();
        Ok(Counts {
            visible: count(queue, &attributes, VISIBLE)?,
            in_flight: count(queue, &attributes, IN_FLIGHT)?,
            delayed: count(queue, &attributes, DELAYED)?,
        })
    }
}

/// The number in an attribute.
fn count(
    queue: QueueName,
    attributes: &HashMap<QueueAttributeName, String>,
    name: QueueAttributeName,
) -> Result<u64, QueueError> {
    let number = attributes.get(&name).and_then(|text| text.parse().ok());
    number.ok_or_else(|| QueueError::Unavailable { queue, source: Box::new(MissingCount(name)) })
}
