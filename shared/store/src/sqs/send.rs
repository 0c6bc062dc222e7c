//! Sending to SQS: in batches, which are taken in part too.

use futures::{StreamExt as _, TryStreamExt as _};
use std::time::Duration;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use tidewatch_core::ports::queue::{MAX_BATCH, OutgoingMessage, QueueError, QueueName};

use super::failure::{from_entry, from_sdk};
use super::{SqsQueue, seconds};

/// The most that the bodies of one batch have together: 1 MiB.
///
/// Limits: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// How many batches are under way at a time.
const CONCURRENT_BATCHES: usize = 4;

/// How often the messages of a batch that were not taken are sent in all, and the first pause, which doubles. The SDK
/// tries a request again, but not what an answered request left out.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Some messages of a batch were not taken.
#[derive(Debug, thiserror::Error)]
#[error("{count} of the messages were not taken, the first because of {code}")]
struct NotTaken {
    count: usize,
    code: String,
}

impl SqsQueue {
    /// Sends `messages`, which were checked, in as few batches as they fit in.
    pub(super) async fn send_batches(
        &self,
        queue: QueueName,
        messages: Vec<OutgoingMessage>,
    ) -> Result<(), QueueError> {
        let batches = futures::stream::iter(batches(messages)).map(Ok);
        batches.try_for_each_concurrent(CONCURRENT_BATCHES, |batch| self.send_batch(queue, batch)).await
    }

    /// Sends one batch, and what was not taken of it again.
    async fn send_batch(&self, queue: QueueName, mut batch: Vec<OutgoingMessage>) -> Result<(), QueueError> {
        let mut pause = FIRST_PAUSE;
        for tried in 1.. {
            let Some(not_taken) = self.send_once(queue, &mut batch).await? else { break };
            if tried == TRIES {
                return Err(QueueError::Unavailable { queue, source: Box::new(not_taken) });
            }
            self.sleeper.sleep(pause).await;
            pause *= 2;
        }
        Ok(())
    }

    /// Sends `batch` once, and leaves in it what was not taken, of which it says the count and the first reason.
    async fn send_once(
        &self,
        queue: QueueName,
        batch: &mut Vec<OutgoingMessage>,
    ) -> Result<Option<NotTaken>, QueueError> {
        let request = self.client.send_message_batch().queue_url(self.url(queue)?);
        let answer = request.set_entries(Some(entries(queue, batch)?)).send().await;
        let answer = answer.map_err(|error| from_sdk(queue, error))?;
        if let Some(refused) = answer.failed().iter().find_map(|entry| from_entry(queue, entry)) {
            return Err(refused);
        }
        let mut position = 0;
        batch.retain(|_| {
            let id = position.to_string();
            position += 1;
            // What the answer does not speak of was not taken as far as we know.
            !answer.successful().iter().any(|entry| entry.id() == id)
        });
        let code = answer.failed().first().map_or("no reason", |entry| entry.code());
        Ok((!batch.is_empty()).then(|| NotTaken { count: batch.len(), code: code.to_owned() }))
    }
}

/// The messages of a batch as SQS takes them, named by their positions.
fn entries(
    queue: QueueName,
    batch: &[OutgoingMessage],
) -> Result<Vec<SendMessageBatchRequestEntry>, QueueError> {
    let entry = |(position, message): (usize, &OutgoingMessage)| {
        SendMessageBatchRequestEntry::builder()
            .id(position.to_string())
            .message_body(&message.body)
            .delay_seconds(seconds(message.delay))
            .build()
            .map_err(|error| QueueError::Invalid { queue, reason: error.to_string() })
    };
    batch.iter().enumerate().map(entry).collect()
}

/// `messages` in their order, in groups that SQS takes at once.
fn batches(messages: Vec<OutgoingMessage>) -> Vec<Vec<OutgoingMessage>> {
    let mut batches: Vec<Vec<OutgoingMessage>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        bytes += message.body.len();
        match batches.last_mut() {
            Some(batch) if batch.len() < MAX_BATCH && bytes <= MAX_BATCH_BYTES => batch.push(message),
            _ => {
                bytes = message.body.len();
                batches.push(vec![message]);
            }
        }
    }
    batches
}
