//! What a change of the advisories brings that was not known of an image is announced, once.

use serde_json::{Value, json};
use tidewatch_store::records::ANNOUNCEMENT_SHARDS;
use tidewatch_testkit::advisory::AdvisoryBuilder;

use crate::world::{World, acme, debian};

const CRITICAL: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
const LOW: &str = "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N";

fn advisory(number: u32, package: &str, vector: &str) -> Value {
    AdvisoryBuilder::new(&format!("DSA-{number}-1"))
        .upstream([format!("CVE-2099-{number:04}").as_str()])
        .severity("CVSS_V3", vector)
        .fixed("Debian:13", package, "99")
        .build()
}

async fn announced(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for shard in 0..ANNOUNCEMENT_SHARDS {
        let announcements = world.records.announcements(&acme(), shard, 100).await.unwrap();
        found.extend(announcements.into_iter().flat_map(|one| one.unwrap().announcement.vulnerabilities));
    }
    found
}

/// A world in which one image was scanned while only a first advisory about its package was known.
async fn scanned() -> World {
    let world = World::without_advisories().await;
    world.publish(&[advisory(1, "openssl", CRITICAL)]).await;
    world.rematch().await;
    world.scanned("team/web", &[("openssl", "1"), ("zlib", "1")]).await;
    world.compact().await;
    world
}

/// Puts these advisories in force, and matches all images again.
async fn publish(world: &World, advisories: &[Value]) {
    world.publish(advisories).await;
    world.rematch().await;
}

#[tokio::test]
async fn a_vulnerability_that_is_published_after_the_scan_is_announced_once() {
    let world = scanned().await;
    assert!(announced(&world).await.is_empty(), "a first result is no news");
    let all = [
        advisory(1, "openssl", CRITICAL),
        advisory(2, "zlib", CRITICAL),
        advisory(3, "zlib", LOW),
        advisory(4, "bash", CRITICAL),
    ];
    publish(&world, &all).await;
    assert_eq!(announced(&world).await, ["CVE-2099-0002"]);
    publish(&world, &all[..1]).await;
    publish(&world, &all).await;
    assert_eq!(announced(&world).await, ["CVE-2099-0002"], "withdrawn and published again");
    publish(&world, &[advisory(2, "zlib", CRITICAL), advisory(3, "zlib", CRITICAL)]).await;
    assert_eq!(announced(&world).await, ["CVE-2099-0002", "CVE-2099-0003"], "it has become worse");
}

#[tokio::test]
async fn the_severity_from_which_on_it_is_announced_can_be_chosen_and_it_can_be_switched_off() {
    for (events, expected) in [
        (json!({"severity": "LOW"}), vec!["CVE-2099-0002", "CVE-2099-0003"]),
        (json!({"enabled": false}), vec![]),
    ] {
        let world = scanned().await;
        world.configure(json!({"org": "acme", "events": events})).await;
        publish(&world, &[advisory(2, "zlib", CRITICAL), advisory(3, "zlib", LOW)]).await;
        assert_eq!(announced(&world).await, expected, "{events}");
    }
}

#[tokio::test]
async fn what_other_readers_find_in_an_image_is_no_news() {
    let world = scanned().await;
    let image = world.scanned("team/api", &[("zlib", "1")]).await;
    world.publish(&[advisory(2, "bash", CRITICAL)]).await;
    world.scan_anew(&image, &debian(&[("zlib", "1"), ("bash", "1")])).await;
    assert_eq!(world.vulnerabilities(&image).await, 1);
    assert!(announced(&world).await.is_empty());
}

#[tokio::test]
async fn a_scan_that_comes_before_the_rematch_announces_too_and_only_one_of_them() {
    let world = scanned().await;
    let image = world.scanned("team/api", &[("zlib", "1")]).await;
    world.publish(&[advisory(2, "zlib", CRITICAL)]).await;
    world.scan(&image, &debian(&[("zlib", "1")])).await;
    assert_eq!(announced(&world).await, ["CVE-2099-0002"]);
    world.rematch().await;
    // That of the other image comes beside it.
    assert_eq!(announced(&world).await, ["CVE-2099-0002", "CVE-2099-0002"]);
}
