//! Scrapes, as API Gateway hands them over.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod formats;
mod limits;
mod queues;
mod scrapes;
mod world;
