//! Measures ours, Syft and the floor side by side, and prints tables.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::layout::{Image, images, layers};
use crate::usage::{self, Usage};

/// The goal: at most so much of the processor time of the floor, and [`ALLOWANCE`].
const FLOOR_FACTOR: f64 = 1.35;
const ALLOWANCE: Duration = Duration::from_millis(50);

/// The goal holds for images that are larger.
const LARGE_BYTES: u64 = 50_000_000;

/// The goal: so many times less processor time than Syft.
const SYFT_FACTOR: f64 = 10.0;

/// The goals for the memory, in MiB: of an image of 1 GB, and of others.
const PEAK_OF_HUGE: f64 = 64.0;
const PEAK: f64 = 32.0;
const HUGE_BYTES: u64 = 500_000_000;

const NAMES: [&str; 4] = ["tidewatch", "floor", "floor, libdeflate", "Syft"];

/// What the programs cost for one image, in the order of [`NAMES`].
struct Row {
    image: String,
    layers: usize,
    packed: u64,
    costs: [Usage; 4],
}

/// Measures each image of the layouts `paths` `runs` times, and prints the medians. `syft` is its program; `tidewatch` the
/// command, or the library is measured.
pub(crate) fn run(
    runs: usize,
    syft: &Path,
    tidewatch: Option<&Path>,
    paths: &[PathBuf],
) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let this = std::env::current_exe()?;
    let mut rows = Vec::new();
    for path in paths {
        for image in
            images(path, scratch.path()).with_context(|| format!("failed to read {}", path.display()))?
        {
            eprintln!("measuring {} {runs} times", image.name);
            let folder = image.folder.to_str().context("the temporary folder has an odd name")?;
            let (layout, own) = (format!("oci-dir:{folder}"), format!("oci:{folder}"));
            let (ours, arguments) = match tidewatch {
                Some(command) => (command, vec!["inventory", &own, "--format", "json"]),
                None => (this.as_path(), vec!["read", folder]),
            };
            let programs: [(&Path, Vec<&str>); 4] = [
                (ours, arguments),
                (&this, vec!["floor", folder]),
                (&this, vec!["floor-libdeflate", folder]),
                (syft, vec!["scan", "--quiet", "--output", "json", &layout]),
            ];
            rows.push(row(&image, runs, &programs)?);
        }
    }
    let ours = if tidewatch.is_some() { "the command" } else { "the library" };
    println!("Of tidewatch {ours} was measured. Medians of {runs} runs.\n");
    print_processor_time(&rows);
    print_others(&rows);
    Ok(())
}

fn row(image: &Image, runs: usize, programs: &[(&Path, Vec<&str>); 4]) -> anyhow::Result<Row> {
    let mut costs: [Vec<Usage>; 4] = Default::default();
    // One after the other in each run: what else the machine does then hits all of them alike.
    for _ in 0..runs {
        for ((program, arguments), costs) in programs.iter().zip(&mut costs) {
            costs.push(usage::of(program, arguments)?);
        }
    }
    let layers = layers(&image.folder)?;
    let mut packed = 0;
    for layer in &layers {
        packed += std::fs::metadata(&layer.path)?.len();
    }
    Ok(Row {
        image: image.name.clone(),
        layers: layers.len(),
        packed,
        costs: costs.map(|costs| median(&costs)),
    })
}

/// The median of each number by itself.
fn median(costs: &[Usage]) -> Usage {
    fn middle<T: Ord + Copy + Default>(values: impl Iterator<Item = T>) -> T {
        let mut values: Vec<T> = values.collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or_default()
    }
    Usage {
        cpu: middle(costs.iter().map(|cost| cost.cpu)),
        wall: middle(costs.iter().map(|cost| cost.wall)),
        peak_kib: middle(costs.iter().map(|cost| cost.peak_kib)),
    }
}

/// The table of processor time with its goals.
fn print_processor_time(rows: &[Row]) {
    println!(
        "| image | layers | compressed | {} CPU | floor × {FLOOR_FACTOR} + {} ms | Syft ÷ tidewatch, goal {SYFT_FACTOR} |",
        NAMES.join(" CPU | "),
        ALLOWANCE.as_millis()
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for row in rows {
        let [ours, floor, _, syft] = row.costs.map(|cost| cost.cpu.as_secs_f64());
        let goal = floor.mul_add(FLOOR_FACTOR, ALLOWANCE.as_secs_f64());
        let verdict = if row.packed > LARGE_BYTES { mark(ours <= goal) } else { "no goal" };
        let times = syft / ours;
        println!(
            "| {} | {} | {} MB | {} | {goal:.3} s, {verdict} | {times:.1}, {} |",
            row.image,
            row.layers,
            row.packed / 1_000_000,
            row.costs.map(|cost| format!("{:.3} s", cost.cpu.as_secs_f64())).join(" | "),
            mark(times >= SYFT_FACTOR),
        );
    }
    println!();
}

/// The table of what the clock says and of memory, with its goal.
fn print_others(rows: &[Row]) {
    println!(
        "| image | {} wall | {} peak | goal of tidewatch |",
        NAMES.join(" wall | "),
        NAMES.join(" peak | ")
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for row in rows {
        let peaks = row.costs.map(|cost| f64::from(cost.peak_kib) / 1024.0);
        let goal = if row.packed > HUGE_BYTES { PEAK_OF_HUGE } else { PEAK };
        println!(
            "| {} | {} | {} | {goal} MiB, {} |",
            row.image,
            row.costs.map(|cost| format!("{:.3} s", cost.wall.as_secs_f64())).join(" | "),
            peaks.map(|peak| format!("{peak:.0} MiB")).join(" | "),
            mark(peaks[0] < goal),
        );
    }
}

const fn mark(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}
