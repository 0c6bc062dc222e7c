//! Measures metrics (`make bench-metrics`): so many images in a stream on the table of local mode, rolled up after few and
//! after many changes; then the largest snapshot that is served by default, scraped from local mode. See
//! docs/BENCHMARKS.md.
#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "it is a program for people, and prints no more than three places"
)]

mod fleet;
mod world;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tidewatch_tests::LocalMode;
use tidewatch_tests::load::{Load, Measured};

use crate::world::World;

/// How many scrapers ask at the same time.
const SCRAPERS: u32 = 64;

/// How many changes are rolled up at once.
const MANY: usize = 10_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [images, seconds, folder] = arguments.as_slice() else {
        bail!("give the numbers of images, the seconds of each load, and a folder with room for them");
    };
    let seconds = Duration::from_secs(seconds.parse().context("the seconds are no number")?);
    for images in images.split(',') {
        let images = images.parse().context("the number of images is none")?;
        let folder = tempfile::TempDir::new_in(folder)?;
        let data = folder.path().join("data");
        let token = roll_up(&data, images).await?;
        scrape(&data, &token, seconds).await?;
    }
    Ok(())
}

/// Measures roll-ups of so many images in the data folder, publishes the largest snapshot there, and gives a token.
async fn roll_up(data: &Path, images: usize) -> anyhow::Result<String> {
    println!("{images} images");
    let world = World::new(data).await?;
    let start = Instant::now();
    world.write(0..images, 1).await?;
    report("written (set-up)", start.elapsed());
    for (what, changed, revision) in [
        ("rolled up, everything", 0, 1),
        ("rolled up, nothing changed", 0, 1),
        ("rolled up, 1 change", 1, 2),
        ("rolled up, 10,000 changes", MANY.min(images), 3),
    ] {
        world.write(0..changed, revision).await?;
        let before = world.operations();
        let start = Instant::now();
        world.roll_up().await?;
        report(what, start.elapsed());
        println!("  {} operations of the table", world.operations() - before);
    }
    let sizes = world.publish_largest().await?;
    println!(
        "  snapshot of {} streams and {} policies: {} series; {} bytes as text, {} compressed; our own families {} and {}",
        fleet::STREAMS,
        fleet::POLICIES,
        sizes.series,
        sizes.text,
        sizes.compressed,
        sizes.own_text,
        sizes.own_compressed,
    );
    println!("  {} reads of the table for a scrape", world.reads_of_a_scrape().await?);
    world.token().await
}

/// Measures scrapes of local mode on the data folder.
async fn scrape(data: &Path, token: &str, seconds: Duration) -> anyhow::Result<()> {
    let unlimited = [("TIDEWATCH_SCRAPES_PER_MINUTE", "0")];
    let local = LocalMode::start_with(Path::new(env!("CARGO_BIN_EXE_tidewatch")), data, &unlimited)?;
    let url = format!("{}/v1/exporter/org/{}/metrics", local.url(), world::ORG);
    let authorization = format!("Bearer {token}");
    for encoding in ["gzip", "identity"] {
        let load = Load::new(&url, &[("authorization", &authorization), ("accept-encoding", encoding)])?;
        let open = load.open_loop(SCRAPERS, Duration::from_secs(1), seconds).await;
        report_load(&format!("{SCRAPERS} scrapers, each once a second, {encoding}"), &open)?;
        let closed = load.closed_loop(SCRAPERS, seconds).await;
        report_load(&format!("{SCRAPERS} scrapers, as fast as they can, {encoding}"), &closed)?;
    }
    Ok(())
}

fn report(what: &str, took: Duration) {
    println!("  {what}: {:.3} s", took.as_secs_f64());
}

fn report_load(what: &str, measured: &Measured) -> anyhow::Result<()> {
    ensure!(measured.failures == 0, "{what}: {} scrapes failed", measured.failures);
    let millis = |hundredths| measured.percentile(hundredths).as_secs_f64() * 1_000.0;
    let rate = measured.latencies.len() as f64 / measured.elapsed.as_secs_f64();
    println!(
        "  {what}: {rate:.0} a second; p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
        millis(50),
        millis(99),
        millis(100),
    );
    Ok(())
}
