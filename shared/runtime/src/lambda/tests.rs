use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tidewatch_core::ports::queue::{Delivery, QueueError, QueueName};
use tidewatch_core::ports::{Clock as _, QueueReceiver};
use tidewatch_core::{Retry, Retryable};
use tokio::sync::Barrier;

use super::*;
use crate::system::SystemClock;
use crate::{HandlerError, MessageHandler};

#[derive(Debug, thiserror::Error)]
#[error("failed to do it")]
struct Failed(Retry);

impl Retryable for Failed {
    fn retry(&self) -> Retry {
        self.0
    }
}

/// A handler that does what the message says, once as many messages as it waits for are there.
struct Obedient {
    queue: QueueName,
    together: Barrier,
    seen: std::sync::Arc<Mutex<Vec<(QueueName, String, Deadline)>>>,
}

#[async_trait]
impl MessageHandler for Obedient {
    type Message = String;

    async fn handle(&self, message: String, deadline: Deadline) -> Result<(), HandlerError> {
        self.together.wait().await;
        self.seen.lock().unwrap().push((self.queue, message.clone(), deadline));
        match message.as_str() {
            "fail" => Err(HandlerError::new(Failed(Retry::Again))),
            "give up" => Err(HandlerError::new(Failed(Retry::Never))),
            "panic" => panic!("as told"),
            _ => Ok(()),
        }
    }
}

/// Remembers what was released, and cannot release the receipt `stuck`.
#[derive(Default)]
struct Releases(Mutex<Vec<(QueueName, String, Duration)>>);

#[async_trait]
impl QueueReceiver for Releases {
    async fn receive(&self, _: QueueName, _: usize, _: Duration) -> Result<Vec<Delivery>, QueueError> {
        unreachable!("the event source mapping receives")
    }

    async fn acknowledge(&self, _: QueueName, _: &str) -> Result<(), QueueError> {
        unreachable!("the event source mapping acknowledges")
    }

    async fn release(&self, queue: QueueName, receipt: &str, delay: Duration) -> Result<(), QueueError> {
        if receipt == "receipt-stuck" {
            return Err(QueueError::Unavailable { queue, source: "no answer".into() });
        }
        self.0.lock().unwrap().push((queue, receipt.to_owned(), delay));
        Ok(())
    }

    async fn dead_letters(&self, _: QueueName, _: usize) -> Result<Vec<Delivery>, QueueError> {
        unreachable!("nobody looks at dead letters")
    }
}

/// A function that reads the queues `listings` and `hints`, whose handlers wait for `together` messages.
struct Function {
    entry: Entry,
    releases: std::sync::Arc<Releases>,
    seen: std::sync::Arc<Mutex<Vec<(QueueName, String, Deadline)>>>,
}

impl Function {
    fn new(together: usize) -> Self {
        let (releases, seen) = (std::sync::Arc::new(Releases::default()), std::sync::Arc::default());
        let handler =
            |queue| Obedient { queue, together: Barrier::new(together), seen: std::sync::Arc::clone(&seen) };
        let named = |arn: &str| QueueName::ALL.into_iter().find(|queue| arn.ends_with(queue.as_str()));
        let queues = Queues::new(releases.clone(), named)
            .handle(QueueName::Listings, handler(QueueName::Listings))
            .handle(QueueName::Hints, handler(QueueName::Hints));
        Self { entry: Entry::new().queues(queues), releases, seen }
    }

    /// The messages that are reported as failed.
    async fn failures(&self, records: Vec<Value>) -> Vec<String> {
        let answer = self.entry.answer(json!({"Records": records}), Deadline::NONE).await.unwrap();
        let answer = serde_json::to_value(answer).unwrap();
        let failures = answer["batchItemFailures"].as_array().unwrap();
        failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
    }

    fn released(&self) -> Vec<(QueueName, String, Duration)> {
        self.releases.0.lock().unwrap().clone()
    }

    fn seen(&self) -> Vec<(QueueName, String)> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|(queue, message, _)| (*queue, message.clone())).collect()
    }
}

fn record(queue: &str, id: &str, says: &str) -> Value {
    json!({
        "messageId": id,
        "receiptHandle": format!("receipt-{id}"),
        "body": json!(says).to_string(),
        "attributes": {"ApproximateReceiveCount": "3", "SentTimestamp": "1735689600000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:eu-central-1:123456789012:tidewatch-{queue}"),
        "awsRegion": "eu-central-1",
    })
}

#[tokio::test]
async fn the_messages_of_a_batch_are_handled_at_the_same_time() {
    let function = Function::new(3);
    let records = ["1", "2", "3"].map(|id| record("listings", id, "list")).to_vec();
    assert!(function.failures(records).await.is_empty());
    assert_eq!(function.seen().len(), 3);
}

#[tokio::test]
async fn a_message_that_must_come_again_is_released_after_its_pause_and_reported() {
    let function = Function::new(1);
    let records =
        vec![record("listings", "1", "list"), record("hints", "2", "fail"), record("hints", "3", "give up")];
    assert_eq!(function.failures(records).await, ["2"]);
    let released = (QueueName::Hints, "receipt-2".to_owned(), Duration::from_secs(4));
    assert_eq!(function.released(), [released], "the third time after 4 s");
}

#[tokio::test]
async fn messages_go_to_the_handler_of_their_queue() {
    let function = Function::new(1);
    function.failures(vec![record("hints", "1", "look"), record("listings", "2", "list")]).await;
    let expected = [(QueueName::Hints, "look".to_owned()), (QueueName::Listings, "list".to_owned())];
    assert_eq!(function.seen(), expected);
}

#[tokio::test]
async fn a_handler_that_panics_holds_up_no_other_message() {
    let function = Function::new(1);
    let records = vec![record("hints", "1", "panic"), record("hints", "2", "look")];
    assert_eq!(function.failures(records).await, ["1"]);
    assert_eq!((function.seen().len(), function.released().len()), (2, 1));
}

#[tokio::test]
async fn a_message_that_cannot_be_released_is_reported_all_the_same() {
    let function = Function::new(1);
    assert_eq!(function.failures(vec![record("hints", "stuck", "fail")]).await, ["stuck"]);
    assert!(function.released().is_empty());
}

#[tokio::test]
async fn a_message_that_cannot_be_parsed_comes_again() {
    let function = Function::new(1);
    let mut unparsable = record("hints", "1", "");
    unparsable["body"] = json!("{");
    assert_eq!(function.failures(vec![unparsable]).await, ["1"]);
    assert_eq!(function.released().len(), 1);
}

#[tokio::test]
async fn a_record_without_what_is_needed_is_reported_and_the_others_are_handled() {
    for part in ["receiptHandle", "body", "attributes", "eventSourceARN"] {
        let function = Function::new(1);
        let mut lacking = record("hints", "1", "look");
        lacking.as_object_mut().unwrap().remove(part).unwrap();
        let failures = function.failures(vec![lacking, record("hints", "2", "look")]).await;
        assert_eq!((failures, function.seen().len()), (vec!["1".to_owned()], 1), "{part}");
    }
    let function = Function::new(1);
    let mut odd = record("hints", "1", "look");
    odd["body"] = json!({"not": "a text"});
    assert_eq!(function.failures(vec![odd, record("rollups", "2", "roll up")]).await, ["1", "2"]);
    assert!(function.seen().is_empty());
}

#[tokio::test]
async fn a_record_without_an_identifier_makes_the_whole_batch_come_again() {
    for nameless in [Value::Null, json!("")] {
        let function = Function::new(1);
        let mut record = record("hints", "1", "look");
        record["messageId"] = nameless;
        let answer = function.entry.answer(json!({"Records": [record]}), Deadline::NONE).await;
        assert!(matches!(answer, Err(InvocationError::Unidentified)), "{answer:?}");
    }
}

#[tokio::test]
async fn a_handler_is_told_when_the_invocation_ends() {
    let function = Function::new(1);
    let mut context = Context::default();
    context.deadline = 1_735_689_600_000;
    let event = json!({"Records": [record("hints", "1", "look")]});
    function.entry.answer(event, deadline(&context)).await.unwrap();
    let end = Deadline::at("2025-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(function.seen.lock().unwrap()[0].2, end);
}

fn scheduled() -> Value {
    json!({"version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}})
}

fn request() -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/v1/x",
        "rawQueryString": "",
        "headers": {"host": "example.com"},
        "requestContext": {"http": {"method": "GET", "path": "/v1/x"}, "timeEpoch": 1_735_689_600_000_u64},
        "isBase64Encoded": false,
    })
}

#[tokio::test]
async fn a_schedule_does_a_tick_and_its_error_fails_the_invocation() {
    let entry = Entry::new().schedule(async || Ok::<_, Failed>(3));
    let answer = entry.answer(scheduled(), Deadline::NONE).await.unwrap();
    assert_eq!(serde_json::to_value(answer).unwrap(), Value::Null);

    let entry = Entry::new().schedule(async || Err::<(), _>(Failed(Retry::Again)));
    let failed = Diagnostic::from(entry.answer(scheduled(), Deadline::NONE).await.unwrap_err());
    let message = "failed to do the scheduled work: failed to do it".to_owned();
    assert_eq!(failed, Diagnostic { error_type: "ScheduleFailed".to_owned(), error_message: message });
}

#[tokio::test]
async fn a_tick_that_panics_fails_the_invocation() {
    let entry = Entry::new().schedule(async || if true { panic!("broken") } else { Ok::<_, Failed>(()) });
    let answer = entry.answer(scheduled(), Deadline::NONE).await;
    assert!(matches!(answer, Err(InvocationError::Panic)), "{answer:?}");
}

#[tokio::test]
async fn an_http_request_gets_the_answer_of_its_handler() {
    let entry = Entry::new().http(async |request| {
        let mut response = ApiGatewayV2httpResponse::default();
        response.status_code = 204;
        response.headers.insert("x-path", request.raw_path.unwrap().parse().unwrap());
        response
    });
    let answer = entry.answer(request(), Deadline::NONE).await.unwrap();
    let answer = serde_json::to_value(answer).unwrap();
    assert_eq!((&answer["statusCode"], &answer["headers"]["x-path"]), (&json!(204), &json!("/v1/x")));
}

#[tokio::test]
async fn a_request_that_cannot_be_answered_gets_a_500_without_details() {
    let entry = Entry::new().http(async |_| panic!("password: hunter2"));
    let mut unreadable = request();
    unreadable["requestContext"]["http"]["method"] = json!("not a method");
    for request in [request(), unreadable] {
        let answer = serde_json::to_value(entry.answer(request, Deadline::NONE).await.unwrap()).unwrap();
        assert_eq!(answer["statusCode"], 500);
        assert_eq!(answer["headers"]["content-type"], "application/json");
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!(body, json!({"code": "internal", "message": "the request cannot be answered now"}));
    }
}

#[tokio::test]
async fn a_request_that_takes_until_the_end_of_the_function_gets_a_503_before_it() {
    let entry = Entry::new().http(async |_| std::future::pending().await);
    let soon = SystemClock.now() + jiff::SignedDuration::from_millis(1_050);
    let answer = serde_json::to_value(entry.answer(request(), Deadline::at(soon)).await.unwrap()).unwrap();
    assert_eq!(answer["statusCode"], 503);
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["code"], "unavailable");
}

#[test]
fn a_process_gets_an_empty_folder_and_what_dead_ones_have_left_is_removed() {
    let name = "tidewatch-scratch-test";
    // No process has this number: it is over the highest that Linux gives.
    let dead = std::env::temp_dir().join(format!("{name}-4294967295"));
    std::fs::create_dir_all(dead.join("archive")).unwrap();
    let folder = scratch_folder(name).unwrap();
    std::fs::write(folder.join("half"), "").unwrap();
    assert!(!dead.exists());
    let again = scratch_folder(name).unwrap();
    assert_eq!((&again, std::fs::read_dir(&again).unwrap().count()), (&folder, 0));
    std::fs::remove_dir_all(again).unwrap();
}

#[tokio::test]
async fn an_event_that_the_function_does_not_take_is_an_error_that_says_so() {
    let function = Function::new(1);
    let error = async |event| function.entry.answer(event, Deadline::NONE).await.unwrap_err().to_string();
    assert_eq!(error(scheduled()).await, "failed to take a scheduled event: this function takes none");
    assert_eq!(error(request()).await, "failed to take an HTTP request: this function takes none");
    let of_s3 = json!({"Records": [{"eventSource": "aws:s3"}]});
    for unknown in [json!({}), json!(null), json!("text"), of_s3, json!({"Records": []})] {
        assert!(error(unknown.clone()).await.starts_with("failed to recognise the event"), "{unknown}");
    }
    let queue = Entry::new().answer(json!({"Records": [record("hints", "1", "look")]}), Deadline::NONE).await;
    assert_eq!(
        queue.unwrap_err().to_string(),
        "failed to take messages of a queue: this function takes none"
    );
}
