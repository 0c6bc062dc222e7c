//! Reconciling finds what does not follow from what it was made of, and nothing else.

use std::time::Duration;

use tidewatch_core::Severity;
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Table as _;
use tidewatch_core::ports::table::{Condition, Key, Update};
use tidewatch_core::stream::{Layout, group_of};
use tidewatch_roll_up_streams::{Reconciliation, RollUpStreams};

use crate::naive::{self, Counted};
use crate::world::{World, config, image, member};

const PLACE: &str = "hub/team/web";

async fn reconcile(world: &World) -> Reconciliation {
    let roll_up = RollUpStreams::new(world.records.clone(), std::sync::Arc::clone(&world.clock) as _);
    roll_up.reconcile(&world.org).await.unwrap()
}

async fn world() -> World {
    let world = World::new(&config(&["hub"], 0)).await;
    world.write(&member(image(PLACE, "1"), 0, &[Severity::High], Outcome::Fail), 1).await;
    world.write(&member(image("hub/team/api", "1"), 0, &[Severity::Low], Outcome::Pass), 1).await;
    world.roll_up().await;
    world
}

fn right() -> naive::Series {
    let counted = |severity, fixable| Counted { severities: vec![severity], fixable };
    naive::series(&[counted(Severity::High, Outcome::Fail), counted(Severity::Low, Outcome::Pass)])
}

#[tokio::test]
async fn what_follows_from_its_rows_is_no_drift() {
    let world = world().await;
    let found = reconcile(&world).await;
    assert_eq!((found.members, found.drift.len()), (2, 0), "{found:?}");
    assert!(found.totals >= 3, "the shards and their groups: {found:?}");
    assert!(!world.roll_up().await, "and nothing was written");
}

#[tokio::test]
async fn a_member_that_waits_for_a_roll_up_is_no_drift() {
    let world = world().await;
    world.write(&member(image(PLACE, "2"), 1, &[], Outcome::Pass), 1).await;
    assert_eq!(reconcile(&world).await.drift, []);
}

#[tokio::test]
async fn totals_that_are_not_those_of_their_rows_are_told_and_mended() {
    let shard = {
        let image = image(PLACE, "");
        Layout::of(&"latest-indexed".parse().unwrap()).shard_of(&image.registry, &image.repository)
    };
    for part in [format!("{shard}"), format!("G{}", group_of(shard))] {
        let world = world().await;
        let key = Key::new(format!("STREAM#acme#latest-indexed#{part}"), "TOTALS");
        let item = world.table.get(&key).await.unwrap().unwrap();
        let wrong = item.text("data").unwrap().replacen("\"images\":1", "\"images\":7", 1);
        let wrong = wrong.replacen("\"HIGH\":1", "\"HIGH\":5", 1).replacen("\"high\":1", "\"high\":5", 1);
        assert_ne!(wrong, item.text("data").unwrap());
        world.table.update(&key, Update::default().set("data", wrong), Condition::ItemPresent).await.unwrap();
        world.clock.advance(Duration::from_secs(60));
        let found = reconcile(&world).await;
        assert!(!found.drift.is_empty(), "{part}");
        world.roll_up().await;
        assert_eq!(world.published().await, right(), "{part}");
        assert_eq!(reconcile(&world).await.drift, [], "{part}");
    }
}

#[tokio::test]
async fn an_image_in_two_slots_of_a_shard_is_compared_in_both() {
    let world = World::new(&config(&["hub"], 0)).await;
    let layout = Layout::of(&world.stream);
    let shard = |place: &str| {
        let image = image(place, "1");
        layout.shard_of(&image.registry, &image.repository)
    };
    let first = "hub/team/0".to_owned();
    let second =
        (1..100_000).map(|number| format!("hub/team/{number}")).find(|place| shard(place) == shard(&first));
    for place in [first, second.unwrap()] {
        world.write(&member(image(&place, "1"), 0, &[Severity::High], Outcome::Fail), 1).await;
    }
    world.roll_up().await;
    let found = reconcile(&world).await;
    assert_eq!((found.members, found.drift), (2, vec![]));
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_told_and_hides_no_drift_of_others() {
    let world = world().await;
    let noise = Update::default().set("data", "{");
    world.change_member(&image("hub/team/api", "1"), noise).await;
    let found = reconcile(&world).await;
    assert_eq!((found.members, found.drift, found.unreadable.len()), (1, vec![], 1));
    assert!(found.unreadable[0].place.starts_with("shard "), "{:?}", found.unreadable);
}
