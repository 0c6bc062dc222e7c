//! Which images a change finds, whether they are posted or wait for it; and that posting loses none.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use serde_json::{Value, json};
use tidewatch_advisories::package_key;
use tidewatch_core::basis::MATCHING;
use tidewatch_core::image::{Image, ImageId};
use tidewatch_core::package::Distribution;
use tidewatch_core::ports::Objects as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::result::ResultState;
use tidewatch_core::work::{RematchMessage, RematchTask};
use tidewatch_inventory::ImageInventory;
use tidewatch_rematch_images::RematchSettings;
use tidewatch_store::records::{Postings, SegmentEntry};
use tidewatch_testkit::advisory::AdvisoryBuilder;

use crate::world::{World, acme, advisories, debian, everything, image, message};

/// Images with these packages, each in a repository of its own.
async fn scanned(world: &World, packages: &[&[(&str, &str)]]) -> Vec<Image> {
    let mut images = Vec::new();
    for (number, packages) in packages.iter().enumerate() {
        images.push(world.scanned(&format!("team/{number}"), packages).await);
    }
    images
}

/// The images that are sent for.
async fn sent_for(world: &World) -> BTreeSet<ImageId> {
    world.queue.clear();
    world.deliver(everything()).await.unwrap();
    let sent = world.sent_for();
    let found: BTreeSet<ImageId> = sent.iter().cloned().collect();
    assert_eq!(sent.len(), found.len(), "each is sent for once");
    found
}

fn ids<'a>(images: impl IntoIterator<Item = &'a Image>) -> BTreeSet<ImageId> {
    images.into_iter().map(Image::id).collect()
}

async fn postings(world: &World) -> Postings {
    world.records.postings(&acme()).await.unwrap().unwrap().postings
}

async fn segments(world: &World) -> Vec<SegmentEntry> {
    postings(world).await.segments
}

fn about(ecosystem: &str, name: &str) -> Value {
    AdvisoryBuilder::new(&format!("DSA-{name}-1")).affects_all(ecosystem, name).build()
}

#[tokio::test]
async fn of_posted_images_those_are_sent_for_that_hold_what_a_change_is_about() {
    let world = World::new().await;
    let images =
        scanned(&world, &[&[("openssl", "1")], &[("zlib", "1")], &[("openssl", "2"), ("zlib", "3")], &[]])
            .await;
    world.compact().await;
    assert!(sent_for(&world).await.is_empty(), "nothing has changed");
    world.publish(&advisories()).await;
    assert_eq!(sent_for(&world).await, ids([&images[1], &images[2]]));
    world.drain().await;
    assert!(sent_for(&world).await.is_empty(), "they were sent for");
    world.publish(&advisories()[1..]).await;
    assert_eq!(sent_for(&world).await, ids([&images[0], &images[2]]));
}

#[tokio::test]
async fn an_image_that_waits_to_be_posted_may_hold_anything() {
    let world = World::new().await;
    let images = scanned(&world, &[&[("openssl", "1")], &[("other", "1")]]).await;
    world.publish(&advisories()).await;
    assert_eq!(sent_for(&world).await, ids(&images));
}

#[tokio::test]
async fn a_release_that_comes_or_goes_finds_the_images_of_it() {
    let world = World::new().await;
    let release = |version: &str| {
        let mut inventory = debian(&[("bash", "1")]);
        let (id, version_id) = ("debian".to_owned(), Some(version.to_owned()));
        inventory.distribution = Some(Distribution { id, version_id, ..Distribution::default() });
        inventory
    };
    let images =
        ["12", "13", "14"].map(|version| (image(&format!("team/{version}"), version), release(version)));
    for (image, inventory) in &images {
        world.tag(image, "latest").await;
        world.scan(image, inventory).await;
    }
    world.compact().await;
    let state = async |number: usize| world.stored(&images[number].0).await.result.state;
    assert_eq!(state(2).await, ResultState::Unsupported);
    world.publish(&[&advisories()[..1], &[about("Debian:14", "unheard-of")]].concat()).await;
    assert_eq!(sent_for(&world).await, ids([&images[2].0]));
    world.drain().await;
    assert_eq!((state(0).await, state(2).await), (ResultState::Unsupported, ResultState::Scanned));
    world.publish(&advisories()[..1]).await;
    assert_eq!(sent_for(&world).await, ids([&images[2].0]));
    world.drain().await;
    assert_eq!(state(2).await, ResultState::Unsupported);
}

#[tokio::test]
async fn the_first_index_of_a_family_finds_the_images_that_need_it() {
    let world = World::new().await;
    let debian = world.scanned("team/debian", &[("openssl", "1")]).await;
    let alpine = image("team/alpine", "alpine");
    world.tag(&alpine, "latest").await;
    let (id, version_id) = ("alpine".to_owned(), Some("3.19.1".to_owned()));
    let distribution = Some(Distribution { id, version_id, ..Distribution::default() });
    world.scan(&alpine, &ImageInventory { distribution, ..ImageInventory::default() }).await;
    world.compact().await;
    let before = world.stored(&debian).await;
    world.publish_all(&[("Alpine", &[about("Alpine:v3.19", "openssl")])], &[]).await;
    assert_eq!(sent_for(&world).await, ids([&alpine]));
    world.drain().await;
    assert_eq!(world.stored(&debian).await, before);
}

#[tokio::test]
async fn when_the_former_index_is_lost_all_that_need_the_family_are_sent_for() {
    let world = World::new().await;
    let images = scanned(&world, &[&[("openssl", "1")], &[("other", "1")]]).await;
    let other = image("team/other", "other");
    world.tag(&other, "latest").await;
    world.scan(&other, &ImageInventory::default()).await;
    world.compact().await;
    for key in world.objects.list("advisories/").await.unwrap() {
        world.objects.delete(&key).await.unwrap();
    }
    world.publish(&advisories()).await;
    assert_eq!(sent_for(&world).await, ids(&images));
}

#[tokio::test]
async fn other_policies_and_a_week_send_for_all() {
    let mut world = World::new().await;
    world.settings = RematchSettings { images_per_message: 2, ..RematchSettings::default() };
    let images = scanned(&world, &[&[("openssl", "1")], &[("zlib", "1")], &[]]).await;
    world.compact().await;
    let unposted = world.scanned("team/unposted", &[("bash", "1")]).await;
    world.apply(&json!([{"id": "fixable-vulnerabilities", "enabled": false}])).await;
    assert_eq!(sent_for(&world).await, ids(images.iter().chain([&unposted])));
    let messages: Vec<RematchMessage> = world.queue.messages(QueueName::Rematches);
    assert_eq!(messages.len(), 3, "two images, and one, and the one that is not posted");
    world.drain().await;
    world.compact().await;
    world.clock.advance(Duration::from_secs(6 * 24 * 3600));
    assert!(sent_for(&world).await.is_empty());
    world.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(sent_for(&world).await, ids(images.iter().chain([&unposted])));
    assert!(sent_for(&world).await.is_empty());
}

#[tokio::test]
async fn a_change_that_is_undone_within_a_moment_leaves_nothing_wrong() {
    let world = World::new().await;
    let settled = world.scanned("team/settled", &[("zlib", "1")]).await;
    world.compact().await;
    world.publish(&advisories()).await;
    let image = world.scanned("team/web", &[("zlib", "1")]).await;
    // The one that is settled is matched in between as well.
    world.deliver(message(Some(RematchTask::Images(vec![settled.id()])))).await.unwrap();
    world.publish(&advisories()[..1]).await;
    assert_eq!((world.vulnerabilities(&image).await, world.vulnerabilities(&settled).await), (1, 1));
    assert!(sent_for(&world).await.is_empty(), "what is in force is what images are settled by");
    world.compact().await;
    assert_eq!(world.vulnerabilities(&image).await, 1, "a scan may still be at it");
    world.clock.advance(Duration::from_secs(300));
    world.compact().await;
    assert_eq!((world.vulnerabilities(&image).await, world.vulnerabilities(&settled).await), (0, 0));
    world.compact().await;
    assert!(world.records.unposted(&acme(), 10).await.unwrap().is_empty(), "all are posted");
}

#[tokio::test]
async fn images_are_posted_in_segments_and_small_ones_are_put_together() {
    let mut world = World::new().await;
    world.settings = RematchSettings { images_per_segment: 4, ..RematchSettings::default() };
    let mut images = Vec::new();
    let mut sizes = Vec::new();
    for number in 0..11 {
        images.push(world.scanned(&format!("team/{number}"), &[("zlib", "1")]).await);
        world.compact().await;
        let mut now: Vec<u64> = segments(&world).await.iter().map(|entry| entry.images).collect();
        now.sort_unstable();
        sizes.push(now);
    }
    assert_eq!(sizes[..5], [vec![1], vec![2], vec![3], vec![4], vec![1, 4]]);
    assert_eq!(sizes[10], [3, 4, 4]);
    // All at once, in several messages.
    let mut other = World::new().await;
    other.settings = world.settings;
    for number in 0..11 {
        other.scanned(&format!("team/{number}"), &[("zlib", "1")]).await;
    }
    other.compact().await;
    let posted: u64 = segments(&other).await.iter().map(|entry| entry.images).sum();
    assert_eq!((segments(&other).await.len(), posted), (3, 11));
    world.publish(&advisories()).await;
    assert_eq!(sent_for(&world).await, ids(&images));
}

#[tokio::test]
async fn what_is_posted_elsewhere_or_has_gone_is_left_out() {
    let world = World::new().await;
    let images = scanned(&world, &[&[("openssl", "1")], &[("openssl", "2")], &[("openssl", "3")]]).await;
    world.compact().await;
    // One is read anew, and one is no longer there.
    world.clock.advance(Duration::from_secs(7 * 24 * 3600));
    // The same ones, so that they are not too old.
    world.publish(&advisories()[..1]).await;
    world.rematch().await;
    let expected = debian(&[("zlib", "1")]);
    world.scan_anew(&images[0], &expected).await;
    world.forget(&images[1]).await;
    world.compact().await;
    let all = segments(&world).await;
    assert_eq!(all.iter().map(|entry| entry.images).sum::<u64>(), 2);
    world.publish(&[about("Debian:13", "unheard-of")]).await;
    assert_eq!(sent_for(&world).await, ids([&images[2]]));
    world.drain().await;
    world.publish(&advisories()[1..]).await;
    assert_eq!(sent_for(&world).await, ids([&images[0]]));
}

#[tokio::test]
async fn keys_of_another_version_are_made_anew() {
    let world = World::new().await;
    let images = scanned(&world, &[&[("openssl", "1")], &[("zlib", "1")]]).await;
    world.compact().await;
    let read = world.records.postings(&acme()).await.unwrap().unwrap();
    let mut postings = read.postings.clone();
    postings.segments[0].matching = MATCHING - 1;
    postings.covered.as_mut().unwrap().matching = MATCHING - 1;
    assert!(world.records.put_postings(&acme(), &postings, Some(&read)).await.unwrap());
    for image in &images {
        let stored = world.stored(image).await;
        let mut result = stored.result.clone();
        result.matching = MATCHING - 1;
        let (digest, platform) = (&image.digest, &image.platform);
        world.records.put_result(&acme(), digest, platform, &result, Some(&stored)).await.unwrap();
    }
    assert_eq!(sent_for(&world).await, ids(&images));
    world.drain().await;
    for image in &images {
        assert_eq!(world.stored(image).await.result.matching, MATCHING);
    }
    world.compact().await;
    world.compact().await;
    let segments = segments(&world).await;
    assert!(segments.iter().all(|entry| entry.matching == MATCHING), "{segments:?}");
    assert_eq!(segments.iter().map(|entry| entry.images).sum::<u64>(), 2);
}

#[tokio::test]
async fn when_a_segment_is_lost_everything_is_posted_anew() {
    for what in ["missing", "noise"] {
        let world = World::new().await;
        let images = scanned(&world, &[&[("openssl", "1")], &[("zlib", "1")]]).await;
        world.compact().await;
        let key = format!("postings/acme/{}.postcard", segments(&world).await[0].hash.hex());
        match what {
            "missing" => world.objects.delete(&key).await.unwrap(),
            _ => world.objects.put(&key, "noise".into()).await.unwrap(),
        }
        world.publish(&advisories()).await;
        let error = world.deliver(everything()).await.unwrap_err();
        assert_eq!(tidewatch_core::Retryable::retry(&error), tidewatch_core::Retry::Again);
        world.rematch().await;
        assert_eq!(world.vulnerabilities(&images[1]).await, 1);
        world.compact().await;
        world.publish(&advisories()[1..]).await;
        assert_eq!(sent_for(&world).await, ids([&images[0]]), "they are posted again");
    }
}

#[tokio::test]
async fn a_crash_before_any_operation_of_posting_loses_no_image() {
    for crash in 0..1_000 {
        let mut world = World::new().await;
        world.settings = RematchSettings { images_per_segment: 3, ..RematchSettings::default() };
        let mut images = scanned(&world, &[&[("zlib", "1")], &[("zlib", "1"), ("openssl", "1")]]).await;
        world.compact().await;
        images.push(world.scanned("team/new", &[("zlib", "2")]).await);
        world.scan_anew(&images[0], &debian(&[("zlib", "3")])).await;
        world.outages.fail_after(crash);
        let crashed = world.deliver(message(Some(RematchTask::Compact {}))).await;
        let finished = world.outages.operations() <= crash;
        world.outages.recover();
        assert_eq!(crashed.is_ok(), finished, "crash before operation {crash}");
        world.publish(&advisories()).await;
        assert_eq!(sent_for(&world).await, ids(&images), "crash before operation {crash}");
        world.drain().await;
        world.compact().await;
        world.publish(&advisories()[..1]).await;
        assert_eq!(sent_for(&world).await, ids(&images), "crash before operation {crash}");
        if finished {
            return;
        }
    }
    panic!("it takes more than 1000 operations");
}

#[tokio::test]
async fn a_crash_before_any_operation_of_sending_sends_for_no_image_too_few() {
    for crash in 0..1_000 {
        let world = World::new().await;
        let images = scanned(&world, &[&[("zlib", "1")], &[("openssl", "1")]]).await;
        world.compact().await;
        let unposted = world.scanned("team/new", &[("zlib", "2")]).await;
        world.publish(&advisories()).await;
        world.queue.clear();
        world.outages.fail_after(crash);
        let crashed = world.deliver(everything()).await;
        let finished = world.outages.operations() <= crash;
        world.outages.recover();
        assert_eq!(crashed.is_ok(), finished, "crash before operation {crash}");
        world.deliver(everything()).await.unwrap();
        let sent: BTreeSet<ImageId> = world.sent_for().into_iter().collect();
        assert_eq!(sent, ids([&images[0], &unposted]), "crash before operation {crash}");
        if finished {
            return;
        }
    }
    panic!("it takes more than 1000 operations");
}

const NAMES: [&str; 5] = ["openssl", "zlib", "libc", "bash", "curl"];
const IMAGES: usize = 6;

/// An image is scanned, or images are posted.
type Step = Option<(usize, BTreeSet<usize>)>;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let scan = (0..IMAGES, btree_set(0..NAMES.len(), 0..4)).prop_map(Some);
    vec(prop_oneof![3 => scan, 2 => Just(None)], 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever was posted and put together in whatever order: who asks for a package finds all that hold it. Once all are
    /// posted, and what is posted elsewhere is left out, nobody else.
    #[test]
    fn whoever_holds_a_package_is_found(steps in steps(), size in 1_u64..5) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            world.settings = RematchSettings { images_per_segment: size, ..RematchSettings::default() };
            let mut held: Vec<Option<BTreeSet<usize>>> = vec![None; IMAGES];
            let of = |number: usize| image(&format!("team/{number}"), &number.to_string());
            for step in &steps {
                match step {
                    Some((number, names)) => {
                        let packages: Vec<(&str, &str)> = names.iter().map(|name| (NAMES[*name], "1")).collect();
                        world.scan_anew(&of(*number), &debian(&packages)).await;
                        held[*number] = Some(names.clone());
                    }
                    None => world.compact().await,
                }
                for (number, name) in NAMES.iter().enumerate() {
                    let keys = [package_key("Debian:13", name)];
                    let found = world.records.images_with(&acme(), &keys).await.unwrap();
                    let found: BTreeSet<ImageId> = found.into_iter().collect();
                    for (image, names) in held.iter().enumerate() {
                        let holds = names.as_ref().is_some_and(|names| names.contains(&number));
                        prop_assert!(!holds || found.contains(&of(image).id()), "{} of {}", name, image);
                    }
                }
            }
            // A week later each segment is looked through, one each time.
            world.clock.advance(Duration::from_secs(7 * 24 * 3600));
            world.rematch().await;
            for _ in 0..steps.len() + 2 {
                world.compact().await;
            }
            for (number, name) in NAMES.iter().enumerate() {
                let found = world.records.images_with(&acme(), &[package_key("Debian:13", name)]).await.unwrap();
                let holders = (0..IMAGES).filter(|image| {
                    held[*image].as_ref().is_some_and(|names| names.contains(&number))
                });
                prop_assert_eq!(found, holders.map(|image| of(image).id()).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
            }
            Ok(())
        })?;
    }
}
