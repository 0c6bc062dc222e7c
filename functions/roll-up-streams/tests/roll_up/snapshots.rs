//! Publishing and confirming snapshots, and their text.

use std::sync::Arc;
use std::time::Duration;

use tidewatch_core::Severity;
use tidewatch_core::config::Config;
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::work::RollUpMessage;
use tidewatch_roll_up_streams::RollUpStreams;
use tidewatch_runtime::{Deadline, MessageHandler as _};
use tidewatch_store::records::SnapshotHead;
use tidewatch_testkit::interleave::Interleaving;

use crate::naive::{self, Counted};
use crate::world::{START, World, config, image, member, text};

const MINUTE: Duration = Duration::from_secs(60);

async fn world() -> World {
    World::new(&config(&["hub", "quay"], 0)).await
}

#[tokio::test]
async fn an_organisation_without_images_has_a_snapshot_of_zeros_from_the_first_roll_up_on() {
    let world = world().await;
    assert_eq!(world.snapshot().await, None);
    assert!(world.roll_up().await);
    assert_eq!(world.published().await, naive::series(&[]));
}

#[tokio::test]
async fn the_text_has_every_series_sorted_with_help_and_type() {
    let world = world().await;
    let web = member(
        image("hub/team/web", "1"),
        0,
        &[Severity::Critical, Severity::High, Severity::Low],
        Outcome::Fail,
    );
    let api = member(image("hub/team/api", "1"), 0, &[Severity::Low], Outcome::Pass);
    let odd = member(image("quay/odd", "1"), 0, &[Severity::Unspecified], Outcome::NoData);
    for member in [web, api, odd] {
        world.write(&member, 1).await;
    }
    world.roll_up().await;
    insta::assert_snapshot!("metrics_text", text(&world.snapshot().await.unwrap()));
}

#[tokio::test]
async fn a_message_rolls_up_its_organisation_however_often_it_comes() {
    let world = world().await;
    world.write(&member(image("hub/team/web", "1"), 0, &[Severity::Critical], Outcome::Fail), 1).await;
    let roll_up = RollUpStreams::new(world.records.clone(), Arc::clone(&world.clock) as _);
    let message = RollUpMessage { org: world.org.clone() };
    let (first, second) = tokio::join!(
        roll_up.handle(message.clone(), Deadline::NONE),
        roll_up.handle(message.clone(), Deadline::NONE)
    );
    first.and(second).unwrap();
    let counted = Counted { severities: vec![Severity::Critical], fixable: Outcome::Fail };
    assert_eq!(world.published().await, naive::series(&[counted]));
    roll_up.handle(RollUpMessage { org: "nobody".parse().unwrap() }, Deadline::NONE).await.unwrap();
}

#[tokio::test]
async fn a_disabled_policy_leaves_the_text_with_the_new_configuration() {
    let world = world().await;
    world.roll_up().await;
    let mut without: Config = config(&["hub", "quay"], 0);
    without.policies[0].enabled = false;
    world.apply(&without).await;
    world.switched(&without).await;
    assert!(world.roll_up().await);
    let names: Vec<String> = world.published().await.into_keys().collect();
    assert!(!names.iter().any(|name| name.contains("policy")), "{names:?}");
}

#[tokio::test]
async fn what_has_not_changed_is_confirmed_and_not_published_again() {
    let world = world().await;
    world.roll_up().await;
    let first = world.head().await;
    assert_eq!((first.made_at, first.checked_at), (START.parse().unwrap(), START.parse().unwrap()));
    world.clock.advance(MINUTE);
    assert!(!world.roll_up().await);
    let confirmed = world.head().await;
    assert_eq!(confirmed.checked_at, world.clock.now());
    assert_eq!(SnapshotHead { checked_at: first.checked_at, ..confirmed }, first);
}

#[tokio::test]
async fn a_change_is_published_under_a_greater_number() {
    let world = world().await;
    world.roll_up().await;
    let before = world.head().await;
    world.clock.advance(MINUTE);
    world.write(&member(image("hub/team/web", "1"), 0, &[Severity::High], Outcome::Fail), 1).await;
    assert!(world.roll_up().await);
    let after = world.head().await;
    assert!(after.number > before.number);
    assert_ne!(after.metrics.digest, before.metrics.digest);
    assert_eq!((after.made_at, after.checked_at), (world.clock.now(), world.clock.now()));
}

#[tokio::test]
async fn a_new_configuration_is_published_even_when_no_number_changes() {
    let world = world().await;
    world.roll_up().await;
    let before = world.head().await;
    world.apply(&config(&["hub"], 0)).await;
    assert!(world.roll_up().await);
    let after = world.head().await;
    assert_eq!((before.config_version, after.config_version), (1, 2));
    assert_eq!(before.metrics.digest, after.metrics.digest, "the same text keeps its entity tag");
}

#[tokio::test]
async fn a_slow_roll_up_does_not_confirm_with_an_earlier_time() {
    let world = world().await;
    world.roll_up().await;
    let roll_up = world.pausing_roll_up();
    let mut tasks = Interleaving::new();
    let slow = tasks.start(roll_up.roll_up(&world.org));
    // Both looks at the shards, the configuration, and both at the advisories.
    for _ in 0..6 {
        tasks.step(slow);
    }
    world.clock.advance(MINUTE);
    world.roll_up().await;
    tasks.finish(slow).unwrap().unwrap();
    assert_eq!(world.head().await.checked_at, world.clock.now());
}

#[tokio::test]
async fn a_snapshot_that_is_replaced_while_it_is_read_is_read_whole() {
    let world = world().await;
    world.roll_up().await;
    let before = world.head().await;
    let mut tasks = Interleaving::new();
    let reader = tasks.start(world.pausing.snapshot(&world.org));
    // The head is read, and the bodies are not.
    for _ in 0..2 {
        tasks.step(reader);
    }
    world.write(&member(image("hub/team/web", "1"), 0, &[Severity::High], Outcome::Fail), 1).await;
    world.roll_up().await;
    let read = tasks.finish(reader).unwrap().unwrap().unwrap();
    assert!(read.head.version() > before.version());
    assert_eq!(naive::parse(&text(&read)), world.published().await);
}

#[tokio::test]
async fn a_tick_rolls_up_every_organisation_and_a_broken_one_stops_no_other() {
    let world = world().await;
    let mut other = config(&["hub"], 0);
    other.org = "zebra".parse().unwrap();
    world.records.apply_config(&other, None, world.clock.now()).await.unwrap();
    world.break_configuration().await;
    let roll_up = RollUpStreams::new(world.records.clone(), std::sync::Arc::clone(&world.clock) as _);
    assert_eq!(roll_up.tick().await.unwrap(), 1);
    assert_eq!(world.snapshot().await, None);
    assert!(world.records.snapshot(&other.org).await.unwrap().is_some());
}

#[tokio::test]
async fn an_organisation_that_is_not_there_gets_no_snapshot() {
    let world = world().await;
    let roll_up = RollUpStreams::new(world.records.clone(), std::sync::Arc::clone(&world.clock) as _);
    let nobody = "nobody".parse().unwrap();
    assert!(!roll_up.roll_up(&nobody).await.unwrap());
    assert_eq!(world.records.snapshot(&nobody).await.unwrap(), None);
}
