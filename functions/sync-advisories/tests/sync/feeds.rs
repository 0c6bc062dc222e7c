//! Sources that give no advisories: the catalogue of known exploited vulnerabilities, and the feeds of the NVD.

use serde_json::json;
use tidewatch_core::ports::Clock as _;
use tidewatch_testkit::archives::Fault;
use tidewatch_testkit::updateinfo::gzip;

use crate::world::{CRITICAL, KEV, MEDIUM, World, catalogue, debian, nvd_feed};

const NVD: &str = "/nvd/nvdcve-2.0-2004.json.gz";

async fn world() -> World {
    let world = World::of_every_kind(&["Debian"]).await;
    world.server.put("Debian", &[debian("DSA-1-1", "CVE-2024-1", "pkg")]);
    world.server.put_file(KEV, catalogue(&["CVE-2024-1"]).to_string());
    world.server.put_file(NVD, gzip(nvd_feed(&[("CVE-2024-1", MEDIUM)]).to_string().as_bytes()));
    world
}

/// What a build makes of a folder with what the server has.
fn expected(
    world: &World,
    exploited: &[&str],
    rated: &[(&str, &str)],
) -> std::collections::BTreeMap<String, tidewatch_core::Digest> {
    let folder = tempfile::TempDir::new().unwrap();
    let records = [debian("DSA-1-1", "CVE-2024-1", "pkg")];
    tidewatch_testkit::advisory::write_archive(folder.path(), "Debian", &records);
    for name in ["KEV", "NVD"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join(format!("KEV{KEV}")), catalogue(exploited).to_string()).unwrap();
    let feed = nvd_feed(rated).to_string();
    std::fs::write(folder.path().join("NVD/nvdcve-2.0-2004.json"), &feed).unwrap();
    std::fs::write(folder.path().join("NVD/nvdcve-2.0-2003.json.gz"), gzip(feed.as_bytes())).unwrap();
    world.built(folder.path())
}

#[tokio::test]
async fn what_they_know_is_in_the_index_as_in_that_of_a_build() {
    let world = world().await;
    world.tick().await;
    let first = world.in_force().await;
    assert_eq!(first, expected(&world, &["CVE-2024-1"], &[("CVE-2024-1", MEDIUM)]));
    let kev = world.source("KEV").await.archive.unwrap();
    assert_eq!((kev.records, kev.released_at.unwrap().to_string()), (1, "2024-05-01T00:00:00Z".to_owned()));
    assert_eq!(world.source("NVD-2004").await.archive.unwrap().records, 1);

    world.server.put_file(KEV, catalogue(&["CVE-2020-1"]).to_string());
    world.tick().await;
    let second = world.in_force().await;
    assert_eq!(second, expected(&world, &["CVE-2020-1"], &[("CVE-2024-1", MEDIUM)]));
    world.server.put_file(NVD, gzip(nvd_feed(&[("CVE-2024-1", CRITICAL)]).to_string().as_bytes()));
    world.tick().await;
    let third = world.in_force().await;
    assert_eq!(third, expected(&world, &["CVE-2020-1"], &[("CVE-2024-1", CRITICAL)]));
    assert!(first != second && second != third);
}

#[tokio::test]
async fn each_year_is_asked_for_by_itself_and_only_sent_when_it_has_changed() {
    let world = world().await;
    let years = world.sync.tick().await.unwrap() - 2;
    assert_eq!(years, 3, "and Debian and the catalogue");
    world.settle(Vec::new(), |_| 0).await;
    world.tick().await;
    assert_eq!(world.server.statuses_of(NVD), [200, 304]);
    assert_eq!(world.server.statuses_of(KEV), [200, 304]);
    assert!(world.error("NVD-2003").await.contains("404"));
    assert_eq!(world.source("NVD-2004").await.checked_at, Some(world.clock.now()));
}

#[tokio::test]
async fn what_is_broken_changes_nothing_and_is_recorded() {
    let world = world().await;
    world.tick().await;
    let before = world.in_force().await;
    world.server.put_file(KEV, r#"{"dateReleased": "2024-05-01T00:00:00Z"}"#);
    world.server.put_file(NVD, gzip(br#"{"vulnerabilities": [{"cve": "#));
    world.tick().await;
    assert!(
        world.error("KEV").await.contains("catalogue of known exploited"),
        "{}",
        world.error("KEV").await
    );
    assert!(world.error("NVD-2004").await.contains("failed to read the feed"));
    world
        .server
        .put_file(KEV, json!({"dateReleased": "2024-05-01T00:00:00Z", "vulnerabilities": []}).to_string());
    world.server.fail_file(NVD, Fault::Half);
    world.tick().await;
    assert!(world.error("KEV").await.contains("no record in it"), "{}", world.error("KEV").await);
    assert_eq!(world.in_force().await, before);
}

#[tokio::test]
async fn one_that_is_not_set_any_more_is_no_part_of_indexes() {
    let mut world = world().await;
    world.tick().await;
    world.again_with(|settings| settings.kev = None);
    world.tick().await;
    assert_eq!(world.in_force().await, expected(&world, &["CVE-2020-1"], &[("CVE-2024-1", MEDIUM)]));
    world.handle("KEV").await.unwrap();
    assert!(world.error("KEV").await.contains("TIDEWATCH_KEV_URL"));
}
