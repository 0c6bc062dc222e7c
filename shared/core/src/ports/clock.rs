//! Time as a port, so that tests decide what time it is.

use std::time::Duration;

use async_trait::async_trait;

use crate::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The time now, in UTC.
    fn now(&self) -> Timestamp;
}

/// Waits.
#[async_trait]
pub trait Sleeper: Send + Sync {
    /// Waits for `duration`, which a test may let pass at once.
    async fn sleep(&self, duration: Duration);
}
