//! What the kernel says of a process: processor time and memory.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tidewatch_tests::request;

use crate::registry::{COUNTS, Counts, MOVE};

/// Ticks of processor time in a second, which Linux has fixed for what programs see.
const TICKS: u64 = 100;

/// Processor time of a process until now, user and system.
pub(crate) fn cpu(process: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program stands in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("no fields in stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 1_000 / TICKS))
}

/// The largest resident set of a process until now, in MiB.
pub(crate) fn peak_memory(process: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes / 1024.0)
}

/// The load of the machine: the average of the last minute.
pub(crate) fn load() -> anyhow::Result<String> {
    let load = std::fs::read_to_string("/proc/loadavg")?;
    Ok(load.split_whitespace().next().unwrap_or_default().to_owned())
}

/// The bytes of all files in a folder.
pub(crate) fn folder_bytes(folder: PathBuf) -> anyhow::Result<u64> {
    let (mut bytes, mut folders) = (0, vec![folder]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.metadata()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else {
                bytes += kind.len();
            }
        }
    }
    Ok(bytes)
}

/// The registry in its own process, ended when this is dropped.
pub(crate) struct RegistryProcess {
    child: Child,
    url: String,
}

impl RegistryProcess {
    /// Starts this program again as a registry with so many repositories, and waits until it serves them.
    pub(crate) fn start(repositories: usize) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["registry", &repositories.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("standard output is not there")?;
        let mut url = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut url)?;
        let url = url.trim().to_owned();
        ensure!(!url.is_empty(), "the registry did not start");
        Ok(Self { child, url })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Moves one tag in a hundred, and gives how many images are behind those.
    pub(crate) async fn move_tags(&self) -> anyhow::Result<usize> {
        Ok(serde_json::from_str(&self.get(MOVE).await?)?)
    }

    /// The requests until now, by their kind.
    pub(crate) async fn counts(&self) -> anyhow::Result<Counts> {
        Ok(serde_json::from_str(&self.get(COUNTS).await?)?)
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        let answer = request("GET", &format!("{}{path}", self.url), &[], "").await?;
        ensure!(answer.status == 200, "the registry answered {path} with {}: {}", answer.status, answer.body);
        Ok(answer.body)
    }
}

impl Drop for RegistryProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
