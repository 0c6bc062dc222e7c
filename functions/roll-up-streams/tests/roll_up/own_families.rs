//! The second text of a snapshot: what the numbers rest on; and how many streams are served, and how often.

use std::sync::Arc;
use std::time::Duration;

use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::table::{Key, Update};
use tidewatch_core::{Digest, Severity, Timestamp};
use tidewatch_roll_up_streams::{Freshness, RollUpStreams};
use tidewatch_store::records::{AdvisoryFamily, AdvisorySource, SourceError, StoredSource};

use crate::naive::{self, Series};
use crate::world::{START, World, config, image, member, own_text};

const MINUTE: Duration = Duration::from_secs(60);

async fn world() -> World {
    World::new(&config(&["hub"], 0)).await
}

async fn own(world: &World) -> Series {
    naive::parse(&own_text(&world.snapshot().await.unwrap()))
}

fn debian(built_at: Timestamp) -> (String, AdvisoryFamily) {
    let family = AdvisoryFamily {
        hash: Digest::of(b"index"),
        size: 1,
        records: 1,
        advisories: 1,
        withdrawn: 0,
        problems: 0,
        newest_modified: None,
        built_at,
        confirmed_at: None,
    };
    ("debian".to_owned(), family)
}

#[tokio::test]
async fn images_by_state_and_what_no_policy_can_judge_are_told() {
    let world = world().await;
    let mut web = member(image("hub/team/web", "1"), 0, &[Severity::Critical], Outcome::Fail);
    web.result_at = Some("2026-06-14T00:00:10Z".parse().unwrap());
    let mut odd = member(image("hub/odd", "1"), 0, &[], Outcome::NoData);
    odd.result_at = Some("2026-06-14T00:00:05Z".parse().unwrap());
    let mut new = member(image("hub/new", "1"), 0, &[], Outcome::Pass);
    new.policies.clear();
    for member in [web, odd, new] {
        world.write(&member, 1).await;
    }
    world.roll_up().await;
    let own = own(&world).await;
    let stream = "streamName=\"latest-indexed\"";
    let policy = format!("id=\"fixable-vulnerabilities\",{stream}");
    let expected = [
        (format!("tidewatch_images{{{stream},state=\"partial\"}}"), 1),
        (format!("tidewatch_images{{{stream},state=\"scanned\"}}"), 2),
        (format!("tidewatch_images{{{stream},state=\"unsupported\"}}"), 0),
        (format!("tidewatch_oldest_result_timestamp_seconds{{{stream}}}"), 1_781_395_205),
        (format!("tidewatch_policy_no_data_images{{{policy}}}"), 1),
        (format!("tidewatch_policy_unjudged_images{{{policy}}}"), 1),
        ("tidewatch_dropped_streams".to_owned(), 0),
    ];
    for (series, value) in expected {
        assert_eq!(own.get(&series), Some(&value), "{series}: {own:#?}");
    }
}

#[tokio::test]
async fn a_look_at_the_sources_of_advisories_is_published_and_changes_no_other_number() {
    let world = world().await;
    world.roll_up().await;
    let before = world.head().await;
    let built_at: Timestamp = "2026-06-14T00:00:00Z".parse().unwrap();
    world.records.publish_advisories([debian(built_at)]).await.unwrap();
    let error = SourceError { reason: "no answer".to_owned(), at: built_at, failures: 1 };
    let source = AdvisorySource { error: Some(error), ..AdvisorySource::default() };
    let stored = StoredSource { source, revision: None };
    let stored = world.records.put_advisory_source("Debian", stored).await.unwrap();
    assert!(world.roll_up().await);
    let series = own(&world).await;
    assert_eq!(series["tidewatch_advisory_index_built_timestamp_seconds{family=\"debian\"}"], 1_781_395_200);
    assert_eq!(series["tidewatch_advisory_source_failed{source=\"Debian\"}"], 1);
    let checked = "tidewatch_advisory_source_checked_timestamp_seconds{source=\"Debian\"}";
    assert_eq!(series.get(checked), None, "what is not known is not told");
    let after = world.head().await;
    assert_eq!(after.metrics, before.metrics);
    assert!(after.number > before.number);

    let source = AdvisorySource { checked_at: Some(START.parse().unwrap()), ..AdvisorySource::default() };
    world.records.put_advisory_source("Debian", StoredSource { source, ..stored }).await.unwrap();
    assert!(world.roll_up().await);
    let series = own(&world).await;
    assert_eq!(series[checked], 1_781_481_600);
    assert_eq!(series["tidewatch_advisory_source_failed{source=\"Debian\"}"], 0);
}

#[tokio::test]
async fn a_row_about_advisories_that_cannot_be_read_stops_no_numbers() {
    let world = world().await;
    let source = AdvisorySource { checked_at: Some(START.parse().unwrap()), ..AdvisorySource::default() };
    for name in ["Alpine", "Debian"] {
        let stored = StoredSource { source: source.clone(), revision: None };
        world.records.put_advisory_source(name, stored).await.unwrap();
    }
    world.roll_up().await;
    let before = world.head().await;
    let broken = Update::default().set("data", "{").add("revision", 1);
    world.change(&Key::new("ADVISORIES", "SOURCE#Debian"), broken).await;
    let roll_up = RollUpStreams::new(world.records.clone(), Arc::clone(&world.clock) as _);
    assert_eq!(roll_up.tick().await.unwrap(), 1);
    assert!(world.head().await.number > before.number);
    let series = own(&world).await;
    assert!(series.contains_key("tidewatch_advisory_source_failed{source=\"Alpine\"}"));
    assert!(!series.contains_key("tidewatch_advisory_source_failed{source=\"Debian\"}"), "{series:#?}");
}

#[tokio::test]
async fn with_a_period_changes_wait_until_it_is_over() {
    let world = world().await;
    let roll_up = RollUpStreams::new(world.records.clone(), Arc::clone(&world.clock) as _)
        .fresh(Freshness::Interval(MINUTE * 60));
    assert!(roll_up.roll_up(&world.org).await.unwrap(), "the first comes at once");
    let first = world.head().await;
    world.write(&member(image("hub/team/web", "1"), 0, &[Severity::High], Outcome::Fail), 1).await;
    world.clock.advance(MINUTE * 59);
    assert!(!roll_up.roll_up(&world.org).await.unwrap());
    assert_eq!(world.head().await, first, "nobody has found it right");
    world.clock.advance(MINUTE);
    assert!(roll_up.roll_up(&world.org).await.unwrap());
    let second = world.head().await;
    assert_eq!(second.made_at, world.clock.now());
    assert_ne!(second.metrics.digest, first.metrics.digest);
    world.clock.advance(MINUTE);
    assert!(!roll_up.roll_up(&world.org).await.unwrap());
    assert_eq!(world.head().await.checked_at, world.clock.now(), "what has not changed is confirmed");
}
