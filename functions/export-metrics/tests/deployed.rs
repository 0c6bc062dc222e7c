//! The binary that Lambda runs, as a process on a Runtime API: its events, its answers, its logs.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Stdio;

use serde_json::{Value, json};
use tidewatch_core::Timestamp;
use tidewatch_testkit::runtime_api::RuntimeApi;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Starts the function. Nothing listens where it would ask for the table.
fn start(api: &RuntimeApi, without: &str) -> Child {
    let places = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("TIDEWATCH_TABLE", "tidewatch"),
        ("TIDEWATCH_BUCKET", "tidewatch"),
    ];
    Command::new(env!("CARGO_BIN_EXE_export-metrics"))
        .env_clear()
        .envs(api.environment("export-metrics"))
        .envs(places.into_iter().filter(|(name, _)| *name != without))
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The next line that the function logs, which is a JSON object.
async fn logged(lines: &mut tokio::io::Lines<BufReader<tokio::process::ChildStderr>>) -> Value {
    let line = lines.next_line().await.unwrap().expect("another line");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn deadline() -> Timestamp {
    "2200-01-01T00:00:00Z".parse().unwrap()
}

fn request(path: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "localhost"},
        "requestContext": {"http": {"method": "GET", "path": path}, "timeEpoch": 1_735_689_600_000_u64},
        "isBase64Encoded": false,
    })
}

#[tokio::test]
async fn the_deployed_function_answers_requests_and_refuses_other_events() {
    let api = RuntimeApi::start().await.unwrap();
    let mut process = start(&api, "");
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();

    let refused = api.invoke(request("/v1/exporter/org/acme/metrics"), deadline()).await.unwrap();
    assert_eq!(refused["statusCode"], 401);
    let body: Value = serde_json::from_str(refused["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["code"], "unauthorized");

    let scheduled = json!({"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}});
    let error = api.invoke(scheduled, deadline()).await.unwrap_err();
    assert_eq!(error["errorType"], "UnexpectedEvent");
    assert_eq!(error["errorMessage"], "failed to take a scheduled event: this function takes none");
    let line = logged(&mut lines).await;
    assert_eq!((&line["level"], &line["message"]), (&json!("ERROR"), &json!("invocation failed")));
    assert_eq!(line["span"]["request.id"], "00000000-0000-4000-8000-000000000002");

    let still = api.invoke(request("/nothing"), deadline()).await.unwrap();
    assert_eq!(still["statusCode"], 404, "it goes on after an error");
    process.kill().await.unwrap();
    assert_eq!(lines.next_line().await.unwrap(), None, "the error was logged once");
}

#[tokio::test]
async fn a_function_without_its_variables_says_which_one_is_missing_and_ends() {
    for missing in ["TIDEWATCH_TABLE", "AWS_REGION", "AWS_LAMBDA_RUNTIME_API"] {
        let api = RuntimeApi::start().await.unwrap();
        let mut process = match missing {
            "AWS_LAMBDA_RUNTIME_API" => Command::new(env!("CARGO_BIN_EXE_export-metrics"))
                .env_clear()
                .stderr(Stdio::piped())
                .spawn()
                .unwrap(),
            missing => start(&api, missing),
        };
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = logged(&mut lines).await;
        assert_eq!(line["level"], "ERROR");
        assert!(line.to_string().contains(missing), "{line}");
        assert_eq!(process.wait().await.unwrap().code(), Some(1));
        assert_eq!(lines.next_line().await.unwrap(), None);
    }
}
