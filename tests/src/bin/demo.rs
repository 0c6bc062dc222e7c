//! The demonstration: `make demo`. Serves the fixture images from a registry on this machine, and does with the
//! `tidewatch` command what a user does: compile advisories, start local mode, apply a configuration, run the rule,
//! look at the images, scrape the metrics.
#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use tidewatch_core::ports::Sleeper as _;
use tidewatch_runtime::environment::variable;
use tidewatch_runtime::system::SystemSleeper;
use tidewatch_testkit::fixtures;
use tidewatch_testkit::registry::TestRegistry;
use tidewatch_tests::{LocalMode, run};

const ORG: &str = "demo";

/// How often the metrics are looked at until they are complete.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let binary = beside_this_program("tidewatch")?;
    let keep = variable("KEEP").is_some_and(|value| value != "0");
    let folder = tempfile::Builder::new().prefix("tidewatch-demo-").tempdir()?.keep();
    let done = demonstrate(&binary, &folder, keep).await;
    if !keep || done.is_err() {
        std::fs::remove_dir_all(&folder)?;
    }
    done
}

async fn demonstrate(binary: &Path, folder: &Path, keep: bool) -> anyhow::Result<()> {
    let data = folder.join("data");
    let registry = TestRegistry::start().await?;
    let images = fixtures::images();
    for image in &images {
        image.push_to(&registry);
    }
    title("A registry on this machine, with the images of tests/fixtures");
    println!("{} with {} repositories", registry.url(), images.len());

    title("The advisories of tests/fixtures are compiled");
    let advisories = fixtures::advisories().canonicalize()?;
    let advisories = advisories.to_str().context("the folder's name is no text")?;
    shell(binary, &data, &["advisories", "build", "--from", advisories, "--quiet"])?;

    title("Local mode starts, and is told what to scan");
    let local = LocalMode::start(binary, &data)?;
    let config = folder.join("tidewatch.yaml");
    let text = configuration(&registry.url());
    std::fs::write(&config, &text)?;
    println!("{}", text.trim_end());
    println!("$ tidewatch apply tidewatch.yaml");
    print!("{}", local.must(&["apply", config.to_str().context("the folder's name is no text")?])?);

    title("The rule runs");
    println!("$ tidewatch rules run everything --wait");
    let status = std::process::Command::new(binary)
        .arg("--data")
        .arg(&data)
        .args(["rules", "run", "everything", "--wait"])
        .status()?;
    ensure!(status.success(), "the rule did not run to its end");
    shell(binary, &data, &["rules", "status"])?;
    shell(binary, &data, &["images", "--quiet"])?;

    title("Prometheus would scrape this");
    let token = local.must(&["token", "create", "--quiet"])?;
    let metrics = scrape_when_complete(&local, token.trim()).await?;
    println!("$ curl -H 'Authorization: Bearer twd_…' {}/v1/exporter/org/{ORG}/metrics", local.url());
    print!("{metrics}");
    registry.assert_no_violations();

    title("Your own registry");
    println!("{}", advice());
    if keep {
        title("Left running, until Ctrl-C");
        println!("export TIDEWATCH_DATA={}     # for the command, in another terminal", data.display());
        println!(
            "curl -H 'Authorization: Bearer {}' {}/v1/exporter/org/{ORG}/metrics",
            token.trim(),
            local.url()
        );
        tokio::signal::ctrl_c().await?;
    }
    Ok(())
}

fn configuration(registry: &str) -> String {
    format!(
        "org: {ORG}\n\
         registries:\n  - {{id: local, kind: oci, url: {registry}}}\n\
         rules:\n  - {{id: everything, registries: [local], include: [\"demo/**\"], schedule: manual}}\n"
    )
}

/// Scrapes until every image of the run is in the numbers: streams are rolled up once a second.
async fn scrape_when_complete(local: &LocalMode, token: &str) -> anyhow::Result<String> {
    let expected = fixtures::expected();
    let stream = expected.streams.get("latest-indexed").context("no stream is expected")?;
    let policy = stream.policies.get("fixable-vulnerabilities").context("no policy is expected")?;
    let complete = format!("streamName=\"latest-indexed\"}} {}\n", policy.evaluated);
    for _ in 0..100 {
        let scrape = local.scrape(ORG, Some(token)).await?;
        let series = "scout_policy_evaluated_images{id=\"fixable-vulnerabilities\"";
        let evaluated = |line: &&str| line.starts_with(series);
        if scrape.body.lines().find(evaluated).is_some_and(|line| format!("{line}\n").ends_with(&complete)) {
            return Ok(scrape.body);
        }
        SystemSleeper.sleep(LOOK).await;
    }
    anyhow::bail!("the metrics did not become complete")
}

fn advice() -> &'static str {
    "1. tidewatch advisories build --from DIR      (OSV archives: DIR/Debian/all.zip, DIR/Alpine/all.zip)\n\
     2. write tidewatch.yaml as above, with the url of your registry and\n\
     \u{20}  credentials: {env: REGISTRY_LOGIN}         (USER:PASSWORD)\n\
     3. REGISTRY_LOGIN=... tidewatch up --config tidewatch.yaml\n\
     4. tidewatch rules run everything --wait && tidewatch images\n\
     5. point Prometheus at it: README.md, \"Connect Prometheus\""
}

/// Runs a command and shows it as it would be typed.
fn shell(binary: &Path, data: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    println!("$ tidewatch {}", arguments.join(" "));
    let finished = run(binary, data, arguments)?;
    ensure!(finished.code == Some(0), "it failed: {}", finished.stderr);
    print!("{}", finished.stdout);
    Ok(())
}

fn title(text: &str) {
    println!("\n== {text}");
}

fn beside_this_program(name: &str) -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let path = program.with_file_name(name);
    ensure!(path.exists(), "{} is not there: build the workspace first", path.display());
    Ok(path)
}
