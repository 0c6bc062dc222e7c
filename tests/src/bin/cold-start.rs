//! Measures cold starts: `make bench-cold-start`. Starts the binary of each function, as Lambda does, on a Runtime API
//! and a MiniStack of this machine, with one event that the function can answer, and says how long it took. See
//! docs/BENCHMARKS.md.
#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tidewatch_core::hook::{HookId, HookSecret};
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::{Clock as _, Sleeper as _};
use tidewatch_core::token::Token;
use tidewatch_runtime::system::{SystemClock, SystemRandomness, SystemSleeper};
use tidewatch_testkit::ministack::MiniStack;
use tidewatch_testkit::runtime_api::RuntimeApi;
use tokio::process::Command;

/// How often each function is started.
const RUNS: usize = 20;

/// How long one start may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long after a start the function is ended: longer than any start here takes.
const TIME: Duration = Duration::from_secs(60);

/// The name of the table and the bucket.
const PLACE: &str = "tidewatch-cold-start";

/// How long one start took.
#[derive(Clone, Copy)]
struct Start {
    /// To when the function asked for its first event.
    ready: Duration,
    /// To when its answer was there.
    answered: Duration,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/lambda".to_owned()));
    let functions = functions(&folder)?;
    let stack = MiniStack::start_or_skip("the measurement", &[]);
    let stack = stack.context("a MiniStack is needed: see CONTRIBUTING.md for the tools")?;
    let places = make_places(&stack).await?;
    println!("| function | binary | start to ready, median | p95 | start to first answer, median | p95 |");
    println!("|---|---:|---:|---:|---:|---:|");
    for (name, binary) in functions {
        let mut starts = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            let start = tokio::select! {
                start = measure(&name, &binary, &places) => start,
                () = SystemSleeper.sleep(PATIENCE) => bail!("it did not answer within {} s", PATIENCE.as_secs()),
            };
            starts.push(start.with_context(|| format!("failed to measure {name}"))?);
        }
        println!("{}", row(&name, std::fs::metadata(&binary)?.len(), &starts));
    }
    Ok(())
}

/// The binaries in `folder`, which has a folder with a `bootstrap` for each function, by the names of the functions.
fn functions(folder: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("failed to find built functions in {}", folder.display()))?;
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let binary = path.join("bootstrap").canonicalize();
        if let (Some(name), Ok(binary)) = (path.file_name().and_then(|name| name.to_str()), binary) {
            found.insert(name.to_owned(), binary);
        }
    }
    ensure!(!found.is_empty(), "there is no FUNCTION/bootstrap in {}", folder.display());
    Ok(found)
}

async fn measure(name: &str, binary: &Path, places: &BTreeMap<String, String>) -> anyhow::Result<Start> {
    let api = RuntimeApi::start().await?;
    let begun = Instant::now();
    let mut process = Command::new(binary)
        .env_clear()
        .envs(places)
        .envs(api.environment(name))
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()?;
    let ready = tokio::select! {
        () = api.ready() => begun.elapsed(),
        status = process.wait() => bail!("it ended with {}", status?),
    };
    let deadline = SystemClock.now().checked_add(TIME)?;
    let answer = api.invoke(event(name)?, deadline).await;
    let answered = begun.elapsed();
    let answer = answer.map_err(|error| anyhow::anyhow!("it failed: {error}"))?;
    check(&answer).with_context(|| format!("it answered {answer}"))?;
    Ok(Start { ready, answered })
}

/// An event that the function answers from what is in an empty stack.
fn event(function: &str) -> anyhow::Result<Value> {
    let run = json!({"org": "nobody", "rule": "nightly", "run": "1", "registry": "none"});
    let image = json!({
        "registry": "none",
        "repository": "team/web",
        "digest": format!("sha256:{}", "0".repeat(64)),
        "platform": "linux/amd64",
    });
    let work = json!({
        "image": image, "tag": "latest", "seen_at": "2025-01-01T00:00:00Z", "counted": true, "priority": "new",
    });
    Ok(match function {
        "evaluate-rules" | "roll-up-streams" | "sync-advisories" => {
            json!({"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}})
        }
        "resolve-images" => message(QueueName::Listings, &run),
        "scan-image" => message(QueueName::Scans, &json!({"org": "nobody", "work": work})),
        "rematch-images" => message(QueueName::Rematches, &json!({"org": "nobody"})),
        "export-metrics" => {
            let token = Token::generate(&SystemRandomness);
            request("GET", "/v1/exporter/org/nobody/metrics", token.reveal())
        }
        "read-results" => {
            let token = Token::generate(&SystemRandomness);
            request("GET", "/v1/org/nobody/images", token.reveal())
        }
        "receive-webhook" => {
            let (hook, secret) =
                (HookId::generate(&SystemRandomness), HookSecret::generate(&SystemRandomness));
            request("POST", &format!("/v1/hooks/distribution/{}", hook.as_str()), secret.reveal())
        }
        other => bail!("no event is known for the function {other}"),
    })
}

fn message(queue: QueueName, body: &Value) -> Value {
    json!({"Records": [{
        "messageId": "1",
        "receiptHandle": "1",
        "body": body.to_string(),
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:{PLACE}-{queue}"),
        "awsRegion": "us-east-1",
    }]})
}

/// A request with a token of the right form, which the table is asked for.
fn request(method: &str, path: &str, token: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"authorization": format!("Bearer {token}"), "content-type": "application/json"},
        "requestContext": {"http": {"method": method, "path": path}, "timeEpoch": 1_735_689_600_000_u64},
        "body": "{\"events\": []}",
        "isBase64Encoded": false,
    })
}

/// Refuses what is no real answer: failed messages, and anything but the refusal of an unknown token.
fn check(answer: &Value) -> anyhow::Result<()> {
    let failures = answer["batchItemFailures"].as_array();
    ensure!(failures.is_none_or(Vec::is_empty), "a message failed");
    let status = answer["statusCode"].as_u64();
    ensure!(status.is_none_or(|status| status == 401), "the token is unknown, and was not refused");
    Ok(())
}

/// Makes the table, the bucket and the queues, and gives the environment that leads to them.
async fn make_places(stack: &MiniStack) -> anyhow::Result<BTreeMap<String, String>> {
    let (client, endpoint) = (reqwest::Client::new(), stack.endpoint());
    let mut places = stack.environment();
    places.insert("AWS_ALLOW_HTTP".to_owned(), "true".to_owned());
    places.insert("TIDEWATCH_LOG".to_owned(), "warn".to_owned());
    places.insert("TIDEWATCH_TABLE".to_owned(), PLACE.to_owned());
    places.insert("TIDEWATCH_BUCKET".to_owned(), PLACE.to_owned());
    places.insert("TIDEWATCH_ADVISORIES_URL".to_owned(), "https://127.0.0.1:1".to_owned());
    places.insert("TIDEWATCH_ECOSYSTEMS".to_owned(), "Debian".to_owned());
    places.insert("TIDEWATCH_KEV_URL".to_owned(), "none".to_owned());
    places.insert("TIDEWATCH_EOL_URL".to_owned(), "none".to_owned());
    client.put(format!("{endpoint}/{PLACE}")).send().await?.error_for_status()?;
    let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
    let text = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
    let table = json!({
        "TableName": PLACE,
        "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
        "AttributeDefinitions": [text("pk"), text("sk")],
        "BillingMode": "PAY_PER_REQUEST",
    });
    let call = async |target: &str, version: &str, body: &Value| -> anyhow::Result<Value> {
        let request = client
            .post(&endpoint)
            .header("x-amz-target", target)
            .header("content-type", format!("application/x-amz-json-{version}"))
            .body(body.to_string());
        let answer = request.send().await?.error_for_status()?.text().await?;
        Ok(serde_json::from_str(&answer)?)
    };
    call("DynamoDB_20120810.CreateTable", "1.0", &table).await?;
    for queue in QueueName::ALL {
        let name = json!({"QueueName": format!("{PLACE}-{queue}")});
        let made = call("AmazonSQS.CreateQueue", "1.0", &name).await?;
        let url = made["QueueUrl"].as_str().context("the queue has no URL")?;
        let variable = format!("TIDEWATCH_QUEUE_{}", queue.as_str().to_uppercase());
        places.insert(variable, url.to_owned());
    }
    Ok(places)
}

/// A row of the table in Markdown.
fn row(name: &str, bytes: u64, starts: &[Start]) -> String {
    let of = |value: fn(&Start) -> Duration| {
        let mut values: Vec<Duration> = starts.iter().map(value).collect();
        values.sort_unstable();
        format!("{} | {}", milliseconds(quantile(&values, 50)), milliseconds(quantile(&values, 95)))
    };
    // A tenth of a megabyte is exact enough, and needs no floating point.
    let tenths = (bytes + 50_000) / 100_000;
    format!(
        "| {name} | {}.{} MB | {} | {} |",
        tenths / 10,
        tenths % 10,
        of(|start| start.ready),
        of(|start| start.answered)
    )
}

fn milliseconds(duration: Duration) -> String {
    format!("{}.{} ms", duration.as_millis(), duration.subsec_micros() % 1_000 / 100)
}

/// The smallest of the sorted values that `percent` of them do not exceed.
fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent).div_ceil(100).saturating_sub(1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_measured_values() {
        let values: Vec<Duration> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!(quantile(&values, 50), Duration::from_millis(10));
        assert_eq!(quantile(&values, 95), Duration::from_millis(19));
        assert_eq!(quantile(&values[..1], 95), Duration::from_millis(1));
    }

    #[test]
    fn a_row_names_size_and_times() {
        let start = Start { ready: Duration::from_micros(12_345), answered: Duration::from_micros(20_090) };
        let expected = "| scan-image | 17.3 MB | 12.3 ms | 12.3 ms | 20.0 ms | 20.0 ms |";
        assert_eq!(row("scan-image", 17_289_000, &[start]), expected);
    }
}
