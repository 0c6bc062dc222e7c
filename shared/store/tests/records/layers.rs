//! Leases, inventories and waiters of layers.

use bytes::Bytes;
use tidewatch_core::Digest;
use tidewatch_core::ports::table::Key;
use tidewatch_store::records::LeaseOutcome;

use crate::world::{World, acme, assert_changed, at, layer, work};

on_every_table!(
    a_free_layer_is_leased_and_a_leased_one_is_not,
    a_lease_ends_at_its_time_and_the_next_one_has_a_greater_fence,
    a_renewed_lease_lasts_longer_and_a_lost_one_is_not_renewed,
    a_released_lease_is_free_at_once_and_a_lost_one_releases_nothing,
    only_the_holder_of_a_lease_stores_the_inventory,
    an_inventory_is_found_by_its_reader_version_only,
    waiters_of_a_layer_are_kept_once_each_until_they_stop,
);

async fn a_free_layer_is_leased_and_a_leased_one_is_not(world: World) {
    assert!(world.lease("a", 0, 60).await.is_some());
    assert_eq!(world.lease("b", 59, 120).await, None);
    let other = Digest::of(b"another layer");
    let outcome = world.records.lease_layer(&acme(), &other, "b", at(0), at(60)).await.unwrap();
    assert!(matches!(outcome, LeaseOutcome::Granted(lease) if *lease.layer() == other));
    let zebra = "zebra".parse().unwrap();
    let outcome = world.records.lease_layer(&zebra, &layer(), "b", at(0), at(60)).await.unwrap();
    assert!(matches!(outcome, LeaseOutcome::Granted(_)), "organisations share no layers");
}

async fn a_lease_ends_at_its_time_and_the_next_one_has_a_greater_fence(world: World) {
    let mut fences = Vec::new();
    for turn in 0..3 {
        world.lease("a", turn * 60, turn * 60 + 60).await.expect("the lease before has ended");
        let key = Key::new(format!("LAYER#acme#{}", layer().hex()), "LEASE");
        fences.push(world.table.get(&key).await.unwrap().unwrap().number("fence").unwrap());
    }
    assert!(fences.is_sorted_by(|before, after| before < after), "{fences:?}");
}

async fn a_renewed_lease_lasts_longer_and_a_lost_one_is_not_renewed(world: World) {
    let first = world.lease("a", 0, 60).await.unwrap();
    assert!(world.records.renew_lease(&first, at(80)).await.unwrap());
    assert_eq!(world.lease("b", 79, 140).await, None);
    world.lease("b", 80, 140).await.expect("the first has ended");
    assert!(!world.records.renew_lease(&first, at(200)).await.unwrap());
    assert!(world.lease("c", 140, 200).await.is_some(), "the lost lease has not made the second longer");
}

async fn a_released_lease_is_free_at_once_and_a_lost_one_releases_nothing(world: World) {
    let first = world.lease("a", 0, 60).await.unwrap();
    world.records.release_lease(&first).await.unwrap();
    world.lease("b", 1, 60).await.expect("it was given back");
    world.records.release_lease(&first).await.unwrap();
    assert_eq!(world.lease("c", 2, 60).await, None);
}

async fn only_the_holder_of_a_lease_stores_the_inventory(world: World) {
    let lost = world.lease("a", 0, 60).await.unwrap();
    let held = world.lease("b", 60, 120).await.unwrap();
    assert_changed(world.records.put_layer_inventory(&lost, 1, Bytes::from_static(b"{}")).await);
    assert_eq!(world.records.layer_inventory(&acme(), &layer(), 1).await.unwrap(), None);
    world.records.put_layer_inventory(&held, 1, Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(
        world.records.layer_inventory(&acme(), &layer(), 1).await.unwrap().as_deref(),
        Some(&b"{}"[..])
    );
    world.lease("c", 61, 120).await.expect("the lease was given back with the inventory");
    assert_changed(world.records.put_layer_inventory(&held, 2, Bytes::from_static(b"{}")).await);
}

async fn an_inventory_is_found_by_its_reader_version_only(world: World) {
    let lease = world.lease("a", 0, 60).await.unwrap();
    world.records.put_layer_inventory(&lease, 1, Bytes::from_static(b"one")).await.unwrap();
    assert_eq!(world.records.layer_inventory(&acme(), &layer(), 2).await.unwrap(), None);
    world.records.put_layer_inventory(&lease, 2, Bytes::from_static(b"two")).await.unwrap();
    for (version, content) in [(1, "one"), (2, "two")] {
        let inventory = world.records.layer_inventory(&acme(), &layer(), version).await.unwrap();
        assert_eq!(inventory, Some(Bytes::from(content)));
    }
}

async fn waiters_of_a_layer_are_kept_once_each_until_they_stop(world: World) {
    let (one, two) = (work("1"), work("2"));
    for work in [&one, &two, &one] {
        world.records.wait_for_layer(&acme(), &layer(), work, at(0)).await.unwrap();
    }
    let mut waiters = world.records.layer_waiters(&acme(), &layer()).await.unwrap();
    waiters.sort_by(|left, right| left.tag.cmp(&right.tag));
    assert_eq!(waiters, [one.clone(), two.clone()]);
    for _ in 0..2 {
        world.records.stop_waiting(&acme(), &layer(), &one.image).await.unwrap();
    }
    assert_eq!(world.records.layer_waiters(&acme(), &layer()).await.unwrap(), [two]);
}
