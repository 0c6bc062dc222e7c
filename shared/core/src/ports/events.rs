//! The port through which events leave.

use async_trait::async_trait;

use crate::event::AffectedEvent;
use crate::retry::{Retry, Retryable};

/// Takes events, for whoever listens. It may tell an event twice, as every bus may: the `id` of an event says so.
#[async_trait]
pub trait EventBus: Send + Sync {
    /// Gives `events` to the bus, and says of each, in their order, whether it was taken.
    async fn put(&self, events: &[AffectedEvent]) -> Vec<Result<(), EventBusError>>;
}

/// An event was not taken.
#[derive(Debug, thiserror::Error)]
pub enum EventBusError {
    /// The bus did not answer, or answered that it cannot now.
    #[error("failed to reach the event bus")]
    Unavailable {
        /// What the adapter says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The bus will never take this event.
    #[error("failed to put the event: {reason}")]
    Refused {
        /// What is wrong with it.
        reason: String,
    },
}

impl Retryable for EventBusError {
    fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { .. } => Retry::Again,
            Self::Refused { .. } => Retry::Never,
        }
    }
}
