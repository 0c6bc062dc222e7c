//! The client against registries that run: that of the testkit, and where they are installed, those that others wrote.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code: a broken set-up ends the test")]

mod authentication;
mod budget;
mod docker_archive;
mod faults;
mod hostile;
mod layout;
mod opening;
mod products;
mod reading;
mod secrets_manager;
mod servers;
mod support;
