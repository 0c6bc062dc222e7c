//! The local queue keeps the contract of the queue ports, over restarts and with several processes on its file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken set-up ends the test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidewatch_core::ports::queue::{OutgoingMessage, QueueName, QueueReceiver, QueueSender};
use tidewatch_store::{LocalQueue, LocalQueueError};
use tidewatch_testkit::ports::SettableClock;
use tidewatch_testkit::queue_contract;

const QUEUE: QueueName = QueueName::Scans;
const VISIBILITY: Duration = Duration::from_secs(30);

async fn local_queue(clock: Arc<SettableClock>) -> (Arc<LocalQueue>, TempDir) {
    let folder = TempDir::new().unwrap();
    (Arc::new(open(folder.path(), &clock).await), folder)
}

async fn open(folder: &Path, clock: &Arc<SettableClock>) -> LocalQueue {
    LocalQueue::open(&folder.join("queue.sqlite"), Arc::<SettableClock>::clone(clock)).await.unwrap()
}

fn clock() -> Arc<SettableClock> {
    Arc::new(SettableClock::at("2025-01-01T00:00:00Z"))
}

fn messages(bodies: impl IntoIterator<Item = u32>) -> Vec<OutgoingMessage> {
    let message = |body: u32| OutgoingMessage { body: body.to_string(), delay: Duration::ZERO };
    bodies.into_iter().map(message).collect()
}

queue_contract!(local, local_queue);

#[tokio::test]
async fn a_queue_opened_again_has_its_messages_counts_and_receipts() {
    let (folder, clock) = (TempDir::new().unwrap(), clock());
    let queue = open(folder.path(), &clock).await;
    queue.send(QUEUE, messages(0..3)).await.unwrap();
    let held = queue.receive(QUEUE, 2, VISIBILITY).await.unwrap();
    drop(queue);

    let queue = open(folder.path(), &clock).await;
    assert_eq!(queue.receive(QUEUE, 10, VISIBILITY).await.unwrap().len(), 1, "what is held stays invisible");
    queue.acknowledge(QUEUE, &held[0].receipt).await.unwrap();
    clock.advance(VISIBILITY);
    let again = queue.receive(QUEUE, 10, VISIBILITY).await.unwrap();
    assert_eq!(again.iter().map(|delivery| delivery.receives).collect::<Vec<_>>(), [2, 2]);
}

#[tokio::test]
async fn a_removed_message_gives_its_id_to_no_other() {
    let (folder, clock) = (TempDir::new().unwrap(), clock());
    let mut ids = Vec::new();
    for _ in 0..3 {
        let queue = open(folder.path(), &clock).await;
        queue.send(QUEUE, messages([1])).await.unwrap();
        let delivery = queue.receive(QUEUE, 1, VISIBILITY).await.unwrap().remove(0);
        queue.acknowledge(QUEUE, &delivery.receipt).await.unwrap();
        assert!(!ids.contains(&delivery.message_id));
        ids.push(delivery.message_id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_connections_open_one_new_file_and_share_its_messages() {
    let (folder, clock) = (TempDir::new().unwrap(), clock());
    let workers = (0..6).map(|worker| {
        let (folder, clock) = (folder.path().to_owned(), Arc::clone(&clock));
        tokio::spawn(async move {
            let queue = open(&folder, &clock).await;
            for n in 0..10 {
                queue.send(QUEUE, messages([worker * 100 + n])).await.unwrap();
            }
            let mut received = Vec::new();
            for _ in 0..10 {
                for delivery in queue.receive(QUEUE, 1, VISIBILITY).await.unwrap() {
                    queue.acknowledge(QUEUE, &delivery.receipt).await.unwrap();
                    received.push(delivery.body);
                }
            }
            received
        })
    });
    let mut received = futures::future::try_join_all(workers).await.unwrap().concat();
    received.sort_unstable();
    received.dedup();
    assert_eq!(received.len(), 60, "each message was received once");
}

#[tokio::test]
async fn a_file_of_a_newer_format_is_refused() {
    let (folder, clock) = (TempDir::new().unwrap(), clock());
    drop(open(folder.path(), &clock).await);
    let path = folder.path().join("queue.sqlite");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let error = LocalQueue::open(&path, clock).await.unwrap_err();
    assert!(matches!(error, LocalQueueError::Newer { version: 2, .. }), "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("queue.sqlite");
    std::fs::write(&path, "no database at all, but long enough to be read as the header of one".repeat(20))
        .unwrap();
    let error = LocalQueue::open(&path, clock()).await.unwrap_err();
    assert!(matches!(error, LocalQueueError::Unusable { .. }), "{error:?}");
    assert!(error.to_string().contains("queue.sqlite"));
}
