//! Advisories are kept up to date: against a real HTTP server, with records in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken set-up ends a test")]

mod amazon_linux;
mod crashes;
mod faults;
mod feeds;
mod orders;
mod places;
mod progress;
mod scores;
mod settings;
mod sources;
mod tables;
mod world;
