//! Message queues as ports, with the semantics of an SQS standard queue: at least once, in any order.
//!
//! A received message is invisible for its visibility time and comes again after it, unless it is acknowledged; rarely
//! it comes sooner. After [`MAX_RECEIVES`] receives that were not acknowledged it goes to the dead-letter queue of its
//! queue, when that is next received from. Times may be rounded up to whole seconds.
//! Sending and receiving are two ports because a Lambda function only sends: its event source mapping receives.

use std::time::Duration;

use async_trait::async_trait;

use crate::retry::{Retry, Retryable};

/// How often a message is received before it goes to the dead-letter queue: a last guard, not the retry policy.
pub const MAX_RECEIVES: u32 = 20;

/// The longest delay that a queue takes: 15 minutes. What is due later is a row, not a message.
pub const MAX_DELAY: Duration = Duration::from_secs(900);

/// The largest body: 256 KiB.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// The most messages that one call receives.
pub const MAX_BATCH: usize = 10;

/// A queue of Tidewatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QueueName {
    /// Ecosystems whose advisories are to be fetched and compiled: read by sync-advisories.
    Advisories,
    /// Tags that a registry says were pushed: read by resolve-images.
    Hints,
    /// Repositories to list: read by resolve-images.
    Listings,
    /// Images to scan before all others, because they were pushed just now: read by scan-image.
    Pushed,
    /// Images to match and judge again, from what is stored: read by rematch-images.
    Rematches,
    /// Organisations whose streams are to be rolled up without waiting for the timer: read by roll-up-streams.
    Rollups,
    /// Images to scan: read by scan-image.
    Scans,
}

impl QueueName {
    /// Every queue.
    pub const ALL: [Self; 7] = [
        Self::Advisories,
        Self::Hints,
        Self::Listings,
        Self::Pushed,
        Self::Rematches,
        Self::Rollups,
        Self::Scans,
    ];

    /// The name, as it ends in deployed queues and stands in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Advisories => "advisories",
            Self::Hints => "hints",
            Self::Listings => "listings",
            Self::Pushed => "pushed",
            Self::Rematches => "rematches",
            Self::Rollups => "rollups",
            Self::Scans => "scans",
        }
    }
}

impl std::fmt::Display for QueueName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// JSON text, at most 256 KiB.
    pub body: String,
    /// How long it stays invisible at first, at most [`MAX_DELAY`].
    pub delay: Duration,
}

impl OutgoingMessage {
    /// Checks what every queue asks of a message that is sent to `queue`: a body, not over [`MAX_BODY_BYTES`], and a
    /// delay not over [`MAX_DELAY`]. Else it is [`QueueError::Invalid`].
    pub fn check(&self, queue: QueueName) -> Result<(), QueueError> {
        let invalid = |reason: String| Err(QueueError::Invalid { queue, reason });
        if self.body.is_empty() {
            return invalid("an empty body".to_owned());
        }
        if self.body.len() > MAX_BODY_BYTES {
            return invalid(format!("a body of {} bytes, over {MAX_BODY_BYTES}", self.body.len()));
        }
        if self.delay > MAX_DELAY {
            return invalid(format!("a delay of {:?}, over {MAX_DELAY:?}", self.delay));
        }
        Ok(())
    }
}

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Identifies the message over all its deliveries.
    pub message_id: String,
    /// Identifies this delivery, to acknowledge or release it.
    pub receipt: String,
    /// The body as it was sent.
    pub body: String,
    /// How often it has been received, with this time: 1 at first.
    pub receives: u32,
}

/// Sends messages.
#[async_trait]
pub trait QueueSender: Send + Sync {
    /// Sends all `messages`; when it returns they are durable. On an error any part of them may have been sent.
    async fn send(&self, queue: QueueName, messages: Vec<OutgoingMessage>) -> Result<(), QueueError>;
}

/// Receives messages: local mode's side of a queue, played by the event source mapping when deployed.
#[async_trait]
pub trait QueueReceiver: Send + Sync {
    /// Up to `most` messages that are visible now, at most [`MAX_BATCH`], which stay invisible for `visibility`, at most
    /// 12 hours. It does not wait, and may give fewer than there are: SQS asks a part of its servers only.
    async fn receive(
        &self,
        queue: QueueName,
        most: usize,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError>;

    /// Removes a received message. A stale receipt, whose message is gone or was delivered again since, is no error. In
    /// the latter case the message may be removed or not: whoever acknowledges has done the work.
    async fn acknowledge(&self, queue: QueueName, receipt: &str) -> Result<(), QueueError>;

    /// Makes a received message visible again after `delay`, at most 12 hours. A stale receipt is no error; it may make
    /// the message come again sooner or later than its receiver expects.
    async fn release(&self, queue: QueueName, receipt: &str, delay: Duration) -> Result<(), QueueError>;

    /// Messages in the dead-letter queue of `queue`, at most `most`, the older of them first; they stay there. It may
    /// give fewer than there are, like [`receive`](Self::receive), and others read none of them meanwhile. `receives`
    /// may count these readings too.
    async fn dead_letters(&self, queue: QueueName, most: usize) -> Result<Vec<Delivery>, QueueError>;
}

/// A queue did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue did not answer, or answered that it cannot now.
    #[error("failed to reach queue {queue}")]
    Unavailable {
        /// The queue.
        queue: QueueName,
        /// What the adapter says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The message is one that no queue takes.
    #[error("failed to send to queue {queue}: {reason}")]
    Invalid {
        /// The queue.
        queue: QueueName,
        /// What is wrong with the message.
        reason: String,
    },
}

impl Retryable for QueueError {
    fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { .. } => Retry::Again,
            Self::Invalid { .. } => Retry::Never,
        }
    }
}
