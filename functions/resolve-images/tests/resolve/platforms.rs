//! Images of several platforms: who stands for a repository where one of them counts, and where each does.

use std::time::Duration;

use serde_json::json;
use tidewatch_core::image::Platform;
use tidewatch_core::names::StreamName;
use tidewatch_core::stream::Member;
use tidewatch_store::records::ListingState;
use tidewatch_testkit::image::{BuiltImage, IndexBuilder};

use crate::world::{World, acme, image, reg};

const HOUR: Duration = Duration::from_secs(3600);

/// What stands for `team/web`, as images are counted now.
async fn members(world: &World) -> Vec<Member> {
    let counting = world.records.config(&acme()).await.unwrap().unwrap().counting;
    let slots = counting.slots(&reg(), &"team/web".parse().unwrap());
    let members = world.records.members_of(&acme(), &StreamName::latest_indexed(), &slots).await.unwrap();
    members.into_iter().flatten().collect()
}

/// The same by tag and platform.
async fn standing(world: &World) -> Vec<String> {
    let name = |member: Member| format!("{} {}", member.tag, member.image.platform);
    members(world).await.into_iter().map(name).collect()
}

/// An index of linux/amd64 and linux/arm64 with this content.
fn index(content: &str) -> BuiltImage {
    let images = [Platform::linux_amd64(), Platform::linux_arm64()].map(|platform| image(content, &platform));
    images.iter().fold(IndexBuilder::new(), IndexBuilder::image).build()
}

async fn list_later(world: &World) {
    world.clock.advance(HOUR);
    assert_eq!(world.list("team/web").await.state, ListingState::Done);
}

/// Lists an hour later, and scans what there is to scan.
async fn list_and_scan(world: &World) {
    list_later(world).await;
    world.scan_into_slots().await;
}

/// Where each platform counts: first `old`, an index, then `new`, an index as well.
async fn two_indexes() -> World {
    let world = World::new().await;
    world.apply(json!({"count_platforms": "all"})).await;
    for tag in ["old", "new"] {
        world.push_image("team/web", tag, &index(tag));
        list_and_scan(&world).await;
    }
    assert_eq!(standing(&world).await, ["new linux/amd64", "new linux/arm64"]);
    world
}

#[tokio::test]
async fn where_each_platform_counts_the_newest_of_each_stands_and_what_vanishes_leaves_all_slots() {
    let world = two_indexes().await;
    world.registry.delete_tag("team/web", "new");
    list_later(&world).await;
    assert_eq!(standing(&world).await, ["new linux/amd64", "new linux/arm64"], "one listing can be wrong");
    list_later(&world).await;
    assert_eq!(standing(&world).await, ["old linux/amd64", "old linux/arm64"]);
    world.registry.delete_tag("team/web", "old");
    list_later(&world).await;
    list_later(&world).await;
    assert!(standing(&world).await.is_empty());
}

#[tokio::test]
async fn an_image_of_one_platform_replaces_the_one_of_that_platform_only() {
    let world = two_indexes().await;
    world.push_image("team/web", "arm", &image("arm", &Platform::linux_arm64()));
    list_and_scan(&world).await;
    assert_eq!(standing(&world).await, ["new linux/amd64", "arm linux/arm64"]);
}

#[tokio::test]
async fn a_platform_that_a_tag_does_not_have_any_more_leaves_when_it_moves() {
    let world = two_indexes().await;
    world.push("team/web", "new", "amd64 alone");
    list_later(&world).await;
    assert_eq!(
        standing(&world).await,
        ["new linux/amd64", "old linux/arm64"],
        "the newest that is left of the one platform, and of the other what is not replaced yet"
    );
    world.scan_into_slots().await;
    list_later(&world).await;
    assert_eq!(standing(&world).await, ["new linux/amd64", "old linux/arm64"]);
    let alone = image("amd64 alone", &Platform::linux_amd64());
    assert_eq!(members(&world).await[0].image.digest, alone.digest);
}

#[tokio::test]
async fn a_slot_that_nobody_has_filled_after_a_switch_is_filled_by_the_next_listing() {
    let world = World::new().await;
    for tag in ["old", "new"] {
        world.push_image("team/web", tag, &index(tag));
        list_and_scan(&world).await;
    }
    assert_eq!(standing(&world).await, ["new linux/amd64"]);
    world.clock.advance(HOUR);
    world.apply(json!({"count_platforms": "all"})).await;
    assert!(standing(&world).await.is_empty());
    list_later(&world).await;
    assert_eq!(standing(&world).await, ["new linux/amd64", "new linux/arm64"]);
    world.apply(json!({"count_platforms": "one"})).await;
    list_later(&world).await;
    assert_eq!(standing(&world).await, ["new linux/amd64"]);
}

#[tokio::test]
async fn where_one_platform_counts_other_platforms_are_those_of_the_next_listing() {
    let world = World::new().await;
    world.push_image("team/web", "new", &index("new"));
    list_and_scan(&world).await;
    assert_eq!(standing(&world).await, ["new linux/amd64"]);
    for (platforms, stands) in
        [(["linux/arm64"].as_slice(), "linux/arm64"), (&["linux/amd64"], "linux/amd64")]
    {
        world.apply(json!({"platforms": platforms})).await;
        list_and_scan(&world).await;
        list_later(&world).await;
        assert_eq!(standing(&world).await, [format!("new {stands}")]);
    }
}

#[tokio::test]
async fn what_stands_for_a_repository_stays_until_its_image_on_another_platform_is_scanned() {
    let world = World::new().await;
    world.apply(json!({"platforms": ["linux/amd64"]})).await;
    for tag in ["old", "new"] {
        world.push_image("team/web", tag, &index(tag));
        list_and_scan(&world).await;
    }
    world.apply(json!({"platforms": ["linux/arm64"]})).await;
    list_later(&world).await;
    list_later(&world).await;
    assert_eq!(standing(&world).await, ["new linux/amd64"], "nothing of the other is known");
    world.scan_into_slots().await;
    list_later(&world).await;
    assert_eq!(standing(&world).await, ["new linux/arm64"]);
}
