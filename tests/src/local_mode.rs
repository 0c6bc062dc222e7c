//! Local mode as a child process.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::Value;

/// How long local mode may take to say where it listens.
const START: Duration = Duration::from_secs(60);

/// Variables with which local mode fetches no advisories, unless a test says where they are: it would ask those who
/// publish them.
pub const NOTHING_FETCHED: [(&str, &str); 4] = [
    ("TIDEWATCH_ADVISORIES_URL", "none"),
    ("TIDEWATCH_AMAZON_LINUX_URL", "none"),
    ("TIDEWATCH_KEV_URL", "none"),
    ("TIDEWATCH_EOL_URL", "none"),
];

/// A running `tidewatch up`, killed when it is dropped.
#[derive(Debug)]
pub struct LocalMode {
    child: Child,
    binary: PathBuf,
    data: PathBuf,
    url: String,
    said: Arc<Mutex<String>>,
    /// Ends with the process.
    listener: Option<JoinHandle<()>>,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; none when it was killed.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
}

/// An answer of the HTTP side.
#[derive(Debug)]
pub struct Scrape {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body as text.
    pub body: String,
}

impl LocalMode {
    /// Starts `binary` on the folder `data`, on a free port, and waits until it says where it listens. It fetches no
    /// advisories.
    pub fn start(binary: &Path, data: &Path) -> anyhow::Result<Self> {
        Self::start_with(binary, data, &[])
    }

    /// Starts it as [`Self::start`] does, with these variables in its environment besides.
    pub fn start_with(binary: &Path, data: &Path, environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut child = Command::new(binary)
            .args(["up", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .envs(NOTHING_FETCHED)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {}", binary.display()))?;
        let stderr = child.stderr.take().context("standard error is not there")?;
        let (sender, lines) = mpsc::channel();
        let said = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&said);
        // Reads on for as long as the process lives, so that it never blocks on a full pipe.
        let listener = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_str(&line);
                kept.push('\n');
                drop(kept);
                // Nobody listens any more once the address is known.
                let _ = sender.send(line);
            }
        });
        let mut process = Self {
            child,
            binary: binary.to_owned(),
            data: data.to_owned(),
            url: String::new(),
            said,
            listener: Some(listener),
        };
        loop {
            let Ok(line) = lines.recv_timeout(START) else {
                bail!("local mode did not start:\n{}", process.stderr())
            };
            if let Some((_, rest)) = line.split_once("metrics at ") {
                let end = rest.find("/v1/").context("no address was said")?;
                rest[..end].clone_into(&mut process.url);
                return Ok(process);
            }
        }
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on standard error so far.
    pub fn stderr(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kills the process at once, as a power cut would.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks the process to stop, as a supervisor does, and waits for its end.
    pub fn terminate(mut self) -> anyhow::Result<Finished> {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status()?;
        ensure!(asked.success(), "the process cannot be asked to stop");
        let code = self.child.wait()?.code();
        if let Some(listener) = self.listener.take() {
            listener.join().map_err(|_| anyhow!("standard error was not read to its end"))?;
        }
        Ok(Finished { code, stdout: String::new(), stderr: self.stderr() })
    }

    /// Leaves the process running, and gives its id.
    pub fn leave(self) -> u32 {
        let id = self.child.id();
        std::mem::forget(self);
        id
    }

    /// Runs a command on the same data folder.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<Finished> {
        run(&self.binary, &self.data, arguments)
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub fn must(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let finished = self.run(arguments)?;
        ensure!(finished.code == Some(0), "tidewatch {arguments:?} failed: {}", finished.stderr);
        Ok(finished.stdout)
    }

    /// Runs a command that must succeed with `--format json`, and gives the document.
    pub fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let printed = self.must(&[arguments, &["--format", "json"]].concat())?;
        serde_json::from_str(&printed).with_context(|| format!("no JSON: {printed}"))
    }

    /// Scrapes the metrics of an organisation.
    pub async fn scrape(&self, org: &str, token: Option<&str>) -> anyhow::Result<Scrape> {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        self.request("GET", &format!("/v1/exporter/org/{org}/metrics"), &headers).await
    }

    /// Sends a request without a body: `method`, `path` from the root on, and these headers and no others.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Scrape> {
        request(method, &format!("{}{path}", self.url), headers, "").await
    }

    /// Posts `body` to `path`, with these headers and no others.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: String) -> anyhow::Result<Scrape> {
        request("POST", &format!("{}{path}", self.url), headers, &body).await
    }
}

impl Drop for LocalMode {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request to `url` with these headers and no others.
pub async fn request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> anyhow::Result<Scrape> {
    let request = reqwest::Client::new().request(method.parse()?, url);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = request.body(body.to_owned()).send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Scrape { status, headers, body: response.text().await? })
}

/// Runs `binary` with `arguments` on the folder `data`. It fetches no advisories.
pub fn run(binary: &Path, data: &Path, arguments: &[&str]) -> anyhow::Result<Finished> {
    let mut command = Command::new(binary);
    command.arg("--data").arg(data).args(arguments).envs(NOTHING_FETCHED);
    let output = command.stdin(Stdio::null()).output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Finished { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) })
}
