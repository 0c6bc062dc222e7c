//! How far a download is can be seen while it goes on.

use std::time::Duration;

use tidewatch_core::ports::Clock as _;

use crate::world::{World, debian};

#[tokio::test]
async fn a_long_download_tells_how_far_it_is_and_a_short_one_nothing() {
    let mut world = World::of(&["Debian"]).await;
    let records: Vec<_> = (0..200).map(|n| debian(&format!("DSA-{n}-1"), "CVE-2024-1", "pkg")).collect();
    world.server.put("Debian", &records);
    world.handle("Debian").await.unwrap();
    assert!(world.records.advisory_progress().await.unwrap().is_empty());
    let size = world.source("Debian").await.archive.unwrap().size;

    world.again_with(|settings| settings.progress_period = Duration::ZERO);
    world.server.put("Debian", &records[1..]);
    world.handle("Debian").await.unwrap();
    let told = world.records.advisory_progress().await.unwrap().remove("Debian").unwrap();
    let now = world.source("Debian").await.archive.unwrap().size;
    assert!(now < size);
    assert_eq!((told.done, told.total, told.at), (now, Some(now), world.clock.now()));
}
