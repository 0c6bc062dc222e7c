//! The roll-up on a table in memory, one table operation at a time: whatever order writers, roll-ups and crashes come in,
//! the published numbers become those of a naive count.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod announcements;
mod grace_periods;
mod naive;
mod own_families;
mod places;
mod platforms;
mod protocol;
mod reconciliation;
mod snapshots;
mod switches;
mod world;
