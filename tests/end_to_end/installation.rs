//! One installation: a data folder, its configuration, and the process that runs it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tidewatch_core::Timestamp;
use tidewatch_core::ports::queue::{MAX_RECEIVES, OutgoingMessage, QueueName};
use tidewatch_core::ports::{QueueReceiver as _, QueueSender as _, Sleeper as _};
use tidewatch_runtime::system::{SystemClock, SystemSleeper};
use tidewatch_store::local_table::open_or_join;
use tidewatch_store::{LocalQueue, ObjectStorage, Records};
use tidewatch_testkit::fixtures;
use tidewatch_testkit::registry::TestRegistry;
use tidewatch_tests::{Finished, LocalMode};

pub(crate) use tidewatch_tests::Numbers;

/// The command.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tidewatch");

/// The organisation of the tests that need only one.
pub(crate) const ORG: &str = "acme";

/// The pause between two looks at something that must stay.
const LOOK: Duration = Duration::from_millis(200);

/// How long something may take that must come about by itself.
const PATIENCE: Duration = Duration::from_secs(90);

/// A folder of its own with a data folder in it. It is removed with everything when it is dropped.
pub(crate) struct Installation {
    folder: TempDir,
}

impl Installation {
    /// One in which nothing has happened yet.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// One with the advisories of the fixtures and this configuration in force.
    pub(crate) fn configured(configuration: &Configuration) -> Self {
        let installation = Self::new();
        installation.build_advisories(&fixtures::advisories());
        installation.apply(configuration);
        installation
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Writes a file beside the data folder and gives its path.
    pub(crate) fn file(&self, name: &str, content: impl fmt::Display) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        tidewatch_tests::run(Path::new(BINARY), &self.data(), arguments).unwrap()
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        let Finished { code, stdout, stderr } = self.run(arguments);
        assert_eq!(code, Some(0), "tidewatch {arguments:?} failed: {stderr}");
        stdout
    }

    /// Runs a command that must succeed with `--format json`, and gives the document.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        read_json(&self.must(&[arguments, &["--format", "json"]].concat()))
    }

    pub(crate) fn build_advisories(&self, from: &Path) {
        self.must(&["advisories", "build", "--from", from.to_str().unwrap()]);
    }

    pub(crate) fn apply(&self, configuration: &Configuration) {
        let file = self.file("tidewatch.yaml", configuration);
        self.must(&["apply", &file]);
    }

    pub(crate) fn token(&self, org: &str) -> String {
        self.must(&["token", "create", "--org", org]).trim().to_owned()
    }

    /// Starts local mode.
    pub(crate) fn up(&self) -> LocalMode {
        self.up_with(&[])
    }

    /// Starts local mode with these variables in its environment.
    pub(crate) fn up_with(&self, environment: &[(&str, &str)]) -> LocalMode {
        LocalMode::start_with(Path::new(BINARY), &self.data(), environment).unwrap()
    }

    /// Runs the rule of [`Configuration`] to its end, which must be a good one, and gives its row.
    pub(crate) fn run_rule(&self) -> Value {
        self.json(&["rules", "run", "everything", "--wait"])["runs"][0].clone()
    }

    /// Every image that is known.
    pub(crate) fn images(&self) -> Vec<Value> {
        self.json(&["images"])["images"].as_array().unwrap().clone()
    }

    /// The one image of a repository.
    pub(crate) fn image(&self, repository: &str) -> Value {
        let images = self.json(&["images", "--repository", repository])["images"].as_array().unwrap().clone();
        assert_eq!(images.len(), 1, "{repository}: {images:?}");
        images[0].clone()
    }

    /// The records of the data folder, or of the running instance on it.
    pub(crate) async fn records(&self) -> Records {
        let data = self.data();
        let table = open_or_join(&data.join("table"), &data.join("tidewatch.sock")).await.unwrap();
        let objects = ObjectStorage::folder(&data.join("objects")).unwrap();
        Records::new(table, Arc::new(objects), Arc::new(SystemSleeper))
    }

    /// Sends `body` to a queue of the data folder, and receives it until it is a dead letter. Nothing runs on the folder.
    pub(crate) async fn make_dead_letter(&self, queue: QueueName, body: &str) {
        let path = self.data().join("queue.sqlite");
        let queues = LocalQueue::open(&path, Arc::new(SystemClock)).await.unwrap();
        let message = OutgoingMessage { body: body.to_owned(), delay: Duration::ZERO };
        queues.send(queue, vec![message]).await.unwrap();
        for _ in 0..MAX_RECEIVES {
            let received = queues.receive(queue, 1, Duration::from_secs(60)).await.unwrap();
            queues.release(queue, &received[0].receipt, Duration::ZERO).await.unwrap();
        }
        assert_eq!(queues.dead_letters(queue, 10).await.unwrap().len(), 1);
    }

    /// How many work rows a registry has, whenever they are due.
    pub(crate) async fn work_rows(&self, org: &str, registry: &str) -> usize {
        let records = self.records().await;
        let (org, registry) = (org.parse().unwrap(), registry.parse().unwrap());
        records.count_work(&org, &registry, Timestamp::MAX, usize::MAX).await.unwrap()
    }
}

/// A configuration with one rule, `everything`, which takes every image of every registry, when it is told to unless it has
/// another schedule.
#[derive(Clone)]
pub(crate) struct Configuration {
    org: String,
    registries: Vec<(String, String)>,
    policies: Vec<String>,
    schedule: String,
}

impl Configuration {
    pub(crate) fn new(org: &str) -> Self {
        let (registries, policies) = (Vec::new(), Vec::new());
        Self { org: org.to_owned(), registries, policies, schedule: "manual".to_owned() }
    }

    /// One of [`ORG`] with `registry` under the id `local`.
    pub(crate) fn of(registry: &TestRegistry) -> Self {
        Self::new(ORG).registry("local", &registry.url())
    }

    pub(crate) fn registry(mut self, id: &str, url: &str) -> Self {
        self.registries.push((id.to_owned(), format!("url: {url:?}")));
        self
    }

    /// A change to a policy, as it stands in the file.
    pub(crate) fn policy(mut self, policy: &str) -> Self {
        self.policies.push(policy.to_owned());
        self
    }

    /// Another schedule of the rule, as it stands in the file.
    pub(crate) fn schedule(mut self, schedule: &str) -> Self {
        schedule.clone_into(&mut self.schedule);
        self
    }

    /// A registry with a rate, as it stands in the file.
    pub(crate) fn registry_with_rate(mut self, id: &str, url: &str, rate: &str) -> Self {
        self.registries.push((id.to_owned(), format!("url: {url:?}, rate: {rate}")));
        self
    }

    /// A registry with credentials, as they stand in the file: `{env: VAR}`.
    pub(crate) fn registry_with_credentials(mut self, id: &str, url: &str, credentials: &str) -> Self {
        self.registries.push((id.to_owned(), format!("url: {url:?}, credentials: {credentials}")));
        self
    }
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "org: {}\nregistries:", self.org)?;
        for (id, rest) in &self.registries {
            writeln!(f, "  - {{id: {id}, kind: oci, {rest}}}")?;
        }
        let ids: Vec<&str> = self.registries.iter().map(|(id, _)| id.as_str()).collect();
        let (ids, schedule) = (ids.join(", "), &self.schedule);
        writeln!(f, "rules:\n  - {{id: everything, registries: [{ids}], schedule: {schedule}}}")?;
        writeln!(f, "policies: [{}]", self.policies.join(", "))
    }
}

/// Scrapes `org` until its numbers are `expected`, and gives the text: streams are rolled up once a second.
pub(crate) async fn settle(local: &LocalMode, org: &str, token: &str, expected: &Numbers) -> String {
    eventually("the metrics do not become as expected", async || {
        let scrape = local.scrape(org, Some(token)).await.unwrap();
        let numbers = (scrape.status == 200).then(|| Numbers::of(&scrape.body).unwrap());
        match numbers {
            Some(numbers) if numbers == *expected => Ok(scrape.body),
            other => Err(format!("expected {expected:?}, found {other:?} (status {})", scrape.status)),
        }
    })
    .await
}

/// Scrapes `org` over more than two roll-ups, in which the text must stay as `expected`.
pub(crate) async fn stays(local: &LocalMode, org: &str, token: &str, expected: &str) {
    for _ in 0..12 {
        assert_eq!(local.scrape(org, Some(token)).await.unwrap().body, expected);
        SystemSleeper.sleep(LOOK).await;
    }
}

/// Looks again and again, until there is what was looked for.
///
/// # Panics
/// When it does not come about; with `what` and what was seen last.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Result<T, String>) -> T {
    tidewatch_tests::eventually(PATIENCE, what, look).await.unwrap()
}

/// A registry that holds the images of the fixtures.
pub(crate) async fn fixture_registry() -> TestRegistry {
    let registry = TestRegistry::start().await.unwrap();
    for image in fixtures::images() {
        image.push_to(&registry);
    }
    registry
}

pub(crate) fn read_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))
}
