//! The queue ports on SQS standard queues. Deployed functions only send; the event source mapping receives for them.
//! The receiving side is for the command, and for tests.
//!
//! Reference: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/Welcome.html>

mod dead_letters;
mod depth;
mod failure;
mod send;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use aws_types::SdkConfig;
use tidewatch_core::ports::Sleeper;
use tidewatch_core::ports::queue::{
    Delivery, MAX_BATCH, OutgoingMessage, QueueError, QueueName, QueueReceiver, QueueSender,
};

use failure::{from_sdk, is_stale};

/// The longest time that SQS keeps a message invisible: 12 hours.
const MAX_VISIBILITY: Duration = Duration::from_secs(12 * 3600);

/// The queues of a stack. Cloning it shares the client.
#[derive(Clone)]
pub struct SqsQueue {
    client: Client,
    urls: Arc<BTreeMap<QueueName, String>>,
    /// Those of the dead-letter queues, by the queues whose they are.
    dead: Arc<BTreeMap<QueueName, String>>,
    sleeper: Arc<dyn Sleeper>,
}

impl std::fmt::Debug for SqsQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqsQueue").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// The stack gives this process no such queue: its template does not let it use it.
#[derive(Debug, thiserror::Error)]
#[error("the process was given no URL of the queue {0}")]
struct UnknownQueue(QueueName);

impl SqsQueue {
    /// The queues at `urls`, with the region, credentials and endpoint of `config`. `sleeper` waits before messages
    /// that SQS could not take are sent again. A queue without a URL is [`QueueError::Unavailable`].
    pub fn new(config: &SdkConfig, urls: BTreeMap<QueueName, String>, sleeper: Arc<dyn Sleeper>) -> Self {
        Self { client: Client::new(config), urls: Arc::new(urls), dead: Arc::default(), sleeper }
    }

    /// The same, with the URLs of the dead-letter queues of these queues, which
    /// [`QueueDepths`](tidewatch_core::ports::QueueDepths) asks.
    #[must_use]
    pub fn with_dead_letter_queues(mut self, urls: BTreeMap<QueueName, String>) -> Self {
        self.dead = Arc::new(urls);
        self
    }

    /// The queue whose ARN is `arn`, `arn:aws:sqs:REGION:ACCOUNT:NAME`, as events name their source; `None` when it is
    /// none of these.
    ///
    /// An ARN does not say the host of the URL; account and name tell queues apart, as a process has those of one
    /// region only.
    pub fn named_by(&self, arn: &str) -> Option<QueueName> {
        let (account, name) = account_and_name(arn)?;
        let is_named = |url: &str| {
            let mut parts = url.rsplit('/');
            parts.next() == Some(name) && parts.next() == Some(account)
        };
        self.urls.iter().find(|(_, url)| is_named(url)).map(|(queue, _)| *queue)
    }

    fn url(&self, queue: QueueName) -> Result<&str, QueueError> {
        let unknown = || QueueError::Unavailable { queue, source: Box::new(UnknownQueue(queue)) };
        self.urls.get(&queue).map(String::as_str).ok_or_else(unknown)
    }

    /// Up to `most` messages of the queue at `url`, with when they were sent in milliseconds.
    async fn receive_from(
        &self,
        queue: QueueName,
        url: &str,
        most: usize,
        visibility: Duration,
    ) -> Result<Vec<Received>, QueueError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(i32::try_from(most.min(MAX_BATCH)).unwrap_or(i32::MAX))
            .visibility_timeout(seconds(visibility))
            // It does not wait, also where the queue is configured to.
            .wait_time_seconds(0)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .send()
            .await
            .map_err(|error| from_sdk(queue, error))?;
        answer.messages.unwrap_or_default().into_iter().map(|message| received(queue, message)).collect()
    }

    /// Makes the message of `receipt` in the queue at `url` visible after `delay`; a stale receipt is no error.
    async fn release_in(
        &self,
        queue: QueueName,
        url: &str,
        receipt: &str,
        delay: Duration,
    ) -> Result<(), QueueError> {
        let request = self
            .client
            .change_message_visibility()
            .queue_url(url)
            .receipt_handle(receipt)
            .visibility_timeout(seconds(delay));
        match request.send().await {
            Err(error) if !is_stale(&error) => Err(from_sdk(queue, error)),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl QueueSender for SqsQueue {
    async fn send(&self, queue: QueueName, messages: Vec<OutgoingMessage>) -> Result<(), QueueError> {
        messages.iter().try_for_each(|message| message.check(queue))?;
        self.send_batches(queue, messages).await
    }
}

#[async_trait]
impl QueueReceiver for SqsQueue {
    async fn receive(
        &self,
        queue: QueueName,
        most: usize,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let received = self.receive_from(queue, self.url(queue)?, most, visibility).await?;
        Ok(received.into_iter().map(|received| received.delivery).collect())
    }

    async fn acknowledge(&self, queue: QueueName, receipt: &str) -> Result<(), QueueError> {
        let request = self.client.delete_message().queue_url(self.url(queue)?).receipt_handle(receipt);
        match request.send().await {
            Err(error) if !is_stale(&error) => Err(from_sdk(queue, error)),
            _ => Ok(()),
        }
    }

    async fn release(&self, queue: QueueName, receipt: &str, delay: Duration) -> Result<(), QueueError> {
        self.release_in(queue, self.url(queue)?, receipt, delay).await
    }

    async fn dead_letters(&self, queue: QueueName, most: usize) -> Result<Vec<Delivery>, QueueError> {
        self.read_dead_letters(queue, most).await
    }
}

/// A message with when it was sent, in milliseconds.
struct Received {
    delivery: Delivery,
    sent_at: u64,
}

/// A message of SQS as a delivery. What SQS always gives and does not here is a broken answer.
fn received(queue: QueueName, message: Message) -> Result<Received, QueueError> {
    let broken = |what| QueueError::Unavailable { queue, source: Box::new(BrokenMessage(what)) };
    let number = |name: MessageSystemAttributeName| {
        let text = message.attributes.as_ref().and_then(|attributes| attributes.get(&name));
        text.and_then(|text| text.parse::<u64>().ok())
    };
    let receives =
        number(MessageSystemAttributeName::ApproximateReceiveCount).ok_or_else(|| broken("receive count"))?;
    let sent_at =
        number(MessageSystemAttributeName::SentTimestamp).ok_or_else(|| broken("time of sending"))?;
    let delivery = Delivery {
        message_id: message.message_id.ok_or_else(|| broken("id"))?,
        receipt: message.receipt_handle.ok_or_else(|| broken("receipt"))?,
        body: message.body.ok_or_else(|| broken("body"))?,
        receives: u32::try_from(receives).unwrap_or(u32::MAX),
    };
    Ok(Received { delivery, sent_at })
}

/// SQS gave a message without something that every message has.
#[derive(Debug, thiserror::Error)]
#[error("SQS gave a message without its {0}")]
struct BrokenMessage(&'static str);

/// Account and name in the ARN of a queue; `None` when it is none.
fn account_and_name(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.splitn(6, ':');
    let (arn, _partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (_region, account, name) = (parts.next()?, parts.next()?, parts.next()?);
    (arn == "arn" && service == "sqs").then_some((account, name))
}

/// Whole seconds, as SQS counts, not earlier than `duration` and at most 12 hours.
fn seconds(duration: Duration) -> i32 {
    let whole = duration.min(MAX_VISIBILITY).as_millis().div_ceil(1000);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_gives_account_and_name_and_other_texts_give_nothing() {
        assert_eq!(
            account_and_name("arn:aws:sqs:eu-central-1:123456789012:tw-scans"),
            Some(("123456789012", "tw-scans"))
        );
        assert_eq!(account_and_name("arn:aws-cn:sqs:cn-north-1:1:q"), Some(("1", "q")));
        for other in ["", "tw-scans", "arn:aws:sns:eu-central-1:1:q", "arn:aws:sqs:eu-central-1:1"] {
            assert_eq!(account_and_name(other), None, "{other}");
        }
    }

    #[test]
    fn durations_become_seconds_that_are_not_shorter() {
        let millis = [0, 1, 1000, 1001].map(|millis| seconds(Duration::from_millis(millis)));
        assert_eq!(millis, [0, 1, 1, 2]);
        assert_eq!(seconds(Duration::MAX), 43_200);
    }
}
