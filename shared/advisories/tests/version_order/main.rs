//! The orders of versions against published tables of comparisons, against the tools that define them, and against the
//! laws of a total order.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a broken set-up ends a test, and a skipped one says so"
)]

mod laws;
mod oracles;
mod strategies;
mod tables;
mod tools;
mod versions;
