//! Scanning images of a registry over HTTP, on a table and objects in memory: what is recorded, who reads a layer that
//! many need, and what becomes of attempts that fail or are killed.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attempts;
mod costs;
mod deadlines;
mod gate;
mod images;
mod layers;
mod metadata;
mod outages;
mod recording;
mod unreadable;
mod world;
