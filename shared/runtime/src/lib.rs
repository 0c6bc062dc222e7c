//! What every process of Tidewatch is made of: the system's clock, randomness and sleep, logs, and the loop that turns
//! queue messages into calls of a handler.
//!
//! Handlers are the same in every process; only what feeds them differs.

pub mod aws;
pub mod environment;
pub mod logs;
pub mod messages;
pub mod system;

pub use messages::{Deadline, HandlerError, MessageHandler};
