//! The whole system against a naive model: whatever happens in whatever order, the numbers that are served are those that
//! are worked out from scratch by hand.
//!
//! One case is a sequence of events ([`events`]): images, some of two platforms, are pushed and deleted, how many platforms
//! count changes, advisories, tables, policies, exceptions,
//! registries and environments change, time passes; meanwhile the real functions work on one table, stopping at single
//! operations of it, are killed, and get messages late, out of order and twice ([`run`]). When every message was delivered
//! and one roll-up has begun after that, each number of both texts has to be that of the model ([`naive`]), and the rows
//! that `explain` gives have to add up to it ([`check`]). What is told of newly affected images has to be so, and nothing of
//! it twice ([`news`]).
//!
//! `PROPTEST_CASES=2000 cargo test -p tidewatch-tests --test model` looks longer.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod advisories;
mod check;
mod entries;
mod events;
mod images;
mod naive;
mod news;
mod registry;
mod run;
mod world;

use proptest::collection::vec;
use proptest::prelude::*;

/// How many sequences are tried where `PROPTEST_CASES` says nothing: less than half a minute without optimisation.
const CASES: u32 = 48;

/// The cases that `PROPTEST_CASES` asks for, or [`CASES`].
fn cases() -> u32 {
    tidewatch_runtime::environment::variable("PROPTEST_CASES")
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(CASES)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(), failure_persistence: None, max_shrink_time: 60_000, ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_the_served_numbers_become_those_of_the_model(events in vec(events::event(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(run::run(&events))?;
    }
}
