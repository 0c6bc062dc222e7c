//! Measures what advisories cost (`make bench-advisories`): how long an index takes to be built and opened, how large it
//! is, and how long a look-up takes, on a folder of OSV archives and on the same archives cloned. See docs/BENCHMARKS.md.
#![allow(clippy::print_stdout, reason = "it is a program for people")]

mod clones;
mod measure;

use std::path::Path;

use anyhow::bail;

fn main() -> anyhow::Result<()> {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [source, clones] = arguments.as_slice() else {
        bail!("give a folder of OSV archives and the number of clones");
    };
    let source = Path::new(source);
    let once = measure::run("the snapshot", source)?;
    let folder = tempfile::tempdir()?;
    let clones = clones.parse()?;
    clones::write(source, clones, folder.path())?;
    let many = measure::run(&format!("the snapshot, cloned {clones} times"), folder.path())?;
    measure::print_growth(&once, &many);
    Ok(())
}
