//! Listing a registry over HTTP, on a table and objects in memory: what is sent for, what gets a work row, and what
//! becomes of listings that fail.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ages;
mod bases;
mod caps;
mod deadlines;
mod endless;
mod environments;
mod failures;
mod leaving;
mod limited;
mod platforms;
mod previews;
mod pushes;
mod repositories;
mod tags;
mod telling;
mod throttled;
mod windows;
mod world;
