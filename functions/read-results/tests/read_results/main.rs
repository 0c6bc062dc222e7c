//! Reading results: what the library gives, and what the HTTP routes answer.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod description;
mod explanations;
mod images;
mod places;
mod policies;
mod requests;
mod scans;
mod world;
