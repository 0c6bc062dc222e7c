//! One deployment: MiniStack, the stack on it, and the command as its user runs it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::system::SystemSleeper;
use tidewatch_store::{Deployed, Places};
use tidewatch_testkit::archives::ArchiveServer;
use tidewatch_testkit::ministack::MiniStack;
use tidewatch_tests::{DockerRegistry, Finished, Numbers, Scrape, eventually};

use crate::{BINARY, PATIENCE};

/// The name of the stack.
pub(crate) const STACK: &str = "tidewatch-test";

/// The bucket in which somebody keeps advisories.
const MIRROR: &str = "tidewatch-test-mirror";

/// How often a message is delivered before it is dead: few times, because of the pauses between.
const MAX_RECEIVES: &str = "MaxReceives=5";

/// What the test needs that `make test-deploy` installs or builds.
pub(crate) struct Tools {
    /// The folder of the virtual environments.
    folder: PathBuf,
    /// The folder with a folder for each function, which holds `bootstrap`.
    functions: PathBuf,
}

impl Tools {
    /// The tools, or why there are none.
    pub(crate) fn find() -> Result<Self, String> {
        let folder = |name: &str| {
            variable(name)
                .map(PathBuf::from)
                .ok_or_else(|| format!("{name} names no folder: make test-deploy"))
        };
        let tools =
            Self { folder: folder("TIDEWATCH_TOOLS")?, functions: folder("TIDEWATCH_LAMBDA_FOLDER")? };
        if !DockerRegistry::is_installed() {
            return Err("docker-registry is not installed".to_owned());
        }
        Ok(tools)
    }
}

/// A deployed stack.
pub(crate) struct Deployment {
    tools: Tools,
    ministack: MiniStack,
    /// The template beside its functions, the home of the command, and files that it reads.
    folder: TempDir,
    /// What the stack fetches its advisories from.
    pub(crate) archives: ArchiveServer,
    api: String,
    outputs: BTreeMap<String, String>,
}

impl Deployment {
    /// Starts MiniStack and deploys the stack.
    pub(crate) async fn make(tools: Tools) -> anyhow::Result<Self> {
        let ministack = MiniStack::start(&tools.folder, &[("AUTH", "true")]);
        let folder = tempfile::tempdir()?;
        std::fs::write(
            folder.path().join("template.yaml"),
            for_ministack(&std::fs::read_to_string(template())?),
        )?;
        std::fs::create_dir(folder.path().join("target"))?;
        let functions = tools.functions.canonicalize().context("the functions are not built")?;
        std::os::unix::fs::symlink(functions, folder.path().join("target/lambda"))?;
        let archives = ArchiveServer::start().await?;
        let mut deployment =
            Self { tools, ministack, folder, archives, api: String::new(), outputs: BTreeMap::new() };
        let architecture = format!("Architecture={}", architecture());
        let advisories = format!("AdvisoriesUrl={}", deployment.archives.url());
        let bucket = format!("AdvisoriesBucket={MIRROR}");
        let amazon_linux = format!("AmazonLinuxUrl=s3://{MIRROR}/amazon");
        deployment.ministack.make_bucket(MIRROR);
        deployment.sam(
            &[
                &["deploy", "--template-file", "template.yaml", "--stack-name", STACK, "--resolve-s3"][..],
                &["--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-progressbar"],
                &["--parameter-overrides", &architecture, MAX_RECEIVES, &advisories, &bucket, &amazon_linux],
                &["KevUrl=none", "EolUrl=none", "Ecosystems=\"Alpine,Amazon Linux,Debian\""],
            ]
            .concat(),
        )?;
        deployment.outputs = deployment.read_outputs()?;
        let (endpoint, id) = (deployment.ministack.endpoint(), deployment.output("ApiId")?);
        deployment.api = format!("{endpoint}/_aws/execute-api/{id}/$default");
        Ok(deployment)
    }

    /// Puts an object into the bucket in which somebody keeps advisories.
    pub(crate) fn put_into_mirror(&self, key: &str, bytes: &[u8]) {
        self.ministack.put_object(MIRROR, key, bytes);
    }

    /// Where the HTTP API is: its paths begin behind this.
    pub(crate) fn api(&self) -> &str {
        &self.api
    }

    /// Everything that MiniStack, and the functions that read queues, have logged so far.
    pub(crate) fn log(&self) -> String {
        self.ministack.log()
    }

    /// The names of the functions, which are those of their folders.
    pub(crate) fn functions() -> anyhow::Result<Vec<String>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions");
        let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
        Ok(entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    /// What a function has logged so far, by CloudWatch Logs.
    /// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>
    pub(crate) async fn function_log(&self, function: &str) -> anyhow::Result<Vec<String>> {
        let headers = [
            ("x-amz-target", "Logs_20140328.FilterLogEvents"),
            ("content-type", "application/x-amz-json-1.1"),
            // MiniStack does not look at signatures.
            ("authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/logs/aws4_request"),
        ];
        let (mut lines, mut request) =
            (Vec::new(), json!({"logGroupName": format!("/aws/lambda/{STACK}-{function}")}));
        loop {
            let url = self.ministack.endpoint();
            let answer = tidewatch_tests::request("POST", &url, &headers, &request.to_string()).await?;
            ensure!(answer.status == 200, "the log of {function} cannot be read: {}", answer.body);
            let page: Value = serde_json::from_str(&answer.body)?;
            let events = page["events"].as_array().into_iter().flatten();
            lines.extend(events.filter_map(|event| Some(event["message"].as_str()?.to_owned())));
            if page["nextToken"].is_null() {
                return Ok(lines);
            }
            request["nextToken"] = page["nextToken"].clone();
        }
    }

    /// Keeps the logs for whoever looks for the reason of a failure.
    pub(crate) fn keep_logs(&self) -> anyhow::Result<()> {
        let kept = std::env::temp_dir().join("tidewatch-test-deploy.log");
        std::fs::write(&kept, self.log())?;
        // Nobody reads a standard error that is closed.
        let _ = writeln!(std::io::stderr(), "the log of MiniStack is kept in {}", kept.display());
        Ok(())
    }

    /// An output of the stack, as it was when it had been deployed.
    fn output(&self, key: &str) -> anyhow::Result<&str> {
        self.outputs.get(key).map(String::as_str).with_context(|| format!("the stack has no output {key}"))
    }

    fn read_outputs(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let printed = self.sam(&["list", "stack-outputs", "--stack-name", STACK, "--output", "json"])?;
        let outputs: Vec<BTreeMap<String, String>> =
            serde_json::from_str(&printed).with_context(|| format!("no outputs: {printed}"))?;
        let pair = |output: BTreeMap<String, String>| {
            Some((output.get("OutputKey")?.clone(), output.get("OutputValue")?.clone()))
        };
        Ok(outputs.into_iter().filter_map(pair).collect())
    }

    /// What the functions store in, as the account's root.
    pub(crate) fn stores(&self) -> anyhow::Result<Deployed> {
        let urls = |kind: &str| {
            let url = |name: QueueName| {
                let mut key = name.as_str().to_owned();
                key[..1].make_ascii_uppercase();
                Ok((name, self.output(&format!("{kind}{key}"))?.to_owned()))
            };
            QueueName::ALL.into_iter().map(url).collect::<anyhow::Result<_>>()
        };
        let places = Places {
            table: self.output("Table")?.to_owned(),
            bucket: self.output("Bucket")?.to_owned(),
            queues: urls("Queue")?,
            dead_letter_queues: urls("DeadLetterQueue")?,
        };
        let environment = self.ministack.environment();
        let aws = tidewatch_runtime::aws::lambda_config(|name| environment.get(name).cloned())?;
        Ok(Deployed::open(&aws, places, Arc::new(SystemSleeper))?)
    }

    /// Runs SAM, which must succeed, and gives what it printed.
    pub(crate) fn sam(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.tool("sam", arguments)
    }

    /// Runs a command of the virtual environment of SAM, which must succeed, and gives what it printed.
    pub(crate) fn tool(&self, name: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(self.tools.folder.join("sam/bin").join(name));
        self.environment(&mut command).env("SAM_CLI_TELEMETRY", "0");
        let output = command.current_dir(self.folder.path()).args(arguments).output()?;
        succeeded(name, arguments, &output)
    }

    /// Runs the command on the stack.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<Finished> {
        let mut command = Command::new(BINARY);
        let output = self.environment(&mut command).args(["--stack", STACK]).args(arguments).output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Finished { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) })
    }

    /// Runs the command on the stack; it must succeed. Gives what it printed.
    pub(crate) fn must(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let Finished { code, stdout, stderr } = self.run(arguments)?;
        ensure!(code == Some(0), "tidewatch {arguments:?} failed: {stderr}");
        Ok(stdout)
    }

    /// Runs the command on the stack with `--format json`, and gives the document.
    pub(crate) fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let printed = self.must(&[arguments, &["--format", "json"]].concat())?;
        serde_json::from_str(&printed).with_context(|| format!("no JSON: {printed}"))
    }

    /// Puts the configuration of `org` in force: one registry, and one rule that takes everything of it by `schedule`.
    pub(crate) fn apply(&self, org: &str, registry: &str, schedule: &str) -> anyhow::Result<()> {
        let file = self.folder.path().join(format!("{org}.yaml"));
        std::fs::write(&file, configuration(org, registry, schedule))?;
        self.must(&["apply", file.to_str().context("the folder's name is no text")?]).map(drop)
    }

    /// A token for the metrics of `org`.
    pub(crate) fn token(&self, org: &str) -> anyhow::Result<String> {
        Ok(self.must(&["token", "create", "--org", org, "--quiet"])?.trim().to_owned())
    }

    /// A token for the metrics of `org` with those of the queues.
    pub(crate) fn operator(&self, org: &str) -> anyhow::Result<String> {
        let created = self.must(&["token", "create", "--org", org, "--scope", "operator", "--quiet"])?;
        Ok(created.trim().to_owned())
    }

    /// Has the advisories of the archives fetched, and waits until the given families are those of `archives`.
    pub(crate) async fn sync_advisories(&self) -> anyhow::Result<()> {
        let before = self.json(&["advisories", "info"])?;
        self.must(&["advisories", "sync"])?;
        eventually(PATIENCE, "no other advisories come in force", async || {
            let now = self.json(&["advisories", "info"]).map_err(|error| error.to_string())?;
            let families = now["families"].as_array().map_or(0, Vec::len);
            if families >= 3 && hashes(&now) != hashes(&before) { Ok(()) } else { Err(now.to_string()) }
        })
        .await
    }

    /// Sends a request to the HTTP API: `path` from its root on, and these headers and no others.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<Scrape> {
        tidewatch_tests::request(method, &format!("{}{path}", self.api), headers, body).await
    }

    /// Scrapes `org` until its numbers are `expected`, and gives the text.
    pub(crate) async fn settle(&self, org: &str, token: &str, expected: &Numbers) -> anyhow::Result<String> {
        let (path, authorization) = (format!("/v1/exporter/org/{org}/metrics"), format!("Bearer {token}"));
        eventually(PATIENCE, "the metrics do not become as expected", async || {
            let scrape = self.request("GET", &path, &[("authorization", &authorization)], "").await;
            let scrape = scrape.map_err(|error| format!("{error:?}"))?;
            let numbers = (scrape.status == 200).then(|| Numbers::of(&scrape.body)).and_then(Result::ok);
            match numbers {
                Some(numbers) if numbers == *expected => Ok(scrape.body),
                other => Err(format!("expected {expected:?}, found {other:?} (status {})", scrape.status)),
            }
        })
        .await
    }

    /// The environment of whoever uses the AWS account, and nothing else.
    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8")])
            .env("HOME", self.folder.path())
            .envs(self.ministack.environment())
            .stdin(Stdio::null())
    }
}

/// A configuration with one registry, `debian`, and one rule, `everything`.
pub(crate) fn configuration(org: &str, registry: &str, schedule: &str) -> String {
    format!(
        "org: {org}\n\
         registries:\n  - {{id: debian, kind: oci, url: \"{registry}\"}}\n\
         rules:\n  - {{id: everything, registries: [debian], schedule: {schedule}}}\n"
    )
}

/// The template as MiniStack needs it, which differs from AWS in two things. AWS lets who may send a message send ten at
/// once (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html>), for MiniStack that is
/// an action of its own. And it does not speak TLS, without which the bucket lets nobody in: here it is with.
fn for_ministack(template: &str) -> String {
    template
        .replace("Action: sqs:SendMessage\n", "Action: [sqs:SendMessage, sqs:SendMessageBatch]\n")
        .replace(r#"{"aws:SecureTransport": "false"}"#, r#"{"aws:SecureTransport": "true"}"#)
}

/// The processor of this machine, for which `make test-deploy` builds the functions, as Lambda calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "x86_64",
    }
}

/// The template of the project.
pub(crate) fn template() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml")
}

/// The content hashes of the indexes in force, as `advisories info` has them.
fn hashes(info: &Value) -> Vec<String> {
    info["families"].as_array().into_iter().flatten().map(|family| family["hash"].to_string()).collect()
}

fn succeeded(name: &str, arguments: &[&str], output: &Output) -> anyhow::Result<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        bail!("{name} {arguments:?} failed:\n{}\n{}", text(&output.stdout), text(&output.stderr));
    }
    Ok(text(&output.stdout))
}
