//! Clients of the metrics endpoint, as their makers publish them for Python: the OpenMetrics check of Datadog's agent, and
//! the parsers of Prometheus' client. `make test-clients` installs them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::ministack::{TOOLS, tools};
use crate::skip::skipped;

const SCRIPT: &str = include_str!("scrape_clients.py");

/// The clients, in a virtual environment of Python.
#[derive(Debug)]
pub struct ScrapeClients {
    python: PathBuf,
}

impl ScrapeClients {
    /// The clients in the folder of the tools; `None` without, and then it says that `what` is not tested.
    pub fn find_or_skip(what: &str) -> Option<Self> {
        let python = tools().map(|tools| tools.join("clients/bin/python")).filter(|python| python.exists());
        if python.is_none() {
            skipped(format_args!(
                "{what}: {TOOLS} does not name a folder with clients/bin/python: make test-clients"
            ));
        }
        python.map(|python| Self { python })
    }

    /// What Datadog's check takes in one run by the configuration in the file `config`: `error` (a text or nothing),
    /// `health` (0 is well, 2 is critical), and `samples`, each with `name`, `kind`, `value` and `tags`.
    pub fn datadog(&self, config: &Path) -> Value {
        let config = config.to_str().expect("a path in UTF-8");
        self.run(&["datadog", config], "").unwrap_or_else(|error| panic!("the check ended: {error}"))
    }

    /// The families that Prometheus' client reads in a text of format 0.0.4, or what it finds wrong with it. Each has
    /// `name`, `kind`, `help` and `samples`, and each of those `name`, `labels` and `value`.
    pub fn text(&self, exposition: &str) -> Result<Value, String> {
        self.run(&["text"], exposition)
    }

    /// The same for OpenMetrics.
    pub fn open_metrics(&self, exposition: &str) -> Result<Value, String> {
        self.run(&["openmetrics"], exposition)
    }

    fn run(&self, arguments: &[&str], input: &str) -> Result<Value, String> {
        let mut command = Command::new(&self.python);
        command.args(["-c", SCRIPT]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut client = command.spawn().expect("Python starts");
        let mut stdin = client.stdin.take().expect("a standard input");
        // It may end before it has read everything.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = client.wait_with_output().expect("Python ends");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(serde_json::from_slice(&output.stdout).expect("JSON of the script"))
    }
}
