//! Entries of environments are pinned to what they mean, once, and leave nothing behind.

use std::time::Duration;

use serde_json::{Value, json};
use tidewatch_core::Digest;
use tidewatch_core::environment::{EnvironmentEntry, EnvironmentTarget};
use tidewatch_core::image::{Image, Platform};
use tidewatch_core::names::StreamName;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::result::ResultState;
use tidewatch_core::stream::{Layout, Member};
use tidewatch_core::work::HintMessage;
use tidewatch_testkit::image::{BuiltImage, IndexBuilder};

use crate::world::{World, acme, image};

const SBOM: (&str, Value) = ("https://spdx.dev/Document", Value::Null);

fn production() -> StreamName {
    "production".parse().unwrap()
}

/// An entry that names an image of the registry, put there now.
fn entry(world: &World, reference: &str, kept: bool, follows: bool) -> EnvironmentEntry {
    let reference = format!("reg/{reference}").parse().unwrap();
    EnvironmentEntry { kept, follows, ..EnvironmentEntry::new(reference, world.clock.now()) }
}

async fn put(world: &World, entry: &EnvironmentEntry) -> HintMessage {
    world.records.put_entry(&acme(), &production(), entry).await.unwrap();
    let target = EnvironmentTarget { stream: production(), entry: entry.id() };
    HintMessage { target: Some(target), ..world.hint("app", "latest") }
}

async fn remove(world: &World, entry: &EnvironmentEntry) {
    let target = EnvironmentTarget { stream: production(), entry: entry.id() };
    let stored = world.records.environment_entry(&acme(), &target).await.unwrap().unwrap();
    world.records.remove_entry(&acme(), &target, &stored, world.clock.now()).await.unwrap();
}

async fn members(world: &World) -> Vec<Member> {
    let mut members = Vec::new();
    for group in Layout::of(&production()).groups() {
        for (shard, _) in world.records.shards(&acme(), &production(), group).await.unwrap() {
            members.extend(world.records.members(&acme(), &production(), shard).await.unwrap());
        }
    }
    members
}

/// Does what whoever stores a result does.
async fn enter_slots(world: &World, image: &Image) {
    let stored = world.records.result(&acme(), &image.digest, &image.platform).await.unwrap().unwrap();
    for place in world.records.environments_of(&acme(), &image.id()).await.unwrap() {
        let mut member = place.member();
        member.take(&stored.result);
        world.records.put_member(&acme(), &production(), &member, stored.revision).await.unwrap();
    }
}

async fn digests(world: &World) -> Vec<Digest> {
    members(world).await.into_iter().map(|member| member.image.digest).collect()
}

fn image_of(built: &BuiltImage) -> Image {
    Image {
        registry: "reg".parse().unwrap(),
        repository: "app".parse().unwrap(),
        digest: built.digest,
        platform: built.platform.clone().unwrap(),
    }
}

#[tokio::test]
async fn a_message_that_comes_again_after_the_tag_has_moved_pins_nothing_anew() {
    let world = World::new().await;
    let first = world.push("app", "latest", "1");
    let entry = entry(&world, "app:latest", false, false);
    let message = put(&world, &entry).await;
    world.deliver_hint(message.clone()).await.unwrap();
    assert_eq!(digests(&world).await, [first.digest]);
    world.push("app", "latest", "2");
    world.clock.advance(Duration::from_secs(60));
    world.deliver_hint(message).await.unwrap();
    assert_eq!(digests(&world).await, [first.digest], "it was pinned when it was put there");
}

#[tokio::test]
async fn an_entry_that_is_put_there_again_is_pinned_to_what_its_tag_points_to_now() {
    let world = World::new().await;
    world.push("app", "latest", "1");
    let message = put(&world, &entry(&world, "app:latest", false, false)).await;
    world.deliver_hint(message).await.unwrap();
    let second = world.push("app", "latest", "2");
    world.clock.advance(Duration::from_secs(60));
    let target =
        EnvironmentTarget { stream: production(), entry: entry(&world, "app:latest", false, false).id() };
    let known = world.records.environment_entry(&acme(), &target).await.unwrap().unwrap();
    let again = EnvironmentEntry { pinned: known.pinned, ..entry(&world, "app:latest", false, false) };
    let message = put(&world, &again).await;
    world.deliver_hint(message).await.unwrap();
    assert_eq!(digests(&world).await, [second.digest]);
}

#[tokio::test]
async fn an_image_that_two_entries_keep_stays_until_both_are_gone_and_gets_newer_results() {
    let world = World::new().await;
    let built = world.push("app", "latest", "1");
    world.push("app", "stable", "1");
    let entries = ["app:latest", "app:stable"].map(|reference| entry(&world, reference, true, false));
    for entry in &entries {
        let message = put(&world, entry).await;
        world.deliver_hint(message).await.unwrap();
        world.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(digests(&world).await, [built.digest]);
    remove(&world, &entries[1]).await;
    assert_eq!(digests(&world).await, [built.digest], "the other one keeps it");
    // Longer than it takes until work is due whose message is lost.
    world.clock.advance(Duration::from_secs(21 * 60));
    world.scan_due().await;
    enter_slots(&world, &image_of(&built)).await;
    assert_eq!(members(&world).await[0].state, ResultState::Scanned);
    remove(&world, &entries[0]).await;
    assert_eq!(digests(&world).await, []);
}

#[tokio::test]
async fn a_tag_of_two_platforms_is_pinned_to_one_and_the_other_counts_when_it_is_kept_by_its_digest() {
    for count in ["one", "all"] {
        let world = World::new().await;
        world.apply(json!({"count_platforms": count})).await;
        let [amd64, arm64] =
            [Platform::linux_amd64(), Platform::linux_arm64()].map(|platform| image("1", &platform));
        let index = [&amd64, &arm64].into_iter().fold(IndexBuilder::new(), IndexBuilder::image).build();
        world.push_image("app", "latest", &index);
        let message = put(&world, &entry(&world, "app:latest", false, false)).await;
        world.deliver_hint(message).await.unwrap();
        assert_eq!(digests(&world).await, [amd64.digest], "{count}");
        let by_digest = entry(&world, &format!("app@{}", arm64.digest), true, false);
        let message = put(&world, &by_digest).await;
        world.deliver_hint(message).await.unwrap();
        let mut found = digests(&world).await;
        found.sort();
        let mut both = [amd64.digest, arm64.digest];
        both.sort();
        assert_eq!(found, both, "{count}");
    }
}

#[tokio::test]
async fn an_image_that_was_followed_leaves_also_when_the_worker_died_before_that() {
    for operations in 0.. {
        let world = World::new().await;
        world.push("app", "latest", "1");
        let entry = entry(&world, "app:latest", true, true);
        let message = put(&world, &entry).await;
        world.deliver_hint(message.clone()).await.unwrap();
        let second = world.push("app", "latest", "2");
        world.clock.advance(Duration::from_secs(60));
        world.outages.fail_after(operations);
        let is_done = world.deliver_hint(message.clone()).await.is_ok();
        world.outages.recover();
        world.clock.advance(Duration::from_secs(60));
        world.deliver_hint(message).await.unwrap();
        assert_eq!(digests(&world).await, [second.digest], "after {operations} operations");
        if is_done {
            return;
        }
    }
}

#[tokio::test]
async fn an_entry_that_is_taken_away_by_a_clock_that_is_behind_leaves_all_the_same() {
    let world = World::new().await;
    world.push("app", "latest", "1");
    for (kept, behind) in [(false, 0), (false, 2), (true, 0), (true, 2)] {
        let entry = entry(&world, "app:latest", kept, false);
        let message = put(&world, &entry).await;
        world.deliver_hint(message).await.unwrap();
        assert_eq!(members(&world).await.len(), 1);
        let target = EnvironmentTarget { stream: production(), entry: entry.id() };
        let stored = world.records.environment_entry(&acme(), &target).await.unwrap().unwrap();
        let then = world.clock.now().checked_sub(Duration::from_secs(behind)).unwrap();
        world.records.remove_entry(&acme(), &target, &stored, then).await.unwrap();
        assert_eq!(digests(&world).await, [], "kept: {kept}, {behind} s behind");
        world.clock.advance(Duration::from_secs(60));
    }
}

#[tokio::test]
async fn attestations_of_an_image_that_is_named_by_its_digest_are_not_known() {
    let world = World::new().await;
    let built = image("1", &Platform::linux_amd64());
    let index = IndexBuilder::new().image(&built).attestations(&built, &[SBOM]).build();
    world.push_image("app", "latest", &index);
    for (reference, expected) in [
        (format!("app@{}", built.digest), None),
        (format!("app@{}", index.digest), Some(1)),
        ("app:latest".to_owned(), Some(1)),
    ] {
        let message = put(&world, &entry(&world, &reference, false, false)).await;
        world.clock.advance(Duration::from_secs(3600));
        world.deliver_hint(message).await.unwrap();
        let work = world.sent_pushed().pop().expect("nobody has scanned it");
        assert_eq!(work.attestations.map(|found| found.len()), expected, "{reference}");
    }
}

#[tokio::test]
async fn an_image_that_is_known_is_scanned_again_for_attestations_and_else_is_not() {
    let world = World::new().await;
    let built = world.push("app", "latest", "1");
    world.list("app").await;
    world.scan_due().await;
    let message = put(&world, &entry(&world, "app:latest", false, false)).await;
    world.deliver_hint(message).await.unwrap();
    assert_eq!(world.sent_pushed(), []);
    let index = IndexBuilder::new().image(&built).attestations(&built, &[SBOM]).build();
    world.push_image("app", "attested", &index);
    let message = put(&world, &entry(&world, "app:attested", true, false)).await;
    world.deliver_hint(message).await.unwrap();
    let sent = world.sent_pushed();
    assert_eq!(sent.iter().map(|work| work.image.digest).collect::<Vec<_>>(), [built.digest]);
}
