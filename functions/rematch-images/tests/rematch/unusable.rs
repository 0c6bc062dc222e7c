//! What is stored in no usable form is left to the next scan, and is in nobody's way.

use bytes::Bytes;
use serde_json::{Value, json};
use tidewatch_assessment::record_failed;
use tidewatch_core::image::Image;
use tidewatch_core::ports::{Clock as _, Objects as _};
use tidewatch_core::problem::Problem;
use tidewatch_core::result::ResultState;
use tidewatch_inventory::ImageInventory;

use crate::world::{World, acme, advisories, debian, image};

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

#[tokio::test]
async fn a_report_that_is_missing_or_of_a_newer_version_or_noise_is_left_to_the_next_scan() {
    for what in ["missing", "newer", "noise"] {
        let world = World::new().await;
        let image = world.scanned("team/web", &[("openssl", "1")]).await;
        let key = world.stored(&image).await.result.report.unwrap();
        match what {
            "missing" => world.objects.delete(&key).await.unwrap(),
            "newer" => change_report(&world, &image, |report| report["version"] = json!(3)).await,
            _ => world.objects.put(&key, "noise".into()).await.unwrap(),
        }
        assert_left(&world, &image, what).await;
    }
}

#[tokio::test]
async fn a_report_of_version_1_is_matched_unless_it_mixes_problems_of_reading_and_matching() {
    for (problems, vulnerabilities) in
        [(vec![], 2), (vec![Problem::new("etc/os-release", "it is cut off")], 1)]
    {
        let world = World::new().await;
        let image = image("team/web", "1");
        world.tag(&image, "latest").await;
        let inventory = ImageInventory { problems, ..debian(&[("openssl", "1"), ("zlib", "1")]) };
        world.scan(&image, &inventory).await;
        change_report(&world, &image, |report| {
            report["version"] = json!(1);
            report.as_object_mut().unwrap().remove("unmatched");
        })
        .await;
        world.publish(&advisories()).await;
        world.rematch().await;
        assert_eq!(world.vulnerabilities(&image).await, vulnerabilities);
        // To judge it is enough to have the findings.
        world.apply(&json!([{"id": "fixable-vulnerabilities", "enabled": false}])).await;
        if vulnerabilities == 1 {
            world.publish(&advisories()[..1]).await;
        }
        world.rematch().await;
        assert_eq!(world.stored(&image).await.result.policies, [].into());
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
        let shard = tidewatch_core::stream::shard_of(&broken.registry, &broken.repository);
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
