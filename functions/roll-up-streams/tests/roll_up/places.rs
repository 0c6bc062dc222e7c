//! Exceptions that are limited to repositories: they end in a slot at their time, and reconciling knows what a slot holds.

use std::time::Duration;

use serde_json::json;
use tidewatch_core::config::Config;
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::table::Update;
use tidewatch_core::{Severity, Timestamp};
use tidewatch_roll_up_streams::RollUpStreams;
use tidewatch_store::records::{Filling, Postings, StoredResult};

use crate::grace_periods::Scan;
use crate::naive::{self, Counted, Series};
use crate::world::{World, config};

const HOUR: Duration = Duration::from_secs(3600);

/// A configuration with an exception of all that is found, for one of the repositories, until the end of the 16th.
fn excepted() -> Config {
    let exception = json!({
        "vulnerability": "CVE-2099-0000", "repository": "hub/team/web", "type": "accepted_risk",
        "expires": "2026-06-16",
    });
    let exceptions = serde_json::from_value(json!([exception])).unwrap();
    Config { exceptions, ..config(&["hub"], 0) }
}

/// An image in two repositories, judged in each under that configuration.
async fn world() -> World {
    let world = World::new(&excepted()).await;
    let in_force = world.records.in_force(&world.org, None).await.unwrap().unwrap();
    for place in 0..2 {
        let scan = Scan::of(place, vec![(Severity::High, -1)]);
        scan.record(&world, &world.records).await;
        let stored = stored(&world, &scan).await;
        let mut filling = Filling::new(&stored, &in_force, world.clock.now());
        let (records, member) = (&world.records, scan.member());
        records.enter_slot(&world.org, &world.stream, member, &mut filling).await.unwrap();
    }
    world
}

async fn stored(world: &World, scan: &Scan) -> StoredResult {
    let image = scan.member().image;
    world.records.result(&world.org, &image.digest, &image.platform).await.unwrap().expect("a result")
}

fn series(first: Vec<Severity>, fixable: Outcome) -> Series {
    let other = Counted { severities: vec![Severity::High], fixable: Outcome::Fail };
    naive::series(&[Counted { severities: first, fixable }, other])
}

#[tokio::test]
async fn an_exception_that_ends_counts_in_its_slot_until_then_and_no_longer() {
    let world = world().await;
    world.roll_up().await;
    assert_eq!(world.published().await, series(Vec::new(), Outcome::Pass));
    let before_end: Timestamp = "2026-06-16T23:00:00Z".parse().unwrap();
    world.clock.advance(Duration::try_from(before_end.duration_since(world.clock.now())).unwrap());
    world.roll_up().await;
    assert_eq!(world.published().await, series(Vec::new(), Outcome::Pass));
    world.clock.advance(HOUR);
    assert!(world.roll_up().await, "nobody else has written anything");
    assert_eq!(world.published().await, series(vec![Severity::High], Outcome::Fail));
    world.clock.advance(HOUR);
    assert!(!world.roll_up().await, "it is settled");
}

#[tokio::test]
async fn a_slot_that_does_not_hold_what_is_judged_there_is_drift_and_mended() {
    let world = world().await;
    let in_force = world.records.in_force(&world.org, None).await.unwrap().unwrap();
    let covered = Some(in_force.basis(world.clock.now()));
    let postings = Postings { covered, ..Postings::default() };
    assert!(world.records.put_postings(&world.org, &postings, None).await.unwrap());
    world.switched(&excepted()).await;
    let reconcile = async || {
        let roll_up = RollUpStreams::new(world.records.clone(), std::sync::Arc::clone(&world.clock) as _);
        roll_up.reconcile(&world.org).await.unwrap().drift
    };
    world.clock.advance(2 * HOUR);
    world.roll_up().await;
    assert_eq!(reconcile().await, [], "what is suppressed in one slot only is no drift");

    let scan = Scan::of(0, Vec::new());
    let mut member = scan.member();
    member.take(&stored(&world, &scan).await.result);
    let data = serde_json::to_string(&member).unwrap();
    world.change_member(&member.image, Update::default().set("data", data)).await;
    world.records.mark_member(&world.org, &world.stream, &member).await.unwrap();
    let [drift] = reconcile().await.try_into().expect("one slot");
    assert_eq!(drift.place, member.image.to_string());
    world.roll_up().await;
    assert_eq!(world.published().await, series(Vec::new(), Outcome::Pass));
    assert_eq!(reconcile().await, []);
}
