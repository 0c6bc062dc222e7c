//! When images come to be counted otherwise: no image counts twice, none is missing, and nothing of before is left.

use std::sync::Arc;
use std::time::Duration;

use tidewatch_core::Severity;
use tidewatch_core::config::{Config, CountPlatforms};
use tidewatch_core::image::{Image, Platform};
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::stream::{Member, Slot};
use tidewatch_store::records::Switch;
use tidewatch_testkit::ports::RecordingBus;

use crate::announcements::{affect, announce, count};
use crate::naive::{self, Counted};
use crate::world::{World, config, image, member};

const MINUTE: Duration = Duration::from_secs(60);

fn all() -> Config {
    Config { count_platforms: CountPlatforms::All, ..config(&["hub"], 0) }
}

fn series(severities: &[Severity]) -> naive::Series {
    let counted = |severity: &Severity| Counted { severities: vec![*severity], fixable: Outcome::Fail };
    naive::series(&severities.iter().map(counted).collect::<Vec<_>>())
}

/// An image of `team/web` that fails the policy, seen so many hours after the start.
fn web(platform: Platform, seen_hours: i64, severity: Severity) -> Member {
    let image = Image { platform, ..image("hub/team/web", &severity.to_string()) };
    member(image, seen_hours, &[severity], Outcome::Fail)
}

/// The member in the slot that it has as images are counted now.
async fn counted(world: &World, member: Member) -> Member {
    let counting = world.records.config(&world.org).await.unwrap().unwrap().counting;
    let slot = counting.slot_of(&member.image, true, member.seen_at).unwrap();
    member.in_slot(&slot)
}

/// What whoever sends for images notes when all are in their slots.
async fn switched(world: &World) {
    let applied = world.records.config(&world.org).await.unwrap().unwrap();
    let sent_at = world.clock.now();
    let judging = world.records.basis(&applied, sent_at).await.unwrap().judging;
    world.records.put_switch(&world.org, &Switch { judging, sent_at, parts: 0 }).await.unwrap();
}

async fn stands_in_first_slot(world: &World) -> bool {
    let slot = Slot::of_repository("hub".parse().unwrap(), "team/web".parse().unwrap());
    world.records.slot(&world.org, &world.stream, &slot).await.unwrap().is_some()
}

/// One image of linux/amd64 counts, and each platform is to.
async fn about_to_count_all() -> (World, Member) {
    let world = World::new(&config(&["hub"], 0)).await;
    let amd64 = web(Platform::linux_amd64(), 0, Severity::High);
    world.write(&amd64, 1).await;
    world.roll_up().await;
    assert_eq!(world.published().await, series(&[Severity::High]));
    world.apply(&all()).await;
    (world, amd64)
}

#[tokio::test]
async fn the_numbers_of_before_are_served_until_all_images_are_counted_anew_and_then_all_at_once() {
    let (world, amd64) = about_to_count_all().await;
    assert!(!world.roll_up().await);
    let arm64 = web(Platform::linux_arm64(), 0, Severity::Low);
    for member in [amd64, arm64] {
        world.write(&counted(&world, member).await, 1).await;
        assert!(!world.roll_up().await);
        assert_eq!(world.published().await, series(&[Severity::High]));
    }
    switched(&world).await;
    assert!(world.roll_up().await);
    assert_eq!(world.published().await, series(&[Severity::High, Severity::Low]));
}

#[tokio::test]
async fn slots_of_before_count_no_more_and_are_removed_whoever_is_late_with_them() {
    let (world, amd64) = about_to_count_all().await;
    world.write(&counted(&world, amd64.clone()).await, 1).await;
    switched(&world).await;
    world.roll_up().await;
    assert!(!stands_in_first_slot(&world).await);
    // One who knows the configuration of before is late, with a newer image.
    world.write(&web(Platform::linux_amd64(), 5, Severity::Critical), 1).await;
    assert!(stands_in_first_slot(&world).await);
    world.roll_up().await;
    assert_eq!(world.published().await, series(&[Severity::High]));
    assert!(!stands_in_first_slot(&world).await);
}

#[tokio::test]
async fn a_roll_up_by_the_configuration_of_before_removes_nothing_of_the_new_one() {
    let (world, amd64) = about_to_count_all().await;
    let in_slot = counted(&world, amd64).await;
    world.write(&in_slot, 1).await;
    // It counts the first slots, and knows of no others.
    let slots =
        world.records.members_and_former(&world.org, &world.stream, world.shard_of(&in_slot), 0).await;
    let (members, former) = slots.unwrap();
    world.records.remove_former_slots(former).await.unwrap();
    assert_eq!(members.len(), 2);
    assert!(world.records.member(&world.org, &world.stream, &in_slot.slot()).await.unwrap().is_some());
}

#[tokio::test]
async fn what_newly_affects_images_is_told_once_they_are_in_their_new_slots() {
    let (world, bus) = (World::new(&config(&["hub"], 0)).await, Arc::new(RecordingBus::new()));
    let web = image("hub/team/web", "web");
    count(&world, &web, 0).await;
    affect(&world, &web, &["CVE-1"], &[]).await;
    world.apply(&all()).await;
    assert_eq!(announce(&world, &bus).await, 0, "it is on its way to its slot");
    world.write(&counted(&world, member(web, 0, &[], Outcome::Pass)).await, 1).await;
    switched(&world).await;
    assert_eq!(announce(&world, &bus).await, 1);
}

#[tokio::test]
async fn nothing_waits_for_longer_than_a_quarter_of_an_hour() {
    let (world, amd64) = about_to_count_all().await;
    world.write(&counted(&world, amd64).await, 1).await;
    world.clock.advance(15 * MINUTE);
    assert!(world.roll_up().await);
    assert_eq!(world.published().await, series(&[Severity::High]));
}
