//! The local queue keeps the contract of the queue ports, to the millisecond, over restarts and with several processes
//! on its file; and what SQS does not promise: order, and that a stale receipt does nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken set-up ends the test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidewatch_core::ports::QueueDepths as _;
use tidewatch_core::ports::queue::{
    Delivery, MAX_DELAY, MAX_RECEIVES, OutgoingMessage, QueueName, QueueReceiver, QueueSender,
};
use tidewatch_core::ports::queue_depths::QueueDepth;
use tidewatch_store::{LocalQueue, LocalQueueError};
use tidewatch_testkit::ports::SettableClock;
use tidewatch_testkit::{queue_contract, queue_depths_contract};

const QUEUE: QueueName = QueueName::Scans;
const VISIBILITY: Duration = Duration::from_secs(30);

async fn local_queue() -> ((Arc<LocalQueue>, Arc<SettableClock>), TempDir) {
    let (folder, clock) = (TempDir::new().unwrap(), clock());
    ((Arc::new(open(folder.path(), &clock).await), clock), folder)
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
queue_depths_contract!(local_depths, local_queue);

/// The only message that is visible.
async fn receive_one(queue: &LocalQueue) -> Delivery {
    let mut deliveries = queue.receive(QUEUE, 10, VISIBILITY).await.unwrap();
    assert_eq!(deliveries.len(), 1, "one message is visible");
    deliveries.remove(0)
}

async fn assert_nothing_visible(queue: &LocalQueue) {
    assert_eq!(queue.receive(QUEUE, 10, VISIBILITY).await.unwrap(), [], "no message is visible");
}

/// Nothing is visible for a message that becomes so after `duration`, until then; then it is.
async fn receive_after(queue: &LocalQueue, clock: &SettableClock, duration: Duration) -> Delivery {
    clock.advance(duration.saturating_sub(Duration::from_millis(1)));
    assert_nothing_visible(queue).await;
    clock.advance(Duration::from_millis(1));
    receive_one(queue).await
}

#[tokio::test]
async fn visibility_release_and_delay_end_to_the_millisecond() {
    let ((queue, clock), _folder) = local_queue().await;
    queue.send(QUEUE, messages([1])).await.unwrap();
    receive_one(&queue).await;
    let second = receive_after(&queue, &clock, VISIBILITY).await;
    queue.release(QUEUE, &second.receipt, VISIBILITY * 3).await.unwrap();
    let third = receive_after(&queue, &clock, VISIBILITY * 3).await;
    queue.acknowledge(QUEUE, &third.receipt).await.unwrap();

    let delayed = OutgoingMessage { body: "later".to_owned(), delay: MAX_DELAY };
    queue.send(QUEUE, vec![delayed]).await.unwrap();
    assert_eq!(receive_after(&queue, &clock, MAX_DELAY).await.body, "later");
}

#[tokio::test]
async fn a_stale_receipt_removes_nothing_that_another_receiver_holds() {
    let ((queue, clock), _folder) = local_queue().await;
    queue.send(QUEUE, messages([1])).await.unwrap();
    let stale = receive_one(&queue).await;
    clock.advance(VISIBILITY);
    receive_one(&queue).await;
    queue.acknowledge(QUEUE, &stale.receipt).await.unwrap();
    clock.advance(VISIBILITY);
    let third = receive_one(&queue).await;
    assert_eq!(third.receives, 3);
    queue.acknowledge(QUEUE, &third.receipt).await.unwrap();
    clock.advance(VISIBILITY);
    assert_nothing_visible(&queue).await;
}

#[tokio::test]
async fn a_stale_receipt_releases_nothing() {
    let ((queue, clock), _folder) = local_queue().await;
    queue.send(QUEUE, messages([1])).await.unwrap();
    let stale = receive_one(&queue).await;
    clock.advance(VISIBILITY);
    receive_one(&queue).await;
    queue.release(QUEUE, &stale.receipt, Duration::ZERO).await.unwrap();
    assert_nothing_visible(&queue).await;
    queue.release(QUEUE, &stale.receipt, VISIBILITY * 9).await.unwrap();
    clock.advance(VISIBILITY);
    assert_eq!(receive_one(&queue).await.receives, 3);
}

#[tokio::test]
async fn a_call_receives_as_many_as_it_asks_for() {
    let ((queue, _clock), _folder) = local_queue().await;
    queue.send(QUEUE, messages(0..14)).await.unwrap();
    let mut received = Vec::new();
    for most in [1, 11, 10] {
        received.push(queue.receive(QUEUE, most, VISIBILITY).await.unwrap().len());
    }
    assert_eq!(received, [1, 10, 3]);
}

#[tokio::test]
async fn dead_letters_are_listed_oldest_first_with_their_receives() {
    let ((queue, _clock), _folder) = local_queue().await;
    for body in 1..=3 {
        queue.send(QUEUE, messages([body])).await.unwrap();
        for _ in 0..MAX_RECEIVES {
            let delivery = receive_one(&queue).await;
            queue.release(QUEUE, &delivery.receipt, Duration::ZERO).await.unwrap();
        }
        assert_nothing_visible(&queue).await;
    }
    let listed = |letters: Vec<Delivery>| {
        letters.into_iter().map(|letter| (letter.body, letter.receives)).collect::<Vec<_>>()
    };
    let expected = ["1", "2", "3"].map(|body| (body.to_owned(), MAX_RECEIVES));
    assert_eq!(listed(queue.dead_letters(QUEUE, 2).await.unwrap()), expected[..2]);
    assert_eq!(listed(queue.dead_letters(QUEUE, 10).await.unwrap()), expected);
}

#[tokio::test]
async fn what_is_exhausted_counts_as_a_dead_letter_from_when_it_would_be_visible_and_stays_where_it_is() {
    let ((queue, clock), _folder) = local_queue().await;
    queue.send(QUEUE, messages([1])).await.unwrap();
    for _ in 1..MAX_RECEIVES {
        let delivery = receive_one(&queue).await;
        queue.release(QUEUE, &delivery.receipt, Duration::ZERO).await.unwrap();
    }
    let last = receive_one(&queue).await;
    let depth = async || queue.depth(QUEUE).await.unwrap();
    let empty = QueueDepth { longest_wait_seconds: Some(0), ..QueueDepth::default() };
    assert_eq!(depth().await, QueueDepth { in_flight: 1, ..empty });
    clock.advance(VISIBILITY);
    assert_eq!(depth().await, QueueDepth { dead_letters: 1, ..empty });
    // It was not moved: who has it can still be done with it.
    queue.acknowledge(QUEUE, &last.receipt).await.unwrap();
    assert_eq!(depth().await, empty);
}

#[tokio::test]
async fn a_wait_is_told_in_whole_seconds_and_is_none_before_its_time() {
    let ((queue, clock), _folder) = local_queue().await;
    queue.send(QUEUE, messages([1])).await.unwrap();
    for (millis, wait) in [(0, 0), (999, 0), (1, 1), (89_000, 90)] {
        clock.advance(Duration::from_millis(millis));
        assert_eq!(queue.depth(QUEUE).await.unwrap().longest_wait_seconds, Some(wait));
    }
    clock.set("2024-12-31T00:00:00Z".parse().unwrap());
    let set_back = queue.depth(QUEUE).await.unwrap();
    assert_eq!((set_back.visible, set_back.longest_wait_seconds), (0, Some(0)), "the clock was set back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_is_asked_while_another_process_writes_to_its_file() {
    let ((queue, _clock), folder) = local_queue().await;
    queue.send(QUEUE, messages([1])).await.unwrap();
    let writer = rusqlite::Connection::open(folder.path().join("queue.sqlite")).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM messages").unwrap();
    let depth = tokio::time::timeout(Duration::from_secs(10), queue.depth(QUEUE)).await;
    assert_eq!(depth.expect("it does not wait").unwrap().visible, 1);
}

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
