//! The contract of the port that says how much is in queues. Every promise is a function that takes fresh, empty queues
//! and a way to let time pass for them.
//!
//! The promises are those of a queue that counts exactly, as SQS does once nothing has changed for a while.

use std::sync::Arc;
use std::time::Duration;

use tidewatch_core::ports::QueueDepths;
use tidewatch_core::ports::queue::{
    Delivery, MAX_RECEIVES, OutgoingMessage, QueueName, QueueReceiver, QueueSender,
};
use tidewatch_core::ports::queue_depths::QueueDepth;

use super::queue::Passing;

/// Makes a module `$backend` with one test for each promise of [`QueueDepths`]. `$make` is as for
/// [`queue_contract`](crate::queue_contract).
#[macro_export]
macro_rules! queue_depths_contract {
    ($backend:ident, $make:path) => {
        $crate::queue_contract!(@tests queue_depths, $backend, $make,
            an_empty_queue_holds_nothing,
            a_message_counts_once_by_what_becomes_of_it_next,
            what_is_hidden_becomes_visible_when_its_time_has_passed,
            a_message_that_is_released_for_later_is_in_flight_until_then,
            dead_letters_are_counted_apart_and_also_while_somebody_reads_them,
            each_queue_counts_its_own_messages,
            asking_is_no_receive,
            a_wait_that_is_told_is_that_of_the_message_that_has_waited_longest,
        );
    };
}

const QUEUE: QueueName = QueueName::Scans;

/// Long enough for a busy machine to do a few requests in, and short enough to be waited for.
const VISIBILITY: Duration = Duration::from_secs(4);

/// A queue with all of its ports.
pub trait Queue: QueueSender + QueueReceiver + QueueDepths {}

impl<Q: QueueSender + QueueReceiver + QueueDepths> Queue for Q {}

async fn send(queue: &impl Queue, bodies: &[&str], delay: Duration) {
    let message = |body: &&str| OutgoingMessage { body: (*body).to_owned(), delay };
    queue.send(QUEUE, bodies.iter().map(message).collect()).await.unwrap();
}

async fn receive_one(queue: &impl Queue) -> Delivery {
    let mut deliveries = queue.receive(QUEUE, 1, VISIBILITY).await.unwrap();
    assert_eq!(deliveries.len(), 1, "a message is visible");
    deliveries.remove(0)
}

/// Visible, in flight, delayed, dead.
async fn counts(queue: &impl Queue) -> [u64; 4] {
    let QueueDepth { visible, in_flight, delayed, dead_letters, .. } = queue.depth(QUEUE).await.unwrap();
    [visible, in_flight, delayed, dead_letters]
}

/// And a wait of 0, where one is told.
pub async fn an_empty_queue_holds_nothing(queue: Arc<impl Queue>, _time: &dyn Passing) {
    let depth = queue.depth(QUEUE).await.unwrap();
    let waits = depth.longest_wait_seconds;
    assert!(matches!(waits, None | Some(0)), "{waits:?}");
    assert_eq!(depth, QueueDepth { longest_wait_seconds: waits, ..QueueDepth::default() });
}

/// Visible, then in flight, then gone.
pub async fn a_message_counts_once_by_what_becomes_of_it_next(queue: Arc<impl Queue>, _time: &dyn Passing) {
    send(&*queue, &["1", "2", "3"], Duration::ZERO).await;
    send(&*queue, &["4", "5"], Duration::from_secs(600)).await;
    assert_eq!(counts(&*queue).await, [3, 0, 2, 0]);
    let delivery = receive_one(&*queue).await;
    assert_eq!(counts(&*queue).await, [2, 1, 2, 0]);
    assert_eq!(queue.depth(QUEUE).await.unwrap().messages(), 5);
    queue.acknowledge(QUEUE, &delivery.receipt).await.unwrap();
    assert_eq!(counts(&*queue).await, [2, 0, 2, 0]);
}

/// Both what was received and what was sent with a delay.
pub async fn what_is_hidden_becomes_visible_when_its_time_has_passed(
    queue: Arc<impl Queue>,
    time: &dyn Passing,
) {
    send(&*queue, &["1"], Duration::ZERO).await;
    receive_one(&*queue).await;
    send(&*queue, &["2"], VISIBILITY).await;
    assert_eq!(counts(&*queue).await, [0, 1, 1, 0]);
    time.pass(VISIBILITY).await;
    assert_eq!(counts(&*queue).await, [2, 0, 0, 0]);
}

/// It is no delayed one, for it was received.
pub async fn a_message_that_is_released_for_later_is_in_flight_until_then(
    queue: Arc<impl Queue>,
    _time: &dyn Passing,
) {
    send(&*queue, &["1"], Duration::ZERO).await;
    let delivery = receive_one(&*queue).await;
    queue.release(QUEUE, &delivery.receipt, Duration::from_secs(300)).await.unwrap();
    assert_eq!(counts(&*queue).await, [0, 1, 0, 0]);
}

/// When it was received too often, and the queue was received from after that.
pub async fn dead_letters_are_counted_apart_and_also_while_somebody_reads_them(
    queue: Arc<impl Queue>,
    _time: &dyn Passing,
) {
    send(&*queue, &["poison"], Duration::ZERO).await;
    for _ in 0..MAX_RECEIVES {
        let delivery = receive_one(&*queue).await;
        queue.release(QUEUE, &delivery.receipt, Duration::ZERO).await.unwrap();
    }
    assert_eq!(queue.receive(QUEUE, 10, VISIBILITY).await.unwrap(), []);
    send(&*queue, &["sound"], Duration::ZERO).await;
    assert_eq!(counts(&*queue).await, [1, 0, 0, 1]);
    assert_eq!(queue.dead_letters(QUEUE, 10).await.unwrap().len(), 1);
    assert_eq!(counts(&*queue).await, [1, 0, 0, 1]);
}

/// And no others.
pub async fn each_queue_counts_its_own_messages(queue: Arc<impl Queue>, _time: &dyn Passing) {
    send(&*queue, &["1", "2"], Duration::ZERO).await;
    assert_eq!(queue.depth(QueueName::Listings).await.unwrap().messages(), 0);
    assert_eq!(counts(&*queue).await, [2, 0, 0, 0]);
}

/// However often it is done.
pub async fn asking_is_no_receive(queue: Arc<impl Queue>, _time: &dyn Passing) {
    send(&*queue, &["1"], Duration::ZERO).await;
    for _ in 0..=MAX_RECEIVES {
        assert_eq!(counts(&*queue).await, [1, 0, 0, 0]);
    }
    assert_eq!(receive_one(&*queue).await.receives, 1);
}

/// Of those that are visible: it begins anew with each receive.
pub async fn a_wait_that_is_told_is_that_of_the_message_that_has_waited_longest(
    queue: Arc<impl Queue>,
    time: &dyn Passing,
) {
    send(&*queue, &["1"], Duration::ZERO).await;
    time.pass(VISIBILITY).await;
    send(&*queue, &["2"], Duration::ZERO).await;
    let Some(wait) = queue.depth(QUEUE).await.unwrap().longest_wait_seconds else { return };
    assert!((4..=60).contains(&wait), "{wait}");
    let deliveries = queue.receive(QUEUE, 10, VISIBILITY).await.unwrap();
    assert_eq!(deliveries.len(), 2);
    assert_eq!(queue.depth(QUEUE).await.unwrap().longest_wait_seconds, Some(0), "nothing waits");
    for delivery in deliveries {
        queue.release(QUEUE, &delivery.receipt, Duration::ZERO).await.unwrap();
    }
    let wait = queue.depth(QUEUE).await.unwrap().longest_wait_seconds;
    assert!(wait.is_some_and(|wait| wait < 4), "{wait:?}");
}
