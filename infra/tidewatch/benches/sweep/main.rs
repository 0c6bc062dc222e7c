//! Measures sweeps (`make bench-sweep`): local mode lists and scans a synthetic registry, which a process of its own serves
//! over HTTP; then again, with nothing changed; then after one tag in a hundred has moved. See docs/BENCHMARKS.md.
#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "it is a program for people, and prints no more than two places"
)]

mod fleet;
mod process;
mod registry;
mod report;
mod sweep;

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use tidewatch_testkit::advisory::write_archive;
use tidewatch_tests::run;

use crate::process::{RegistryProcess, folder_bytes};
use crate::report::{Measured, print_growth};
use crate::sweep::Swept;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [first, second] = arguments.as_slice() else {
        bail!("give the numbers of images, and a folder with room for them");
    };
    if first == "registry" {
        return registry::serve(second.parse()?).await;
    }
    let mut measured: Vec<Measured> = Vec::new();
    for images in first.split(',') {
        let images: usize = images.parse().context("the number of images is none")?;
        measured.push(measure(images.div_ceil(fleet::IMAGES).max(1), Path::new(second)).await?);
        if let [.., fewer, more] = measured.as_slice() {
            print_growth(fewer, more);
        }
    }
    Ok(())
}

/// Measures the sweeps of so many repositories in a data folder below `folder`.
async fn measure(repositories: usize, folder: &Path) -> anyhow::Result<Measured> {
    let folder = tempfile::TempDir::new_in(folder)?;
    let registry = RegistryProcess::start(repositories)?;
    let binary = Path::new(env!("CARGO_BIN_EXE_tidewatch"));
    let data = folder.path().join("data");
    let archives = folder.path().join("advisories");
    for (ecosystem, records) in fleet::advisories() {
        write_archive(&archives, ecosystem, &records);
    }
    let archives = archives.to_str().context("the folder's name is no text")?;
    let built = run(binary, &data, &["advisories", "build", "--from", archives, "--quiet"])?;
    ensure!(built.code == Some(0), "advisories cannot be built: {}", built.stderr);
    let config = folder.path().join("tidewatch.yaml");
    std::fs::write(&config, configuration(registry.url()))?;
    let swept = Swept { registry: &registry, binary, data: data.clone(), config };
    let first = swept.sweep().await?;
    let unchanged = swept.sweep().await?;
    let moved = registry.move_tags().await?;
    let changed = swept.sweep().await?;
    let (images, bytes) = (repositories * fleet::IMAGES, folder_bytes(data)?);
    let measured = Measured { images, repositories, moved, bytes, first, unchanged, changed };
    measured.print();
    Ok(measured)
}

fn configuration(registry: &str) -> String {
    format!(
        "org: bench\nplatforms: [linux/amd64, linux/arm64]\n\
         registries:\n  - {{id: hub, kind: oci, url: {registry}}}\n\
         rules:\n  - {{id: everything, registries: [hub], include: [\"**\"], schedule: manual}}\n"
    )
}
