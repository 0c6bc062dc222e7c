//! Evaluating rules on a table in memory.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod depth;
mod ends;
mod law_of_windows;
mod rules;
mod windows;
mod world;
