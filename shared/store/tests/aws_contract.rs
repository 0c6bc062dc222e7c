//! What a deployed Tidewatch stores in keeps the contracts of its ports: SQS, S3, DynamoDB and EventBridge, as MiniStack has
//! them.
//!
//! Where MiniStack differs from AWS, it does so on the strict side for these contracts, but for one: transactions never
//! conflict in it, which [`ConflictingTable`] makes up for. Its queues give all that is visible, and everything once,
//! which AWS does not promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken set-up ends the test")]
#![allow(clippy::unused_async, reason = "the contract takes factories that may wait")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::types::TimeToLiveSpecification;
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_http_client::Builder as HttpClientBuilder;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::SdkConfig;
use aws_types::region::Region;
use tidewatch_core::event::{AffectedEvent, EventMember};
use tidewatch_core::image::{ImageId, Platform};
use tidewatch_core::ports::queue::{
    Delivery, MAX_RECEIVES, OutgoingMessage, QueueError, QueueName, QueueReceiver, QueueSender,
};
use tidewatch_core::ports::table::{Condition, Item, Key, TableError};
use tidewatch_core::ports::{EventBus as _, Objects, QueueDepths as _, Table};
use tidewatch_core::result::Report;
use tidewatch_core::{Digest, Retry, Retryable, Severity};
use tidewatch_store::{
    Deployed, DynamoDbTable, EventBridge, MirrorAnswer, MirrorBucket, MirrorError, ObjectStorage, Places,
    SqsQueue,
};
use tidewatch_testkit::contract::queue::RealTime;
use tidewatch_testkit::contract::table::ConflictingTable;
use tidewatch_testkit::ministack::MiniStack;
use tidewatch_testkit::ports::InstantSleeper;
use tidewatch_testkit::{objects_contract, queue_contract, queue_depths_contract, table_contract};

const VISIBILITY: Duration = Duration::from_secs(30);

/// A configuration of the SDK for MiniStack, or for another endpoint of the same kind.
fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .http_client(HttpClientBuilder::new().build_http())
        .sleep_impl(TokioSleep::new())
        .time_source(SystemTimeSource::new())
        .build()
}

/// A name that nothing else in MiniStack has.
fn unique(kind: &str) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("{kind}-{}", MADE.fetch_add(1, Ordering::Relaxed))
}

/// Makes a queue with a dead-letter queue, as the template does, and gives its URL.
async fn make_queue(client: &aws_sdk_sqs::Client, queue: QueueName) -> String {
    make_both(client, queue).await.0
}

/// Makes them likewise, and gives the URL of either.
async fn make_both(client: &aws_sdk_sqs::Client, queue: QueueName) -> (String, String) {
    let name = unique(queue.as_str());
    let dead = client.create_queue().queue_name(format!("{name}-dead")).send().await.unwrap();
    let dead = dead.queue_url.unwrap();
    let arn = client
        .get_queue_attributes()
        .queue_url(&dead)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await
        .unwrap();
    let arn = &arn.attributes.unwrap()[&QueueAttributeName::QueueArn];
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{MAX_RECEIVES}}}"#);
    let create = client.create_queue().queue_name(name);
    let made = create.attributes(QueueAttributeName::RedrivePolicy, policy).send().await.unwrap();
    (made.queue_url.unwrap(), dead)
}

async fn make_queues(config: &SdkConfig) -> SqsQueue {
    let client = aws_sdk_sqs::Client::new(config);
    let (mut urls, mut dead_letter_queues) = (BTreeMap::new(), BTreeMap::new());
    for queue in [QueueName::Scans, QueueName::Listings] {
        let (url, dead) = make_both(&client, queue).await;
        urls.insert(queue, url);
        dead_letter_queues.insert(queue, dead);
    }
    SqsQueue::new(config, urls, Arc::new(InstantSleeper::new())).with_dead_letter_queues(dead_letter_queues)
}

/// Makes a table as [`DynamoDbTable::create`] does, but without a time to live, because MiniStack removes what is past
/// it within a minute.
async fn make_table(config: &SdkConfig) -> DynamoDbTable {
    let name = unique("table");
    let table = DynamoDbTable::of(config, &name);
    table.create().await.unwrap();
    let off = TimeToLiveSpecification::builder().attribute_name("ttl").enabled(false).build().unwrap();
    let client = aws_sdk_dynamodb::Client::new(config);
    client.update_time_to_live().table_name(name).time_to_live_specification(off).send().await.unwrap();
    table
}

async fn sqs() -> Option<((Arc<SqsQueue>, Arc<RealTime>), ())> {
    let config = config(&MiniStack::shared()?.endpoint());
    Some(((Arc::new(make_queues(&config).await), Arc::new(RealTime)), ()))
}

async fn s3() -> Option<(Arc<dyn Objects>, ())> {
    let ministack = MiniStack::shared()?;
    let bucket = unique("bucket");
    ministack.make_bucket(&bucket);
    Some((Arc::new(ObjectStorage::s3(&config(&ministack.endpoint()), &bucket).unwrap()), ()))
}

async fn dynamodb() -> Option<(Arc<dyn Table>, ())> {
    Some((Arc::new(make_table(&config(&MiniStack::shared()?.endpoint())).await), ()))
}

async fn conflicting_dynamodb() -> Option<(Arc<dyn Table>, ())> {
    Some((Arc::new(ConflictingTable::new(dynamodb().await?.0)), ()))
}

queue_contract!(on_sqs, sqs);
queue_depths_contract!(depths_on_sqs, sqs);
objects_contract!(on_s3, s3);
table_contract!(on_dynamodb, dynamodb);
table_contract!(on_dynamodb_with_conflicts, conflicting_dynamodb);

#[tokio::test]
async fn many_large_messages_are_sent_in_as_many_batches_as_they_need() {
    let Some(((queue, _time), ())) = sqs().await else { return };
    let body = |n: usize| format!("{n} {}", "x".repeat(200 * 1024));
    let messages = (0..23).map(|n| OutgoingMessage { body: body(n), delay: Duration::ZERO });
    queue.send(QueueName::Scans, messages.collect()).await.unwrap();
    let mut received = Vec::new();
    loop {
        let deliveries = queue.receive(QueueName::Scans, 10, VISIBILITY).await.unwrap();
        if deliveries.is_empty() {
            break;
        }
        received.extend(deliveries.into_iter().map(|delivery| delivery.body));
    }
    let number = |body: &String| body.split(' ').next().unwrap().parse::<usize>().unwrap();
    received.sort_unstable_by_key(number);
    assert_eq!(received.len(), 23);
    assert!(received.iter().enumerate().all(|(n, received)| *received == body(n)));
}

#[tokio::test]
async fn the_arn_of_an_event_source_names_its_queue() {
    let Some(ministack) = MiniStack::shared() else { return };
    let config = config(&ministack.endpoint());
    let client = aws_sdk_sqs::Client::new(&config);
    let url = make_queue(&client, QueueName::Pushed).await;
    let request = client.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
    let arn =
        request.send().await.unwrap().attributes.unwrap().remove(&QueueAttributeName::QueueArn).unwrap();
    let urls = BTreeMap::from([(QueueName::Pushed, url)]);
    let queue = SqsQueue::new(&config, urls, Arc::new(InstantSleeper::new()));
    assert_eq!(queue.named_by(&arn), Some(QueueName::Pushed));
    assert_eq!(queue.named_by(&format!("{arn}-dead")), None);
    assert_eq!(queue.named_by(&arn.replace("000000000000", "111111111111")), None);
}

#[tokio::test]
async fn queues_that_are_not_there_may_be_there_later() {
    let Some(ministack) = MiniStack::shared() else { return };
    let urls = BTreeMap::from([(QueueName::Scans, format!("{}/000000000000/none", ministack.endpoint()))]);
    let queue = SqsQueue::new(&config(&ministack.endpoint()), urls.clone(), Arc::new(InstantSleeper::new()))
        .with_dead_letter_queues(urls);
    let message = || vec![OutgoingMessage { body: "1".to_owned(), delay: Duration::ZERO }];
    for name in [QueueName::Scans, QueueName::Hints] {
        for error in [
            queue.send(name, message()).await.unwrap_err(),
            queue.receive(name, 1, VISIBILITY).await.unwrap_err(),
            queue.acknowledge(name, "receipt").await.unwrap_err(),
            queue.release(name, "receipt", VISIBILITY).await.unwrap_err(),
            queue.dead_letters(name, 1).await.unwrap_err(),
            queue.depth(name).await.unwrap_err(),
        ] {
            assert!(matches!(error, QueueError::Unavailable { .. }), "{error:?}");
            assert_eq!(error.retry(), Retry::Again);
        }
    }
}

#[tokio::test]
async fn a_queue_without_a_dead_letter_queue_says_so() {
    let Some(ministack) = MiniStack::shared() else { return };
    let config = config(&ministack.endpoint());
    let client = aws_sdk_sqs::Client::new(&config);
    let url = client.create_queue().queue_name(unique("alone")).send().await.unwrap().queue_url.unwrap();
    let urls = BTreeMap::from([(QueueName::Scans, url)]);
    let queue = SqsQueue::new(&config, urls, Arc::new(InstantSleeper::new()));
    let QueueError::Unavailable { source, .. } = queue.dead_letters(QueueName::Scans, 1).await.unwrap_err()
    else {
        panic!("it is not the fault of a message");
    };
    assert!(source.to_string().contains("it has none"), "{source}");
}

#[tokio::test]
async fn a_table_is_made_once() {
    let Some(ministack) = MiniStack::shared() else { return };
    let table = DynamoDbTable::of(&config(&ministack.endpoint()), unique("table"));
    table.create().await.unwrap();
    let item = Item::new(Key::new("a", "b"));
    table.put(item.clone(), Condition::ItemAbsent).await.unwrap();
    table.create().await.unwrap();
    assert_eq!(table.get(&item.key).await.unwrap(), Some(item));
}

#[tokio::test]
async fn a_table_that_is_not_there_may_be_there_later() {
    let Some(ministack) = MiniStack::shared() else { return };
    let table = DynamoDbTable::of(&config(&ministack.endpoint()), unique("never"));
    let error = table.get(&Key::new("a", "b")).await.unwrap_err();
    assert!(matches!(error, TableError::Unavailable { .. }), "{error:?}");
    assert_eq!(error.retry(), Retry::Again);
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_no_empty_one() {
    let Some(ministack) = MiniStack::shared() else { return };
    let objects = ObjectStorage::s3(&config(&ministack.endpoint()), &unique("never")).unwrap();
    let outcomes = [
        objects.get("a").await.map(drop),
        objects.put("a", bytes::Bytes::new()).await,
        objects.delete("a").await,
        objects.list("").await.map(drop),
    ];
    for outcome in outcomes {
        assert_eq!(outcome.expect_err("there is no bucket").retry(), Retry::Again);
    }
}

#[tokio::test]
async fn a_bucket_of_others_gives_what_has_changed_in_it() {
    let Some(ministack) = MiniStack::shared() else { return };
    let name = unique("mirror");
    ministack.make_bucket(&name);
    let bucket = MirrorBucket::s3(&config(&ministack.endpoint()), &name).unwrap();
    for key in ["osv/Rocky Linux/all.zip", "osv/Debian/DSA-1:2.json", "osv/Debian/DSA-1.json", "osv2/a"] {
        ministack.put_object(&name, key, key.as_bytes());
    }
    let read = async |key: &str, known: Option<&str>| match bucket.object(key, known).await.unwrap() {
        MirrorAnswer::Absent => Err("absent"),
        MirrorAnswer::Unchanged => Err("unchanged"),
        MirrorAnswer::Object(mut object) => {
            let mut bytes = Vec::new();
            while let Some(chunk) = object.chunk().await.unwrap() {
                bytes.extend_from_slice(&chunk);
            }
            assert_eq!(object.size, bytes.len() as u64);
            Ok((String::from_utf8(bytes).unwrap(), object.etag.unwrap()))
        }
    };
    let key = "osv/Rocky Linux/all.zip";
    let (text, etag) = read(key, None).await.unwrap();
    assert_eq!(text, key);
    assert_eq!(read(key, Some(&etag)).await, Err("unchanged"));
    ministack.put_object(&name, key, b"another");
    let (text, changed) = read(key, Some(&etag)).await.unwrap();
    assert_eq!((text.as_str(), changed != etag), ("another", true));
    assert_eq!(read("osv/Rocky Linux", None).await, Err("absent"));

    let entries = bucket.list("osv/Debian", 2).await.unwrap();
    let keys: Vec<_> = entries.iter().map(|entry| (entry.key.as_str(), entry.size)).collect();
    assert_eq!(keys, [("osv/Debian/DSA-1.json", 21), ("osv/Debian/DSA-1:2.json", 23)]);
    assert!(entries.iter().all(|entry| entry.etag.is_some()));
    assert!(matches!(bucket.list("osv", 2).await, Err(MirrorError::TooMany { limit: 2, .. })));
    assert!(matches!(bucket.object("a//b", None).await, Err(MirrorError::InvalidKey { .. })));
    let never = MirrorBucket::s3(&config(&ministack.endpoint()), &unique("never")).unwrap();
    assert_eq!(never.object("a", None).await.err().unwrap().retry(), Retry::Again);
}

#[tokio::test]
async fn what_a_stack_stores_in_is_opened_by_its_names() {
    let Some(ministack) = MiniStack::shared() else { return };
    let config = config(&ministack.endpoint());
    let (table, bucket) = (unique("table"), unique("bucket"));
    DynamoDbTable::of(&config, &table).create().await.unwrap();
    ministack.make_bucket(&bucket);
    let (url, dead) = make_both(&aws_sdk_sqs::Client::new(&config), QueueName::Scans).await;
    let environment = BTreeMap::from([
        ("TIDEWATCH_TABLE", table),
        ("TIDEWATCH_BUCKET", bucket),
        ("TIDEWATCH_QUEUE_SCANS", url),
        ("TIDEWATCH_DEAD_LETTER_QUEUE_SCANS", dead),
    ]);
    let places = Places::from_environment(&|name| environment.get(name).cloned()).unwrap();
    let deployed = Deployed::open(&config, places, Arc::new(InstantSleeper::new())).unwrap();
    assert_eq!(deployed.records.orgs().await.unwrap(), []);
    assert_eq!(deployed.queue.receive(QueueName::Scans, 1, VISIBILITY).await.unwrap(), []);
    assert_eq!(deployed.queue.depth(QueueName::Scans).await.unwrap().messages(), 0);
}

#[tokio::test]
async fn events_come_to_whoever_has_a_rule_for_them() {
    let Some(ministack) = MiniStack::shared() else { return };
    let config = config(&ministack.endpoint());
    let (events, queues) = (aws_sdk_eventbridge::Client::new(&config), aws_sdk_sqs::Client::new(&config));
    let bus = unique("bus");
    events.create_event_bus().name(&bus).send().await.unwrap();
    let url = queues.create_queue().queue_name(unique("listener")).send().await.unwrap().queue_url.unwrap();
    let arn = queues.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
    let arn = arn.send().await.unwrap().attributes.unwrap().remove(&QueueAttributeName::QueueArn).unwrap();
    // As docs/EVENTS.md has it.
    let pattern = r#"{"source": ["tidewatch"], "detail-type": ["Image Newly Affected"], "detail": {"severity": ["CRITICAL"]}}"#;
    events.put_rule().name("critical").event_bus_name(&bus).event_pattern(pattern).send().await.unwrap();
    let target = aws_sdk_eventbridge::types::Target::builder().id("queue").arn(arn).build().unwrap();
    events.put_targets().rule("critical").event_bus_name(&bus).targets(target).send().await.unwrap();

    let event = |number: usize, severity| affected(&format!("CVE-2099-{number:04}"), severity);
    let mut told: Vec<AffectedEvent> = (0..12).map(|number| event(number, Severity::Critical)).collect();
    told.push(event(12, Severity::High));
    let answers = EventBridge::new(&config, bus).put(&told).await;
    assert_eq!(answers.len(), 13);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");

    let urls = BTreeMap::from([(QueueName::Scans, url)]);
    let queue = SqsQueue::new(&config, urls, Arc::new(InstantSleeper::new()));
    let mut received = Vec::new();
    while received.len() < 12 {
        let deliveries = queue.receive(QueueName::Scans, 10, VISIBILITY).await.unwrap();
        assert!(!deliveries.is_empty(), "only {} came", received.len());
        let body = |delivery: Delivery| serde_json::from_str::<serde_json::Value>(&delivery.body).unwrap();
        received.extend(deliveries.into_iter().map(body));
    }
    assert!(queue.receive(QueueName::Scans, 10, VISIBILITY).await.unwrap().is_empty());
    received.sort_by_key(|body| body["detail"]["vulnerability"].as_str().map(str::to_owned));
    for (body, event) in received.iter().zip(&told) {
        assert_eq!(body["source"], "tidewatch");
        assert_eq!(body["detail"], serde_json::to_value(event).unwrap());
        assert_eq!(body["resources"], serde_json::json!([format!("hub/team/web@{}", event.digest)]));
    }
}

#[tokio::test]
async fn an_event_bus_that_is_not_there_may_be_there_later() {
    let mut unreachable = config("http://127.0.0.1:9").into_builder();
    unreachable.set_retry_config(Some(aws_smithy_types::retry::RetryConfig::disabled()));
    let events = [affected("CVE-2099-0001", Severity::High), affected("CVE-2099-0002", Severity::High)];
    let answers = EventBridge::new(&unreachable.build(), "bus".to_owned()).put(&events).await;
    assert_eq!(answers.len(), 2);
    for answer in answers {
        assert_eq!(answer.unwrap_err().retry(), Retry::Again);
    }
}

/// An event about the image of `hub/team/web`.
fn affected(vulnerability: &str, severity: Severity) -> AffectedEvent {
    let image = ImageId { digest: Digest::of(b"web"), platform: Platform::linux_amd64() };
    let findings = serde_json::json!([{
        "vulnerability": vulnerability, "advisories": [], "aliases": [], "package_type": "deb", "package": "zlib",
        "version": "1", "purl": "pkg:deb/debian/zlib@1", "severity": severity, "fixed_version": "2",
        "published_at": null,
    }]);
    let report = serde_json::json!({"version": Report::VERSION, "findings": findings, "policies": {}});
    let report: Report = serde_json::from_value(report).unwrap();
    let member = |stream: &str| EventMember {
        stream: stream.parse().unwrap(),
        registry: "hub".parse().unwrap(),
        repository: "team/web".parse().unwrap(),
        tag: "1.0".parse().unwrap(),
    };
    let members = [member("latest-indexed"), member("production")];
    let found = (&report, "2026-06-15T00:00:00Z".parse().unwrap());
    AffectedEvent::new(&"acme".parse().unwrap(), &image, vulnerability, found, &members).unwrap()
}
