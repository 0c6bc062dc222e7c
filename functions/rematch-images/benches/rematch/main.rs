//! Measures matching again (`make bench-advisories`): so many synthetic images, with packages and versions that the given
//! OSV archives know, on the table of local mode and a folder of objects. Posts them, adds one advisory and matches the images
//! again that it is about; then matches all of them. See docs/BENCHMARKS.md.
#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "it is a program for people, and prints no more than three places"
)]

mod fleet;
mod world;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tidewatch_testkit::advisory::AdvisoryBuilder;

use crate::fleet::Fleet;
use crate::world::World;

/// More than after which all images are matched again whatever they hold.
const EIGHT_DAYS: Duration = Duration::from_secs(8 * 24 * 3600);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [archives, images, folder] = arguments.as_slice() else {
        bail!("give a folder of OSV archives, the number of images, and a folder with room for them");
    };
    let images: usize = images.parse().context("the number of images is none")?;
    let folder = tempfile::TempDir::new_in(folder)?;
    let mut world = World::new(folder.path(), Path::new(archives)).await?;
    world.publish(&[]).await?;
    let fleet = Fleet::new(&world.indexes().await?)?;

    let start = Instant::now();
    let recorded = world.record(&fleet, images).await?;
    report("recorded (set-up)", images, start.elapsed());
    println!(
        "  {} packages and {} findings in an image; {} inventories of {} bytes",
        recorded.packages / images.max(1),
        recorded.findings / images.max(1),
        recorded.inventories,
        recorded.bytes / images.max(1),
    );
    world.send_changes().await?;
    world.handle_all().await?;

    let start = Instant::now();
    world.compact_all().await?;
    report("posted", images, start.elapsed());
    println!("  {} segments, {} bytes", world.segments().await?.len(), world.segment_bytes().await?);

    let advisories: Vec<Value> = (0..2)
        .filter_map(|nth| fleet.rare(nth))
        .enumerate()
        .map(|(nth, (ecosystem, name))| {
            AdvisoryBuilder::new(&format!("DSA-99999-{nth}")).affects_all(&ecosystem, &name).build()
        })
        .collect();
    world.publish(&advisories[..1]).await?;
    world.restart();
    let start = Instant::now();
    world.send_changes().await?;
    let found = start.elapsed();
    let matched = world.handle_all().await?;
    report("one advisory: found", images, found);
    report("one advisory: found and matched again", matched, start.elapsed());

    world.publish(&advisories).await?;
    world.clock.advance(EIGHT_DAYS);
    world.restart();
    let start = Instant::now();
    world.send_changes().await?;
    let matched = world.handle_all().await?;
    report("all: found and matched again", matched, start.elapsed());
    Ok(())
}

fn report(what: &str, images: usize, elapsed: Duration) {
    let each = elapsed.as_micros() / images.max(1) as u128;
    println!("{what}: {images} images in {:.3} s, {each} µs each", elapsed.as_secs_f64());
}
