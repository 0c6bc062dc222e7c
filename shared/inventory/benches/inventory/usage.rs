//! What one run of a program costs. The numbers of the system are those of all children of a process, so a process of its
//! own starts the program, and has no other.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};

/// What one run of a program cost.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Time of processors, of the program and of the system for it.
    pub(crate) cpu: Duration,
    /// Time on the clock.
    pub(crate) wall: Duration,
    /// The most memory that was resident, in KiB.
    pub(crate) peak_kib: u32,
}

/// Runs `program` and prints what it cost, as JSON.
pub(crate) fn print(program: &str, arguments: &[String]) -> anyhow::Result<()> {
    let started = Instant::now();
    let status =
        Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let wall = started.elapsed();
    ensure!(status.success(), "{program} has failed: {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = duration(usage.user_time())? + duration(usage.system_time())?;
    let usage = Usage { cpu, wall, peak_kib: usage.max_rss().try_into()? };
    println!("{}", serde_json::to_string(&usage)?);
    Ok(())
}

fn duration(time: TimeVal) -> anyhow::Result<Duration> {
    Ok(Duration::from_secs(time.tv_sec().try_into()?) + Duration::from_micros(time.tv_usec().try_into()?))
}

/// What a run of `program` costs.
pub(crate) fn of(program: &Path, arguments: &[&str]) -> anyhow::Result<Usage> {
    let output = Command::new(std::env::current_exe()?)
        .arg("usage")
        .arg(program)
        .args(arguments)
        .env("SYFT_CHECK_FOR_APP_UPDATE", "false")
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "{} could not be measured", program.display());
    serde_json::from_slice(&output.stdout).context("failed to read what it cost")
}
