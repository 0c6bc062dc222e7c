//! What answers of SQS mean that no service on this machine gives: batches taken in part, throttling, refusals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken set-up ends the test")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use serde_json::{Value, json};
use tidewatch_core::ports::QueueDepths as _;
use tidewatch_core::ports::queue::{
    MAX_DELAY, OutgoingMessage, QueueError, QueueName, QueueReceiver, QueueSender,
};
use tidewatch_core::ports::queue_depths::QueueDepth;
use tidewatch_core::{Retry, Retryable};
use tidewatch_store::SqsQueue;
use tidewatch_testkit::ports::InstantSleeper;

const QUEUE: QueueName = QueueName::Scans;

/// An answer: its status, the code of the error when it is one, and its body.
type Answer = (u16, Option<&'static str>, Value);

/// Gives answers in their order, and keeps the bodies of the requests.
#[derive(Clone, Debug, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<Value>>>,
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        self.requests.lock().unwrap().push(body);
        let (status, code, body) = self.answers.lock().unwrap().pop_front().expect("another answer");
        let mut response =
            HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body.to_string()));
        if let Some(code) = code {
            response.headers_mut().insert("x-amzn-query-error", format!("{code};Sender"));
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Self::default() }
    }

    /// A queue whose requests this answers, and what it sleeps by.
    fn queue(&self) -> (SqsQueue, Arc<InstantSleeper>) {
        let connector = SharedHttpConnector::new(self.clone());
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "a", "b", None, None, "test",
            )))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .sleep_impl(TokioSleep::new())
            .time_source(SystemTimeSource::new())
            .retry_config(RetryConfig::disabled())
            .build();
        let sleeper = Arc::new(InstantSleeper::new());
        let urls = BTreeMap::from([(QUEUE, "https://sqs.eu-central-1.amazonaws.com/1/scans".to_owned())]);
        let dead = BTreeMap::from([(QUEUE, "https://sqs.eu-central-1.amazonaws.com/1/dead".to_owned())]);
        let queue = SqsQueue::new(&config, urls, Arc::clone(&sleeper) as _);
        (queue.with_dead_letter_queues(dead), sleeper)
    }

    /// The bodies of the messages in each request, in its order.
    fn sent(&self) -> Vec<Vec<String>> {
        let body = |entry: &Value| entry["MessageBody"].as_str().unwrap().to_owned();
        let bodies = |request: &Value| request["Entries"].as_array().unwrap().iter().map(body).collect();
        self.requests.lock().unwrap().iter().map(bodies).collect()
    }
}

/// An answer to a batch that took the messages at the positions `taken`, and failed those at `failed` for `code`.
fn batch(taken: &[u32], failed: &[u32], code: &str) -> Answer {
    let successful = |id: &u32| json!({"Id": id.to_string(), "MessageId": "m", "MD5OfMessageBody": ""});
    let failure =
        |id: &u32| json!({"Id": id.to_string(), "SenderFault": false, "Code": code, "Message": "why"});
    let successful: Vec<_> = taken.iter().map(successful).collect();
    let failed: Vec<_> = failed.iter().map(failure).collect();
    (200, None, json!({"Successful": successful, "Failed": failed}))
}

fn error(status: u16, code: &'static str) -> Answer {
    (status, Some(code), json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "why"}))
}

fn messages(bodies: &[&str]) -> Vec<OutgoingMessage> {
    bodies.iter().map(|body| OutgoingMessage { body: (*body).to_owned(), delay: Duration::ZERO }).collect()
}

#[tokio::test]
async fn what_a_batch_left_out_is_sent_again_and_nothing_else() {
    let script = Script::new([
        batch(&[0, 2], &[1, 3], "InternalError"),
        // It does not speak of the first one at all.
        batch(&[1], &[], ""),
        batch(&[0], &[], ""),
    ]);
    let (queue, sleeper) = script.queue();
    queue.send(QUEUE, messages(&["a", "b", "c", "d"])).await.unwrap();
    assert_eq!(script.sent(), [vec!["a", "b", "c", "d"], vec!["b", "d"], vec!["b"]]);
    assert_eq!(sleeper.slept(), [Duration::from_millis(100), Duration::from_millis(200)]);
}

#[tokio::test]
async fn what_is_left_out_every_time_is_unavailable() {
    let script = Script::new(std::iter::repeat_n(batch(&[], &[0], "InternalError"), 4));
    let failure = script.queue().0.send(QUEUE, messages(&["a"])).await.unwrap_err();
    let QueueError::Unavailable { source, .. } = &failure else { panic!("{failure:?}") };
    assert!(source.to_string().contains("InternalError"), "{source}");
    assert_eq!(failure.retry(), Retry::Again);
    assert_eq!(script.sent().len(), 4);
}

#[tokio::test]
async fn a_message_that_sqs_refuses_is_invalid_and_not_sent_again() {
    let script = Script::new([batch(&[0], &[1], "InvalidMessageContents")]);
    let failure = script.queue().0.send(QUEUE, messages(&["a", "\u{1}"])).await.unwrap_err();
    let QueueError::Invalid { reason, .. } = &failure else { panic!("{failure:?}") };
    assert_eq!(reason, "InvalidMessageContents: why");
    assert_eq!(failure.retry(), Retry::Never);
}

#[tokio::test]
async fn errors_of_a_request_blame_it_only_where_another_try_fails_too() {
    let again = [
        (400, "RequestThrottled"),
        (400, "ThrottlingException"),
        (403, "AccessDenied"),
        (400, "AWS.SimpleQueueService.NonExistentQueue"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
    ];
    let never = [(400, "InvalidMessageContents"), (400, "AWS.SimpleQueueService.BatchRequestTooLong")];
    for ((status, code), retry) in
        again.map(|case| (case, Retry::Again)).into_iter().chain(never.map(|case| (case, Retry::Never)))
    {
        let script = Script::new([error(status, code)]);
        let failure = script.queue().0.send(QUEUE, messages(&["a"])).await.unwrap_err();
        assert_eq!(failure.retry(), retry, "{code}: {failure:?}");
    }
}

#[tokio::test]
async fn receipts_that_aws_calls_stale_are_no_error_and_other_failures_are() {
    let stale = [
        (404, "ReceiptHandleIsInvalid"),
        (400, "AWS.SimpleQueueService.MessageNotInflight"),
        (400, "InvalidParameterValue"),
        (400, "MissingParameter"),
    ];
    for (status, code) in stale {
        let queue = Script::new([error(status, code), error(status, code)]).queue().0;
        queue.acknowledge(QUEUE, "receipt").await.unwrap();
        queue.release(QUEUE, "receipt", Duration::MAX).await.unwrap();
    }
    let queue = Script::new([error(403, "AccessDenied"), error(503, "ServiceUnavailable")]).queue().0;
    assert_eq!(queue.acknowledge(QUEUE, "receipt").await.unwrap_err().retry(), Retry::Again);
    assert_eq!(queue.release(QUEUE, "receipt", Duration::ZERO).await.unwrap_err().retry(), Retry::Again);
}

#[tokio::test]
async fn delays_are_sent_in_seconds_that_are_not_shorter() {
    let script = Script::new([batch(&[0, 1], &[], "")]);
    let message = |delay| OutgoingMessage { body: "a".to_owned(), delay };
    script
        .queue()
        .0
        .send(QUEUE, vec![message(Duration::from_millis(1_500)), message(MAX_DELAY)])
        .await
        .unwrap();
    let request = script.requests.lock().unwrap().remove(0);
    assert_eq!(
        (&request["Entries"][0]["DelaySeconds"], &request["Entries"][1]["DelaySeconds"]),
        (&json!(2), &json!(900))
    );
}

#[tokio::test]
async fn a_message_without_its_count_is_a_broken_answer() {
    let message =
        json!({"MessageId": "m", "ReceiptHandle": "r", "Body": "b", "Attributes": {"SentTimestamp": "1"}});
    let script = Script::new([(200, None, json!({"Messages": [message]}))]);
    let failure = script.queue().0.receive(QUEUE, 1, Duration::ZERO).await.unwrap_err();
    assert_eq!(failure.retry(), Retry::Again);
}

/// An answer of a queue about the messages in it.
fn attributes(visible: &str, in_flight: &str, delayed: &str) -> Answer {
    let attributes = json!({
        "ApproximateNumberOfMessages": visible,
        "ApproximateNumberOfMessagesNotVisible": in_flight,
        "ApproximateNumberOfMessagesDelayed": delayed,
    });
    (200, None, json!({ "Attributes": attributes }))
}

#[tokio::test]
async fn a_queue_and_its_dead_letter_queue_are_asked_for_three_numbers_each() {
    let script = Script::new([attributes("41", "3", "2"), attributes("5", "1", "0")]);
    let depth = script.queue().0.depth(QUEUE).await.unwrap();
    let expected =
        QueueDepth { visible: 41, in_flight: 3, delayed: 2, dead_letters: 6, longest_wait_seconds: None };
    assert_eq!(depth, expected);
    let requests = script.requests.lock().unwrap();
    let urls: Vec<_> = requests.iter().map(|request| request["QueueUrl"].as_str().unwrap()).collect();
    let base = "https://sqs.eu-central-1.amazonaws.com/1";
    assert_eq!(urls, [format!("{base}/scans"), format!("{base}/dead")]);
    for request in requests.iter() {
        assert_eq!(request["AttributeNames"].as_array().unwrap().len(), 3, "{request}");
    }
}

#[tokio::test]
async fn what_a_queue_does_not_say_is_no_zero() {
    let complete = || attributes("1", "1", "1");
    let wrong = [
        [complete(), error(403, "AccessDenied")],
        [complete(), error(400, "AWS.SimpleQueueService.NonExistentQueue")],
        [complete(), (200, None, json!({"Attributes": {"ApproximateNumberOfMessages": "1"}}))],
        [complete(), (200, None, json!({}))],
        [attributes("many", "1", "1"), complete()],
        [attributes("-1", "1", "1"), complete()],
    ];
    for answers in wrong {
        let shown = format!("{answers:?}");
        let failure = Script::new(answers).queue().0.depth(QUEUE).await.unwrap_err();
        assert!(matches!(failure, QueueError::Unavailable { .. }), "{shown}: {failure:?}");
        assert_eq!(failure.retry(), Retry::Again, "{shown}");
    }
}

#[tokio::test]
async fn without_the_url_of_its_dead_letter_queue_a_queue_is_not_asked() {
    let script = Script::new([]);
    let queue = script.queue().0.with_dead_letter_queues(BTreeMap::new());
    let QueueError::Unavailable { source, .. } = queue.depth(QUEUE).await.unwrap_err() else {
        panic!("it is not the fault of a message");
    };
    assert_eq!(source.to_string(), "the process was given no URL of the dead-letter queue of scans");
    assert_eq!(script.requests.lock().unwrap().len(), 0);
}
