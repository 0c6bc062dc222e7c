//! Tags as they were last seen.

use tidewatch_core::Digest;
use tidewatch_core::ports::table::{Condition, Key, Update};
use tidewatch_store::records::{ImagePlace, TagRecord};

use crate::world::{World, acme, at, hub, work};

on_every_table!(
    a_tag_is_recorded_as_it_was_seen_last_whatever_comes_first,
    a_tag_of_a_version_that_noted_no_time_is_replaced,
    a_tag_is_changed_or_removed_unless_somebody_has_changed_it_since_it_was_read,
    work_is_taken_back_unless_it_was_seen_later,
    a_place_is_removed_unless_it_was_seen_later,
    the_repositories_of_one_registry_are_read_alone,
);

fn record(content: &str, seen: i64) -> TagRecord {
    TagRecord {
        tag: "latest".parse().unwrap(),
        digest: Digest::of(content.as_bytes()),
        images: Vec::new(),
        skipped: None,
        platforms: Vec::new(),
        seen_at: at(seen),
        chosen_by: None,
        missing_at: None,
        forgotten: false,
    }
}

impl World {
    async fn put_tag(&self, record: &TagRecord) {
        self.records.put_tag(&acme(), &hub(), &"team/web".parse().unwrap(), record).await.unwrap();
    }

    async fn tag(&self) -> Option<TagRecord> {
        let (repository, tag) = ("team/web".parse().unwrap(), "latest".parse().unwrap());
        self.records.tag(&acme(), &hub(), &repository, &tag).await.unwrap()
    }
}

async fn a_tag_is_recorded_as_it_was_seen_last_whatever_comes_first(world: World) {
    assert_eq!(world.tag().await, None);
    for (content, seen, stands) in [("b", 5, "b"), ("a", 4, "b"), ("c", 5, "c"), ("d", 6, "d")] {
        world.put_tag(&record(content, seen)).await;
        assert_eq!(world.tag().await.unwrap().digest, Digest::of(stands.as_bytes()));
    }
    assert_eq!(world.tag().await, Some(record("d", 6)));
}

async fn a_tag_of_a_version_that_noted_no_time_is_replaced(world: World) {
    world.put_tag(&record("a", 9)).await;
    let key = Key::new("REPO#acme#hub/team/web", "TAG#latest");
    world.table.update(&key, Update::default().remove("seen_at"), Condition::ItemPresent).await.unwrap();
    world.put_tag(&record("b", 5)).await;
    assert_eq!(world.tag().await, Some(record("b", 5)));
}

async fn a_tag_is_changed_or_removed_unless_somebody_has_changed_it_since_it_was_read(world: World) {
    let (org, hub, repository) = (acme(), hub(), "team/web".parse().unwrap());
    let first = record("a", 1);
    world.put_tag(&first).await;
    let missing = TagRecord { missing_at: Some(at(2)), ..first.clone() };
    let change = async |known: &TagRecord, changed: &TagRecord| {
        world.records.change_tag(&org, &hub, &repository, (known, changed)).await.unwrap()
    };
    assert!(change(&first, &missing).await);
    assert!(!change(&first, &first.clone().chosen(&["nightly".parse().unwrap()])).await);
    assert_eq!(world.tag().await, Some(missing.clone()));
    assert!(!world.records.remove_tag(&org, &hub, &repository, &first).await.unwrap());
    assert!(world.records.remove_tag(&org, &hub, &repository, &missing).await.unwrap());
    assert_eq!(world.tag().await, None);
    assert!(!change(&missing, &first).await, "it is not there any more");
}

async fn work_is_taken_back_unless_it_was_seen_later(world: World) {
    let (org, found) = (acme(), work("1"));
    world.records.enqueue(&org, &found, at(0)).await.unwrap();
    let before = found.seen_at.checked_sub(std::time::Duration::from_millis(1)).unwrap();
    world.records.withdraw(&org, &found.image, before).await.unwrap();
    assert!(world.records.pending_work(&org, &found.image).await.unwrap().is_some());
    world.records.withdraw(&org, &found.image, found.seen_at).await.unwrap();
    assert_eq!(world.records.pending_work(&org, &found.image).await.unwrap(), None);
    let registry = &found.image.registry;
    assert_eq!(world.records.due_work(&org, registry, at(1_000_000), 10).await.unwrap(), []);
    world.records.withdraw(&org, &found.image, found.seen_at).await.unwrap();
}

async fn a_place_is_removed_unless_it_was_seen_later(world: World) {
    let (org, found) = (acme(), work("1"));
    let place =
        ImagePlace { image: found.image.clone(), tag: found.tag.clone(), seen_at: at(5), counted: true };
    world.records.put_place(&org, &place).await.unwrap();
    world.records.remove_place(&org, &found.image, at(4)).await.unwrap();
    assert_eq!(world.records.place(&org, &found.image).await.unwrap(), Some(place));
    world.records.remove_place(&org, &found.image, at(5)).await.unwrap();
    assert_eq!(world.records.place(&org, &found.image).await.unwrap(), None);
}

async fn the_repositories_of_one_registry_are_read_alone(world: World) {
    for (registry, repository) in [("hub", "b"), ("hub", "a"), ("hub2", "c")] {
        let (registry, repository) = (registry.parse().unwrap(), repository.parse().unwrap());
        world.records.put_repository(&acme(), &registry, &repository).await.unwrap();
    }
    let names = async || {
        let names = world.records.repositories_of(&acme(), &hub()).await.unwrap();
        names.into_iter().map(|name| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["a", "b"]);
    world.records.remove_repository(&acme(), &hub(), &"a".parse().unwrap()).await.unwrap();
    assert_eq!(names().await, ["b"]);
}
