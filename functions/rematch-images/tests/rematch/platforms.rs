//! When images come to be counted otherwise, those that were scanned come to their new slots by what is stored.

use std::time::Duration;

use serde_json::{Value, json};
use tidewatch_core::image::{Image, Platform};
use tidewatch_core::names::{StreamName, Tag};
use tidewatch_core::ports::Clock as _;
use tidewatch_store::records::{TagRecord, TaggedImage};
use tidewatch_testkit::policies::fixable_only;

use crate::world::{World, acme, debian, image};

const HOUR: Duration = Duration::from_secs(3600);

/// Has each platform counted, or one, and what follows from that done.
async fn count(world: &World, count: &str) {
    let policies: Value = fixable_only(&json!([]));
    world.configure(json!({"org": "acme", "count_platforms": count, "policies": policies})).await;
    world.rematch().await;
}

/// An image of linux/arm64 in `team/web`.
fn arm(content: &str) -> Image {
    Image { platform: Platform::linux_arm64(), ..image("team/web", content) }
}

/// Points a tag of `team/web` to these images, of which the first stands for all.
async fn point(world: &World, tag: &str, images: &[&Image]) {
    let tagged = images.iter().zip([true, false]).map(|(image, counted)| TaggedImage {
        digest: image.digest,
        platform: image.platform.clone(),
        counted,
        attestations: None,
    });
    let record = TagRecord {
        tag: named(tag),
        digest: images[0].digest,
        images: tagged.collect(),
        skipped: None,
        platforms: vec![Platform::linux_amd64(), Platform::linux_arm64()],
        seen_at: world.clock.now(),
        chosen_by: None,
        missing_at: None,
        forgotten: false,
    };
    world.records.put_repository(&acme(), &images[0].registry, &images[0].repository).await.unwrap();
    world.records.put_tag(&acme(), &images[0].registry, &images[0].repository, &record).await.unwrap();
}

fn named(tag: &str) -> Tag {
    tag.parse().unwrap()
}

/// Scans an image behind the tag `latest`, with so many vulnerabilities.
async fn scan(world: &World, image: &Image, stands: bool, vulnerable: bool) {
    let packages: &[(&str, &str)] = if vulnerable { &[("openssl", "1")] } else { &[("zsh", "1")] };
    world.place(image, stands).await;
    world.scan_placed(image, &debian(packages)).await;
}

/// What counts of `team/web`: platform and number of vulnerabilities.
async fn counted(world: &World) -> Vec<(String, u64)> {
    let web = image("team/web", "");
    let counting = world.records.config(&acme()).await.unwrap().unwrap().counting;
    let slots = counting.slots(&web.registry, &web.repository);
    let members = world.records.members_of(&acme(), &StreamName::latest_indexed(), &slots).await.unwrap();
    let members = members.into_iter().flatten();
    members.map(|member| (member.image.platform.to_string(), member.severities.total())).collect()
}

fn expected(members: &[(&str, u64)]) -> Vec<(String, u64)> {
    members.iter().map(|(platform, number)| ((*platform).to_owned(), *number)).collect()
}

/// An index of both platforms, scanned an hour ago, of which one counts.
async fn world() -> (World, [Image; 2]) {
    let world = World::new().await;
    let images = [image("team/web", "amd64"), arm("arm64")];
    point(&world, "latest", &[&images[0], &images[1]]).await;
    scan(&world, &images[0], true, false).await;
    scan(&world, &images[1], false, true).await;
    world.rematch().await;
    world.clock.advance(HOUR);
    assert_eq!(counted(&world).await, expected(&[("linux/amd64", 0)]));
    (world, images)
}

#[tokio::test]
async fn every_image_comes_to_its_slot_of_the_new_counting_without_a_new_result() {
    let (world, [amd64, arm64]) = world().await;
    let before = (world.stored(&amd64).await, world.stored(&arm64).await);
    count(&world, "all").await;
    assert_eq!(counted(&world).await, expected(&[("linux/amd64", 0), ("linux/arm64", 1)]));
    count(&world, "one").await;
    assert_eq!(counted(&world).await, expected(&[("linux/amd64", 0)]));
    count(&world, "all").await;
    assert_eq!(counted(&world).await, expected(&[("linux/amd64", 0), ("linux/arm64", 1)]));
    assert_eq!((world.stored(&amd64).await, world.stored(&arm64).await), before);
}

#[tokio::test]
async fn a_switch_there_and_back_before_anybody_has_looked_fills_the_slots_all_the_same() {
    let (world, _) = world().await;
    for count in ["all", "one"] {
        world.configure(json!({"org": "acme", "count_platforms": count})).await;
    }
    world.rematch().await;
    assert_eq!(counted(&world).await, expected(&[("linux/amd64", 0)]));
}

#[tokio::test]
async fn an_image_whose_tag_has_vanished_or_has_moved_to_other_platforms_does_not_come_back() {
    let (world, [amd64, arm64]) = world().await;
    // It moves to an image of one platform, as a listing has found; their places stay.
    let moved = image("team/web", "moved");
    point(&world, "latest", &[&moved]).await;
    scan(&world, &moved, true, true).await;
    count(&world, "all").await;
    assert_eq!(counted(&world).await, expected(&[("linux/amd64", 1)]));
    let place = world.records.place(&acme(), &arm64).await.unwrap();
    assert!(place.is_some() && world.records.place(&acme(), &amd64).await.unwrap().is_some());

    world.clock.advance(HOUR);
    let tags = world.records.tags(&acme(), &moved.registry, &moved.repository).await.unwrap();
    world.records.remove_tag(&acme(), &moved.registry, &moved.repository, &tags[0]).await.unwrap();
    count(&world, "one").await;
    assert_eq!(counted(&world).await, [], "no tag leads to any of them");
}

#[tokio::test]
async fn an_image_that_stood_for_itself_does_not_stand_for_an_index_that_has_it() {
    // Of both the same is known but their digests, which decide then.
    for number in 0..8 {
        let world = World::new().await;
        let [amd64, arm64] = [image("team/web", "amd64"), arm(&format!("arm64 {number}"))];
        point(&world, "latest", &[&arm64]).await;
        scan(&world, &arm64, true, true).await;
        world.clock.advance(HOUR);
        point(&world, "latest", &[&amd64, &arm64]).await;
        scan(&world, &amd64, true, false).await;
        world.place(&arm64, false).await;
        world.clock.advance(HOUR);
        for (way, members) in
            [("all", [("linux/amd64", 0), ("linux/arm64", 1)].as_slice()), ("one", &[("linux/amd64", 0)])]
        {
            count(&world, way).await;
            assert_eq!(counted(&world).await, expected(members), "{number} {way}");
        }
    }
}

#[tokio::test]
async fn what_a_tag_has_moved_from_stands_until_what_it_has_moved_to_is_scanned() {
    let (world, _) = world().await;
    let moved = [image("team/web", "moved"), arm("moved too")];
    point(&world, "latest", &[&moved[0], &moved[1]]).await;
    count(&world, "all").await;
    assert_eq!(counted(&world).await, expected(&[("linux/amd64", 0), ("linux/arm64", 1)]));
    scan(&world, &moved[0], true, true).await;
    assert_eq!(counted(&world).await, expected(&[("linux/amd64", 1), ("linux/arm64", 1)]));
}

#[tokio::test]
async fn an_image_that_another_tag_leads_to_stays_when_its_own_has_vanished() {
    let (world, images) = world().await;
    point(&world, "stable", &[&images[0], &images[1]]).await;
    let tags = world.records.tags(&acme(), &images[0].registry, &images[0].repository).await.unwrap();
    let latest = tags.iter().find(|record| record.tag == named("latest")).unwrap();
    world.records.remove_tag(&acme(), &images[0].registry, &images[0].repository, latest).await.unwrap();
    count(&world, "all").await;
    assert_eq!(counted(&world).await, expected(&[("linux/amd64", 0), ("linux/arm64", 1)]));
}
