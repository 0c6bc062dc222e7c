//! End-to-end tests: the real command as a process, registries served by the test, and what a user sees of it: what is
//! printed, the exit code, and the metrics. Each file is about one promise.
//!
//! Compiled as a test of the package `tidewatch`, so that the command is built with it.
// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod advisory_queries;
mod advisory_sync;
mod artifacts;
mod budgets;
mod clients;
mod commands;
mod configuration;
mod corpus;
mod credentials;
mod dashboards;
mod endpoint;
mod environments;
mod exceptions;
mod images;
mod installation;
mod inventories;
mod metrics;
mod organisations;
mod outages;
mod platforms;
mod power_cuts;
mod previews;
mod prometheus;
mod registry_check;
mod rematches;
mod rescans;
mod results;
mod sboms;
mod stacks;
mod vanishing;
mod versions;
mod webhooks;
mod windows;
