//! The domain of Tidewatch: what an image, a package, a finding, a rule, a policy, a stream and a metric are,
//! and the ports through which the rest of the world is reached.
//!
//! Nothing here does I/O, reads the environment or the clock, or knows a cloud: time, randomness, identifiers and
//! sleeping are arguments or ports, so every rule of the domain can be tested as a plain function.

pub mod base;
pub mod basis;
pub mod budget;
pub mod config;
pub mod cost;
pub mod digest;
pub mod environment;
pub mod event;
pub mod exception;
pub mod finding;
pub mod hook;
pub mod image;
pub mod judgement;
pub mod manifest;
pub mod metadata;
pub mod names;
pub mod package;
pub mod policy;
pub mod ports;
pub mod problem;
pub mod result;
pub mod retry;
pub mod rule;
pub mod severity;
pub mod stream;
pub mod tables;
pub mod token;
pub mod vex;
pub mod work;

pub use digest::Digest;
pub use retry::{Retry, Retryable};
pub use severity::Severity;

/// A point in time, in UTC. An alias, so that the time library is named once.
pub use jiff::Timestamp;

/// A day, in no time zone. An alias as well.
pub use jiff::civil::Date;
