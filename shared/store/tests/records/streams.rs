//! Slots, totals and snapshots.

use tidewatch_core::ports::table::{Condition, Item, Key};
use tidewatch_core::stream::{Layout, Member, Totals};
use tidewatch_store::records::{NewTotals, Part, SnapshotHead};

use crate::world::{World, acme, at, latest, member, snapshot};

on_every_table!(
    a_slot_holds_the_newest_member,
    totals_are_written_only_over_those_that_were_read,
    a_snapshot_is_published_only_over_an_older_one,
    a_snapshot_is_confirmed_forward_only_and_only_when_it_is_still_published,
    a_snapshot_of_before_there_were_two_texts_is_none_and_is_replaced,
);

async fn a_slot_holds_the_newest_member(world: World) {
    let puts = [("a", 1, 1), ("b", 3, 1), ("a", 2, 9), ("b", 3, 2), ("b", 3, 1)];
    let mut held = Vec::new();
    for (content, seen, revision) in puts {
        let tag = format!("{content}{seen}{revision}").parse().unwrap();
        let member = Member { tag, ..member(content, seen) };
        world.records.put_member(&acme(), &latest(), &member, revision).await.unwrap();
        let shard = Layout::of(&latest()).shard_of(&member.image.registry, &member.image.repository);
        let members = world.records.members(&acme(), &latest(), shard).await.unwrap();
        held.extend(members.iter().map(|member| member.tag.to_string()));
    }
    assert_eq!(held, ["a11", "b31", "b31", "b32", "b32"]);
}

async fn totals_are_written_only_over_those_that_were_read(world: World) {
    let (stream, member) = (latest(), member("a", 1));
    let shard = Layout::of(&stream).shard_of(&member.image.registry, &member.image.repository);
    for part in [Part::Shard(shard), Part::Group(tidewatch_core::stream::group_of(shard))] {
        totals_of_a_part(&world, part, &member).await;
    }
}

async fn totals_of_a_part(world: &World, part: Part, member: &Member) {
    let (org, stream) = (acme(), latest());
    let read = world.records.part(&org, &stream, part).await.unwrap();
    world.records.mark_member(&org, &stream, member).await.unwrap();
    let marked = world.records.part(&org, &stream, part).await.unwrap();
    assert!(marked.is_dirty(at(0), 0));

    let totals = Totals { images: 1, next_change_at: Some(at(50)), ..Totals::default() };
    let new = |computed_seq, totals: &Totals| NewTotals {
        computed_seq,
        config_version: 7,
        computed_at: at(0),
        totals: totals.clone(),
    };
    let (newer, older) = (new(marked.dirty_seq, &totals), new(0, &Totals::default()));
    assert!(world.records.put_totals(&org, &stream, part, &marked, &newer).await.unwrap());
    assert!(!world.records.put_totals(&org, &stream, part, &read, &older).await.unwrap());
    let written = world.records.part(&org, &stream, part).await.unwrap();
    assert_eq!((written.computed_seq, written.revision), (written.dirty_seq, 1));
    assert_eq!(written.totals, totals);
    assert!(!written.is_dirty(at(49), 7) && written.is_dirty(at(50), 7), "time alone makes it dirty");
    assert!(written.is_dirty(at(0), 8), "a newer configuration makes it dirty");
    assert!(!written.is_dirty(at(49), 6), "an older one leaves it to whoever knows the newer");
    world.records.put_totals(&org, &stream, part, &written, &new(1, &Totals::default())).await.unwrap();
    let written = world.records.part(&org, &stream, part).await.unwrap();
    assert!(!written.is_old(at(3599)) && written.is_old(at(3600)), "an hour makes it dirty");
}

async fn a_snapshot_is_published_only_over_an_older_one(world: World) {
    let order =
        [((1, 5), true), ((1, 5), false), ((1, 4), false), ((1, 6), true), ((2, 1), true), ((1, 9), false)];
    for ((config_version, number), published) in order {
        let snapshot = snapshot(config_version, number);
        let outcome = world.records.publish_snapshot(&acme(), &snapshot).await.unwrap();
        assert_eq!(outcome, published, "{config_version} {number}");
        if published {
            assert_eq!(world.records.snapshot_head(&acme()).await.unwrap(), Some(snapshot.head));
            assert_eq!(world.records.snapshot(&acme()).await.unwrap(), Some(snapshot));
        }
    }
}

async fn a_snapshot_is_confirmed_forward_only_and_only_when_it_is_still_published(world: World) {
    let (old, new) = (snapshot(1, 1), snapshot(1, 2));
    for snapshot in [&old, &new] {
        world.records.publish_snapshot(&acme(), snapshot).await.unwrap();
    }
    for (confirmed, now, checked) in [(&old, 60, 0), (&new, 60, 60), (&new, 30, 60), (&new, 90, 90)] {
        world.records.confirm_snapshot(&acme(), &confirmed.head, at(now)).await.unwrap();
        let published = world.records.snapshot(&acme()).await.unwrap().unwrap();
        assert_eq!(published.head, SnapshotHead { checked_at: at(checked), ..new.head });
        assert_eq!((&published.metrics, &published.own), (&new.metrics, &new.own));
    }
}

async fn a_snapshot_of_before_there_were_two_texts_is_none_and_is_replaced(world: World) {
    let old = Item::new(Key::new("ORG#acme", "SNAPSHOT"))
        .with("v", 1)
        .with("config_version", 9)
        .with("number", 9)
        .with("body", "of before");
    world.table.put(old, Condition::Always).await.unwrap();
    assert_eq!(world.records.snapshot(&acme()).await.unwrap(), None);
    assert!(world.records.publish_snapshot(&acme(), &snapshot(1, 1)).await.unwrap());
    assert_eq!(world.records.snapshot(&acme()).await.unwrap(), Some(snapshot(1, 1)));
}
