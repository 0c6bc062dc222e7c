//! When policies or exceptions change, the numbers of before are served until every image is judged by the new ones.

use std::time::Duration;

use tidewatch_core::Severity;
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_store::records::Switch;

use crate::naive::{self, Counted};
use crate::world::{World, config, image, member};

const MINUTE: Duration = Duration::from_secs(60);

fn counted(fixable: Outcome) -> Counted {
    Counted { severities: vec![Severity::High], fixable }
}

/// Two images that fail the policy, of which one is judged again and passes.
async fn half_judged() -> World {
    let world = World::new(&config(&["hub"], 0)).await;
    for (repository, revision) in [("hub/team/web", 1), ("hub/team/api", 1)] {
        world.write(&member(image(repository, "1"), 0, &[Severity::High], Outcome::Fail), revision).await;
    }
    world.roll_up().await;
    world.apply(&config(&["hub"], 7)).await;
    world.write(&member(image("hub/team/web", "1"), 0, &[Severity::High], Outcome::Pass), 2).await;
    world
}

#[tokio::test]
async fn the_numbers_of_before_are_served_until_every_image_is_judged_and_then_all_at_once() {
    let world = half_judged().await;
    let before = naive::series(&[counted(Outcome::Fail), counted(Outcome::Fail)]);
    world.clock.advance(MINUTE);
    assert!(!world.roll_up().await, "nobody has sent for the images yet");
    let (judging, sent_at) = (config(&["hub"], 7).judging_fingerprint(), world.clock.now());
    world.records.put_switch(&world.org, &Switch { judging, sent_at, parts: 2 }).await.unwrap();
    // A message that comes twice is one.
    for part in [0, 0] {
        world.records.note_switched(&world.org, sent_at, part, sent_at).await.unwrap();
        assert!(!world.roll_up().await);
        assert_eq!(world.published().await, before);
    }
    world.write(&member(image("hub/team/api", "1"), 0, &[Severity::High], Outcome::Pass), 2).await;
    world.records.note_switched(&world.org, sent_at, 1, sent_at).await.unwrap();
    assert!(world.roll_up().await);
    assert_eq!(world.published().await, naive::series(&[counted(Outcome::Pass), counted(Outcome::Pass)]));
}

#[tokio::test]
async fn the_messages_of_an_earlier_change_say_nothing_of_a_later_one() {
    let world = half_judged().await;
    let (judging, sent_at) = (config(&["hub"], 3).judging_fingerprint(), world.clock.now());
    world.records.put_switch(&world.org, &Switch { judging, sent_at, parts: 0 }).await.unwrap();
    assert!(!world.roll_up().await);
}

#[tokio::test]
async fn what_is_not_judged_within_a_quarter_of_an_hour_holds_nothing_up() {
    let world = half_judged().await;
    world.clock.advance(14 * MINUTE);
    assert!(!world.roll_up().await);
    world.clock.advance(MINUTE);
    assert!(world.roll_up().await);
    assert_eq!(world.published().await, naive::series(&[counted(Outcome::Fail), counted(Outcome::Pass)]));
}

#[tokio::test]
async fn a_configuration_with_the_same_policies_is_in_force_at_once() {
    let world = World::new(&config(&["hub"], 0)).await;
    world.write(&member(image("hub/team/web", "1"), 0, &[Severity::High], Outcome::Fail), 1).await;
    world.roll_up().await;
    world.apply(&config(&["hub", "quay"], 0)).await;
    assert!(world.roll_up().await);
}

#[tokio::test]
async fn a_switch_that_was_sent_for_earlier_does_not_take_the_place_of_a_later_one() {
    let world = half_judged().await;
    let (judging, sent_at) = (config(&["hub"], 7).judging_fingerprint(), world.clock.now());
    let later = Switch { judging, sent_at, parts: 0 };
    world.records.put_switch(&world.org, &later).await.unwrap();
    let before = Switch {
        judging: config(&["hub"], 0).judging_fingerprint(),
        sent_at: sent_at.checked_sub(MINUTE).unwrap(),
        parts: 9,
    };
    world.records.put_switch(&world.org, &before).await.unwrap();
    assert_eq!(world.records.switch(&world.org).await.unwrap(), Some(later));
}
