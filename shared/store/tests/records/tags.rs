//! Tags as they were last seen.

use tidewatch_core::Digest;
use tidewatch_core::ports::table::{Condition, Key, Update};
use tidewatch_store::records::TagRecord;

use crate::world::{World, acme, at, hub};

on_every_table!(
    a_tag_is_recorded_as_it_was_seen_last_whatever_comes_first,
    a_tag_of_a_version_that_noted_no_time_is_replaced,
);

fn record(content: &str, seen: i64) -> TagRecord {
    TagRecord {
        tag: "latest".parse().unwrap(),
        digest: Digest::of(content.as_bytes()),
        images: Vec::new(),
        skipped: None,
        platforms: Vec::new(),
        seen_at: at(seen),
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
