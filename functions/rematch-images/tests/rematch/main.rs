//! Matching images again on a table and objects in memory: what becomes of results whose advisories or policies have
//! changed, whoever else is at work, and whatever fails.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bases;
mod equivalence;
mod messages;
mod news;
mod overtaken;
mod places;
mod platforms;
mod postings;
mod races;
mod results;
mod unusable;
mod world;
