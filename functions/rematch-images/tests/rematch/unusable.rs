//! What is stored in no usable form is left to the next scan, and is in nobody's way.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tidewatch_assessment::record_failed;
use tidewatch_core::image::Image;
use tidewatch_core::ports::table::{Condition, Key};
use tidewatch_core::ports::{Clock as _, Objects as _, Table as _};
use tidewatch_core::problem::Problem;
use tidewatch_core::result::ResultState;
use tidewatch_inventory::ImageInventory;
use tidewatch_testkit::advisory::AdvisoryBuilder;

use crate::world::{World, acme, advisories, debian, everything, image};

/// An image of another repository, which must be matched whatever is wrong with the first.
async fn other(world: &World) -> Image {
    world.scanned("team/other", &[("openssl", "1"), ("zlib", "1")]).await
}

/// Changes the stored report of an image as JSON, under the same key.
async fn change_report(world: &World, image: &Image, change: impl FnOnce(&mut Value)) {
    let key = world.stored(image).await.result.report.unwrap();
    let bytes = world.objects.get(&key).await.unwrap().unwrap();
    let mut report: Value = serde_json::from_slice(&bytes).unwrap();
    change(&mut report);
    world.objects.put(&key, Bytes::from(report.to_string())).await.unwrap();
}

/// Puts newer advisories in force; the first image must stay as it is, and the other be matched.
async fn assert_left(world: &World, left: &Image, what: &str) {
    let other = other(world).await;
    let before = world.records.result(&acme(), &left.digest, &left.platform).await.unwrap();
    world.publish(&advisories()).await;
    world.rematch().await;
    let after = world.records.result(&acme(), &left.digest, &left.platform).await.unwrap();
    assert_eq!((after, world.vulnerabilities(&other).await), (before, 2), "{what}");
}

#[tokio::test]
async fn an_image_that_failed_is_left_to_its_next_scan() {
    let world = World::new().await;
    let failed = image("team/web", "1");
    world.tag(&failed, "latest").await;
    record_failed(&world.records, &acme(), &failed, "its layers are gone", world.clock.now()).await.unwrap();
    assert_left(&world, &failed, "failed").await;
    assert_eq!(world.stored(&failed).await.result.state, ResultState::Failed);
}

/// Whether the next listing has the image scanned.
async fn is_left_to_a_scan(world: &World, image: &Image) -> bool {
    !world.is_current(image).await
}

#[tokio::test]
async fn an_inventory_that_is_missing_or_of_a_newer_version_or_noise_is_left_to_the_next_scan() {
    for what in ["missing", "newer", "noise"] {
        for is_posted in [false, true] {
            let world = World::new().await;
            let image = world.scanned("team/web", &[("openssl", "1")]).await;
            if is_posted {
                world.compact().await;
            }
            let hash = world.stored(&image).await.result.inventory.unwrap();
            let key = format!("inventories/acme/{}.postcard", hash.hex());
            match what {
                "missing" => world.objects.delete(&key).await.unwrap(),
                "newer" => world.objects.put(&key, Bytes::from_static(&[2])).await.unwrap(),
                _ => world.objects.put(&key, "noise".into()).await.unwrap(),
            }
            let about_it = AdvisoryBuilder::new("DSA-7-1").affects_all("Debian:13", "openssl").build();
            world.publish(&[about_it]).await;
            world.rematch().await;
            assert!(is_left_to_a_scan(&world, &image).await, "{what}");
            assert_left(&world, &image, what).await;
            // Nor is it sent for again and again.
            world.clock.advance(Duration::from_secs(3600));
            world.compact().await;
            world.deliver(everything()).await.unwrap();
            assert!(!world.sent_for().contains(&image.id()), "{what}");
            world.scan(&image, &debian(&[("openssl", "1")])).await;
            assert!(!is_left_to_a_scan(&world, &image).await, "{what}");
        }
    }
}

#[tokio::test]
async fn a_report_that_cannot_be_judged_again_is_made_anew() {
    let world = World::new().await;
    let image = world.scanned("team/web", &[("openssl", "1")]).await;
    world.compact().await;
    let before = world.report(&image).await;
    let key = world.stored(&image).await.result.report.unwrap();
    world.objects.delete(&key).await.unwrap();
    world.apply(&json!([{"id": "fixable-vulnerabilities", "config": {"severities": ["LOW"]}}])).await;
    world.rematch().await;
    assert_eq!(world.stored(&image).await.revision, 2);
    assert_eq!(world.report(&image).await.findings, before.findings);
}

/// Makes the result of an image as an earlier version left it: with the inventory in its report, of version 1 or 2.
async fn as_of_version(world: &World, image: &Image, version: u32) {
    let stored = world.stored(image).await;
    let hash = stored.result.inventory.unwrap();
    let inventory = world.records.inventory(&acme(), &hash).await.unwrap().unwrap();
    change_report(world, image, |report| {
        report["version"] = json!(version);
        report["distribution"] = json!(inventory.distribution);
        report["packages"] = json!(inventory.packages);
        report["problems"] = json!(inventory.problems);
        if version == 1 {
            report.as_object_mut().unwrap().remove("unmatched");
        }
    })
    .await;
    let (partition, sort) = (format!("IMAGE#acme#{}#linux/amd64", image.digest.hex()), "RESULT");
    let mut result = serde_json::to_value(&stored.result).unwrap();
    for later in ["inventory", "matching", "matched"] {
        result.as_object_mut().unwrap().remove(later);
    }
    world.set_data(&partition, sort, &result.to_string()).await;
    for shard in 0..8 {
        let sort = format!("{}#linux/amd64", image.digest.hex());
        let key = Key::new(format!("UNPOSTED#acme#{shard}"), sort);
        world.table.delete(&key, Condition::Always).await.unwrap();
    }
}

#[tokio::test]
async fn images_of_earlier_versions_are_matched_and_posted_unless_their_reports_mix_problems() {
    let problem = vec![Problem::new("etc/os-release", "it is cut off")];
    for (version, problems, is_matched) in
        [(1, vec![], true), (1, problem.clone(), false), (2, vec![], true), (2, problem, true)]
    {
        let world = World::without_advisories().await;
        world.publish(&advisories()[..1]).await;
        let image = image("team/web", "1");
        world.tag(&image, "latest").await;
        let inventory = ImageInventory { problems, ..debian(&[("openssl", "1"), ("zlib", "1")]) };
        world.scan(&image, &inventory).await;
        let before = world.stored(&image).await.result;
        as_of_version(&world, &image, version).await;
        // Nothing else has changed: that is enough.
        world.rematch().await;
        let result = world.stored(&image).await.result;
        assert_eq!(result.inventory.is_some(), is_matched, "{version}");
        assert_eq!(!is_left_to_a_scan(&world, &image).await, is_matched, "{version}");
        if is_matched {
            assert_eq!(result.matched, before.matched);
            world.compact().await;
            world.publish(&advisories()).await;
            world.rematch().await;
            assert_eq!(world.vulnerabilities(&image).await, 2);
        }
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_does_not_hold_up_the_other_images() {
    for what in ["result", "tag", "slot"] {
        let world = World::new().await;
        let broken = world.scanned("team/web", &[("openssl", "1")]).await;
        let sound = image("team/web", "sound");
        world.tag(&sound, "sound").await;
        world.scan(&sound, &debian(&[("zlib", "1")])).await;
        let layout = tidewatch_core::stream::Layout::of(&tidewatch_core::names::StreamName::latest_indexed());
        let shard = layout.shard_of(&broken.registry, &broken.repository);
        let (partition, sort) = match what {
            "result" => (format!("IMAGE#acme#{}#linux/amd64", broken.digest.hex()), "RESULT"),
            "tag" => ("REPO#acme#hub/team/web".to_owned(), "TAG#latest"),
            _ => (format!("STREAM#acme#latest-indexed#{shard}"), "MEMBER#hub/team/web"),
        };
        world.break_item(&partition, sort).await;
        world.publish(&advisories()).await;
        world.rematch().await;
        assert_eq!(world.vulnerabilities(&sound).await, 1, "{what}");
    }
}

#[tokio::test]
async fn an_index_that_cannot_be_opened_is_tried_again() {
    let world = World::new().await;
    let image = world.scanned("team/web", &[("openssl", "1"), ("zlib", "1")]).await;
    world.publish(&advisories()).await;
    let hash = world.records.current_advisories().await.unwrap().hash("debian").unwrap();
    let index = world.records.advisory_index("debian", &hash).await.unwrap().unwrap();
    world.records.put_advisory_index("debian", &hash, "noise".into()).await.unwrap();
    let message = crate::world::repository_of(&image);
    let error = world.deliver(message.clone()).await.unwrap_err();
    assert_eq!(tidewatch_core::Retryable::retry(&error), tidewatch_core::Retry::Again);
    world.records.put_advisory_index("debian", &hash, index).await.unwrap();
    world.deliver(message).await.unwrap();
    assert_eq!(world.vulnerabilities(&image).await, 2);
}
