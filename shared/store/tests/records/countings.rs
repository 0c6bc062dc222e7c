//! How many platforms of an image count: each change has slots of its own.

use serde_json::json;
use tidewatch_core::config::Config;
use tidewatch_core::names::StreamName;
use tidewatch_core::stream::{Counting, Layout, Member};

use crate::world::{World, acme, at, latest, member};

on_every_table!(
    a_change_of_what_counts_is_noted_with_its_version_and_stays_until_the_next,
    slots_of_another_counting_hold_nothing_back,
    slots_of_former_countings_are_found_whatever_they_hold_and_removed,
);

fn config(count: &str, platforms: &[&str]) -> Config {
    serde_json::from_value(json!({"org": "acme", "count_platforms": count, "platforms": platforms})).unwrap()
}

const BOTH: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// Applies one configuration after the other, and gives how images are counted then.
async fn counting(world: &World, configs: &[Config]) -> Counting {
    for config in configs {
        let before = world.records.config(&acme()).await.unwrap().map(|applied| applied.version);
        world.records.apply_config(config, before, at(before.unwrap_or(0))).await.unwrap();
    }
    world.records.config(&acme()).await.unwrap().unwrap().counting
}

async fn a_change_of_what_counts_is_noted_with_its_version_and_stays_until_the_next(world: World) {
    let (one, all) = (config("one", &BOTH), config("all", &BOTH));
    assert!(counting(&world, &[one.clone(), one.clone()]).await.is_first());
    let basis = async || {
        let in_force = world.records.in_force(&acme(), None).await.unwrap().unwrap();
        let basis = in_force.basis(at(9));
        assert_eq!(
            world.records.basis(&in_force.applied, at(9)).await.unwrap(),
            basis,
            "however it is asked"
        );
        basis
    };
    let first = basis().await;
    assert_eq!(counting(&world, &[all.clone(), all.clone()]).await.since(), 3);
    let each = basis().await;
    assert_eq!((first.counted_since, each.counted_since), (0, 3));
    assert_ne!(first.judging, each.judging, "every image is sent for");
    assert_eq!(counting(&world, &[config("all", &BOTH[..1])]).await.since(), 5);
    assert_eq!(counting(&world, &[all]).await.since(), 6);
    assert_eq!(counting(&world, &[one]).await.since(), 7);
    let again = basis().await;
    assert_ne!((again.judging, again.counted_since), (first.judging, first.counted_since));
}

/// The member in the slot that its image has by this counting.
fn counted(counting: &Counting, member: Member) -> Member {
    let slot = counting.slot_of(&member.image, true, member.seen_at).unwrap();
    member.in_slot(&slot)
}

async fn slots_of_another_counting_hold_nothing_back(world: World) {
    let first = Counting::default();
    let each = counting(&world, &[config("all", &BOTH)]).await;
    let (newer, older) = (counted(&first, member("new", 9)), counted(&each, member("old", 1)));
    for member in [&newer, &older] {
        world.records.put_member(&acme(), &latest(), member, 1).await.unwrap();
    }
    let applied = world.records.config(&acme()).await.unwrap().unwrap();
    assert!(!applied.counts(&latest(), &newer), "its registry is not even configured");
    for (counting, member) in [(&first, newer), (&each, older)] {
        let held = world.records.member(&acme(), &latest(), &member.slot()).await.unwrap();
        assert_eq!(held.as_ref(), Some(&member));
        let slots = counting.slots(&member.image.registry, &member.image.repository);
        let held = world.records.members_of(&acme(), &latest(), &slots).await.unwrap();
        assert_eq!(held.into_iter().flatten().collect::<Vec<_>>(), [member]);
    }
}

async fn slots_of_former_countings_are_found_whatever_they_hold_and_removed(world: World) {
    let each = counting(&world, &[config("one", &BOTH), config("all", &BOTH)]).await;
    let again = counting(&world, &[config("one", &BOTH)]).await;
    let production: StreamName = "production".parse().unwrap();
    let base = member("image", 1);
    let all = [Counting::default(), each, again].map(|counting| counted(&counting, base.clone()));
    for member in &all {
        world.records.put_member(&acme(), &latest(), member, 1).await.unwrap();
    }
    world.records.put_member(&acme(), &production, &base, 1).await.unwrap();
    // One of them has left.
    world.records.leave_slot(&acme(), &latest(), &all[1].slot(), &base.image, at(5)).await.unwrap();

    let read = async |stream: &StreamName| {
        let shard = Layout::of(stream).shard_of(&base.image.registry, &base.image.repository);
        world.records.members_and_former(&acme(), stream, shard, 3).await.unwrap()
    };
    let (members, former) = read(&latest()).await;
    assert_eq!(members, all[2..]);
    world.records.remove_former_slots(former).await.unwrap();
    for (member, is_there) in all.iter().zip([false, false, true]) {
        let held = world.records.slot(&acme(), &latest(), &member.slot()).await.unwrap();
        assert_eq!(held.is_some(), is_there, "{:?}", member.slot());
    }
    let (members, former) = read(&production).await;
    world.records.remove_former_slots(former).await.unwrap();
    assert_eq!(members, std::slice::from_ref(&base), "environments have the same slots for ever");
    assert_eq!(read(&production).await.0.len(), 1);
}
