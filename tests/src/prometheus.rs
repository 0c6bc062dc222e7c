//! A Prometheus as a child process, and what it says of its targets and series.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tidewatch_core::ports::Sleeper as _;
use tidewatch_runtime::system::SystemSleeper;

/// How often it is looked for the address, and the pause between.
const LOOKS: usize = 300;
const LOOK: Duration = Duration::from_millis(100);

/// A running Prometheus, killed when it is dropped.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    log: PathBuf,
    url: String,
}

/// The labels of a series, its name as `__name__` among them.
pub type Labels = BTreeMap<String, String>;

impl Prometheus {
    /// Starts `prometheus` with the configuration in the file `config` on a free port of this machine, with its data and
    /// its log in the folder `data`, and waits until it says where it listens.
    pub async fn start(config: &Path, data: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data)?;
        let log = data.join("log");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.join("series").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?);
        let child = command.spawn().context("failed to start prometheus")?;
        let mut started = Self { child, log, url: String::new() };
        for _ in 0..LOOKS {
            if let Some(address) = listens_on(&started.said()) {
                started.url = format!("http://{address}");
                return Ok(started);
            }
            if started.child.try_wait()?.is_some() {
                break;
            }
            SystemSleeper.sleep(LOOK).await;
        }
        bail!("prometheus did not start:\n{}", started.said())
    }

    /// Its log so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The targets that it scrapes: <https://prometheus.io/docs/prometheus/latest/querying/api/#targets>.
    pub async fn targets(&self) -> anyhow::Result<Vec<Value>> {
        let data = self.ask("/api/v1/targets", &[]).await?;
        Ok(data["activeTargets"].as_array().context("there are no targets")?.clone())
    }

    /// What a query gives now, by the labels of the series:
    /// <https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries>.
    pub async fn query(&self, query: &str) -> anyhow::Result<BTreeMap<Labels, f64>> {
        let data = self.ask("/api/v1/query", &[("query", query)]).await?;
        let series = data["result"].as_array().context("there is no result")?;
        series
            .iter()
            .map(|series| {
                let labels = serde_json::from_value(series["metric"].clone())?;
                let value = series["value"][1].as_str().context("a series without a value")?;
                Ok((labels, value.parse()?))
            })
            .collect()
    }

    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        let request = reqwest::Client::new().get(format!("{}{path}", self.url)).query(parameters);
        let mut answer: Value = request.send().await?.json().await?;
        ensure!(answer["status"] == "success", "{path} {parameters:?}: {answer}");
        Ok(answer["data"].take())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in a log, once it is there. The port that was asked for is 0.
fn listens_on(log: &str) -> Option<&str> {
    let line = log.lines().find(|line| line.contains("\"Listening on\""))?;
    line.split_once("address=")?.1.split_whitespace().next()
}
