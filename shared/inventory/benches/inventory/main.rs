//! Measures how much an inventory costs (`make bench-inventory`), and compares it with that of Syft (`make compare-syft`).
//! See docs/BENCHMARKS.md.
//!
//! What is measured runs as a process of its own, so that its memory is its own; where it is no other program, it is this
//! one with another first argument.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for people")]

mod compare;
mod floor;
mod layout;
mod measure;
mod usage;

use std::path::{Path, PathBuf};

use anyhow::bail;

fn main() -> anyhow::Result<()> {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Some((what, rest)) = arguments.split_first() else {
        bail!("say what to do: measure, compare, read, floor, floor-libdeflate or usage");
    };
    let paths = || rest.iter().map(PathBuf::from);
    match (what.as_str(), rest) {
        ("measure", [runs, syft, tidewatch, _, ..]) => measure::run(
            runs.parse()?,
            Path::new(syft),
            (tidewatch != "-").then(|| Path::new(tidewatch)),
            &paths().skip(3).collect::<Vec<_>>(),
        ),
        ("compare", [syft, _, ..]) => compare::run(Path::new(syft), &paths().skip(1).collect::<Vec<_>>()),
        ("read", [folder]) => {
            println!("{}", serde_json::to_string(&layout::read(Path::new(folder))?)?);
            Ok(())
        }
        ("floor", [folder]) => floor::run(Path::new(folder), floor::zlib_rs),
        ("floor-libdeflate", [folder]) => floor::run(Path::new(folder), floor::libdeflate),
        ("usage", [program, arguments @ ..]) => usage::print(program, arguments),
        _ => bail!("{what} has other arguments"),
    }
}
