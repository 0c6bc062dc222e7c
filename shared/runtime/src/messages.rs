//! From queue messages to handlers: every message is handled by itself, one that fails does not hold up the others,
//! and what cannot even be read goes back to its queue, whose dead-letter queue keeps it for people.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tidewatch_core::ports::QueueSender;
use tidewatch_core::ports::queue::{Delivery, QueueError, QueueName};
use tidewatch_core::{Retry, Retryable};

/// The longest pause before a failed message is delivered again.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Why a message could not be handled, with what is worth trying again.
#[derive(Debug, thiserror::Error)]
#[error("failed to handle the message")]
pub struct HandlerError {
    retry: Retry,
    source: Box<dyn Error + Send + Sync>,
}

impl HandlerError {
    /// The failure of a handler, by the error that made it fail.
    pub fn new<E: Retryable + Error + Send + Sync + 'static>(error: E) -> Self {
        Self { retry: error.retry(), source: Box::new(error) }
    }
}

impl Retryable for HandlerError {
    fn retry(&self) -> Retry {
        self.retry
    }
}

/// When a handler must have ended: a function that is still at work then is killed. Local mode has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Timestamp>);

impl Deadline {
    /// No end.
    pub const NONE: Self = Self(None);

    /// It must have ended at `end`.
    pub const fn at(end: Timestamp) -> Self {
        Self(Some(end))
    }

    /// How long there is still to work at `now`, when `margin` is kept to tidy up: zero when that has begun, without an
    /// end [`Duration::MAX`].
    pub fn remaining(self, now: Timestamp, margin: Duration) -> Duration {
        let Some(end) = self.0 else { return Duration::MAX };
        Duration::try_from(end.duration_since(now)).unwrap_or_default().saturating_sub(margin)
    }
}

/// Handles the messages of one queue. Handling the same message twice must do no harm.
#[async_trait]
pub trait MessageHandler: Send + Sync {
    /// What the messages say.
    type Message: DeserializeOwned + Send;

    /// Handles one message, before `deadline`. When it returns without an error, all that the message asked for is
    /// recorded, or stands in a row or another message.
    async fn handle(&self, message: Self::Message, deadline: Deadline) -> Result<(), HandlerError>;
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It is done with: acknowledge it.
    Done,
    /// It must be delivered again.
    Again,
}

/// Hands one delivered message to `handler`, and logs a failure: the one place where that is done.
pub async fn handle<H: MessageHandler>(
    handler: &H,
    queue: QueueName,
    delivery: &Delivery,
    deadline: Deadline,
) -> Handled {
    let message = match serde_json::from_str::<H::Message>(&delivery.body) {
        Ok(message) => message,
        Err(error) => {
            tracing::error!(
                queue.name = %queue, message.id = %delivery.message_id, message.receives = delivery.receives,
                error = %error, "message cannot be read"
            );
            return Handled::Again;
        }
    };
    match handler.handle(message, deadline).await {
        Ok(()) => Handled::Done,
        Err(error) => {
            let again = error.retry() == Retry::Again;
            tracing::warn!(
                queue.name = %queue, message.id = %delivery.message_id, message.receives = delivery.receives,
                retry = again, error = %describe(&error), "message failed"
            );
            if again { Handled::Again } else { Handled::Done }
        }
    }
}

/// The text of an error with all its causes.
pub fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // Wrappers that only repeat what they wrap add nothing.
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

/// The pause before a message that failed `receives` times is delivered again: a second, doubling, up to five minutes.
pub fn pause(receives: u32) -> Duration {
    Duration::from_secs(1_u64 << receives.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
}

/// Sends `messages` as JSON.
pub async fn send<M: serde::Serialize + Sync>(
    sender: &dyn QueueSender,
    queue: QueueName,
    messages: &[M],
    delay: Duration,
) -> Result<(), QueueError> {
    let body = |message: &M| {
        serde_json::to_string(message)
            .map_err(|error| QueueError::Invalid { queue, reason: error.to_string() })
    };
    let outgoing = messages
        .iter()
        .map(|message| Ok(tidewatch_core::ports::queue::OutgoingMessage { body: body(message)?, delay }))
        .collect::<Result<Vec<_>, QueueError>>()?;
    if outgoing.is_empty() { Ok(()) } else { sender.send(queue, outgoing).await }
}
