//! How much is in a queue, as a port beside those that send and receive: who asks needs neither, and changes nothing.

use async_trait::async_trait;

use super::queue::{QueueError, QueueName};

/// How much is in a queue and in its dead-letter queue. A message counts once.
///
/// SQS calls its numbers approximate: they follow within about a minute, and may be asked of a part of its servers only.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-resources-required-process-messages.html>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Messages that can be received now.
    pub visible: u64,
    /// Messages that were received and are invisible: somebody is at work on them, or has released them for later.
    pub in_flight: u64,
    /// Messages that were sent with a delay that has not passed, and that nobody has received yet.
    pub delayed: u64,
    /// Messages that were received too often.
    pub dead_letters: u64,
    /// For how many seconds the visible message that has waited longest is visible; 0 when none is. `None` where the
    /// queue does not say. It is no age: each receive that was not acknowledged begins it anew.
    pub longest_wait_seconds: Option<u64>,
}

impl QueueDepth {
    /// Messages of the queue itself, whatever becomes of them next; without dead letters.
    pub const fn messages(&self) -> u64 {
        self.visible.saturating_add(self.in_flight).saturating_add(self.delayed)
    }
}

/// Says how much is in queues.
#[async_trait]
pub trait QueueDepths: Send + Sync {
    /// How much is in `queue` now. All of it is known, or it is an error: a part that cannot be asked is not 0. It counts
    /// as no receive of any message.
    async fn depth(&self, queue: QueueName) -> Result<QueueDepth, QueueError>;
}
