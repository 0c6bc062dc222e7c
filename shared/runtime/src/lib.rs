//! What every process of Tidewatch is made of: the system's clock, randomness and sleep, logs, what turns queue messages
//! into calls of a handler, how much is in the queues, what is read of HTTP requests, and the entry of deployed functions.
//!
//! Handlers are the same in every process; only what feeds them differs.

pub mod aws;
pub mod environment;
pub mod http;
pub mod lambda;
pub mod logs;
pub mod messages;
pub mod queue_depths;
pub mod system;

pub use messages::{Deadline, HandlerError, MessageHandler};
