//! Real advisories: a snapshot of OSV's archives is compiled once, and compared with the records themselves, read here
//! without the crate's own reader, and with recorded answers of the OSV service.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a broken set-up ends a test, and a skipped one says so"
)]

mod answers;
mod comparison;
mod data;
mod families;
mod whole;
