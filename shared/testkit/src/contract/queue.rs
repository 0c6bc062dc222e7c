//! The contract of the queue ports. Every promise is a function that takes a fresh, empty queue and its clock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tidewatch_core::ports::queue::{
    Delivery, MAX_DELAY, MAX_RECEIVES, OutgoingMessage, QueueError, QueueName, QueueReceiver, QueueSender,
};

use crate::ports::SettableClock;

/// Makes a module `$backend` with one test for each promise of a queue. `$make` is an
/// `async fn(Arc<SettableClock>)` that gives a fresh `Arc` of the queue, going by that clock, and whatever must live as
/// long as it, or `()`.
#[macro_export]
macro_rules! queue_contract {
    (@tests $backend:ident, $make:path, $($promise:ident),+ $(,)?) => {
        mod $backend {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let clock = std::sync::Arc::new($crate::ports::SettableClock::at("2025-01-01T00:00:00Z"));
                    let (queue, _kept) = $make(std::sync::Arc::clone(&clock)).await;
                    $crate::contract::queue::$promise(queue, &clock).await;
                }
            )+
        }
    };
    ($backend:ident, $make:path) => {
        $crate::queue_contract!(@tests $backend, $make,
            a_sent_message_is_received_with_its_body,
            queues_are_apart,
            a_received_message_is_invisible_until_its_time_has_passed,
            an_acknowledged_message_never_comes_again,
            a_late_receipt_still_acknowledges_what_nobody_received_since,
            a_stale_receipt_removes_nothing_that_another_receiver_holds,
            unknown_and_repeated_receipts_are_no_error,
            a_receipt_is_of_one_queue,
            a_released_message_comes_again_after_the_delay,
            a_stale_receipt_releases_nothing,
            a_delayed_message_is_invisible_at_first,
            a_call_receives_as_many_as_it_asks_for_and_ten_at_most,
            a_message_received_too_often_goes_to_the_dead_letters,
            the_last_receive_can_still_be_acknowledged,
            dead_letters_are_listed_oldest_first_and_stay,
            messages_over_the_limits_are_refused,
            sending_nothing_is_allowed,
            concurrent_receivers_share_the_messages_without_overlap,
        );
    };
}

const QUEUE: QueueName = QueueName::Scans;
const VISIBILITY: Duration = Duration::from_secs(30);

/// The last millisecond before `duration` has passed.
const fn just_before(duration: Duration) -> Duration {
    duration.saturating_sub(Duration::from_millis(1))
}

fn message(body: &str) -> OutgoingMessage {
    OutgoingMessage { body: body.to_owned(), delay: Duration::ZERO }
}

async fn send<Q: QueueSender>(queue: &Q, bodies: &[&str]) {
    queue.send(QUEUE, bodies.iter().map(|body| message(body)).collect()).await.unwrap();
}

async fn receive<Q: QueueReceiver>(queue: &Q) -> Vec<Delivery> {
    queue.receive(QUEUE, 10, VISIBILITY).await.unwrap()
}

/// The only message that is visible.
async fn receive_one<Q: QueueReceiver>(queue: &Q) -> Delivery {
    let mut deliveries = receive(queue).await;
    assert_eq!(deliveries.len(), 1, "one message is visible");
    deliveries.remove(0)
}

async fn assert_nothing_visible<Q: QueueReceiver>(queue: &Q) {
    assert_eq!(receive(queue).await, [], "no message is visible");
}

/// With a count of 1.
pub async fn a_sent_message_is_received_with_its_body<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    _clock: &SettableClock,
) {
    let body = r#"{"text":"tide – 潮 😀 \u0000"}"#;
    send(&*queue, &[body]).await;
    let delivery = receive_one(&*queue).await;
    assert_eq!((delivery.body.as_str(), delivery.receives), (body, 1));
}

/// A message is in the queue that it was sent to only.
pub async fn queues_are_apart<Q: QueueSender + QueueReceiver>(queue: Arc<Q>, _clock: &SettableClock) {
    queue.send(QueueName::Listings, vec![message("1")]).await.unwrap();
    assert_nothing_visible(&*queue).await;
    assert_eq!(queue.receive(QueueName::Listings, 10, VISIBILITY).await.unwrap().len(), 1);
}

/// Then it comes again, with the same id, another receipt and a higher count.
pub async fn a_received_message_is_invisible_until_its_time_has_passed<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    clock: &SettableClock,
) {
    send(&*queue, &["1"]).await;
    let first = receive_one(&*queue).await;
    clock.advance(just_before(VISIBILITY));
    assert_nothing_visible(&*queue).await;
    clock.advance(Duration::from_millis(1));
    let second = receive_one(&*queue).await;
    assert_eq!((second.message_id, second.body, second.receives), (first.message_id, first.body, 2));
    assert_ne!(second.receipt, first.receipt);
}

/// However late it is.
pub async fn an_acknowledged_message_never_comes_again<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    clock: &SettableClock,
) {
    send(&*queue, &["1", "2"]).await;
    for delivery in receive(&*queue).await.iter().filter(|delivery| delivery.body == "1") {
        queue.acknowledge(QUEUE, &delivery.receipt).await.unwrap();
    }
    clock.advance(VISIBILITY * 100);
    assert_eq!(receive_one(&*queue).await.body, "2");
}

/// A worker that was slow, but alone, has done the work.
pub async fn a_late_receipt_still_acknowledges_what_nobody_received_since<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    clock: &SettableClock,
) {
    send(&*queue, &["1"]).await;
    let delivery = receive_one(&*queue).await;
    clock.advance(VISIBILITY * 2);
    queue.acknowledge(QUEUE, &delivery.receipt).await.unwrap();
    assert_nothing_visible(&*queue).await;
}

/// The other receiver's receipt still does.
pub async fn a_stale_receipt_removes_nothing_that_another_receiver_holds<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    clock: &SettableClock,
) {
    send(&*queue, &["1"]).await;
    let stale = receive_one(&*queue).await;
    clock.advance(VISIBILITY);
    receive_one(&*queue).await;
    queue.acknowledge(QUEUE, &stale.receipt).await.unwrap();
    clock.advance(VISIBILITY);
    let third = receive_one(&*queue).await;
    assert_eq!(third.receives, 3);
    queue.acknowledge(QUEUE, &third.receipt).await.unwrap();
    clock.advance(VISIBILITY);
    assert_nothing_visible(&*queue).await;
}

/// They change nothing.
pub async fn unknown_and_repeated_receipts_are_no_error<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    clock: &SettableClock,
) {
    send(&*queue, &["1", "2"]).await;
    let deliveries = receive(&*queue).await;
    for receipt in ["", "never given", "1.1.1", &deliveries[0].receipt, &deliveries[0].receipt] {
        queue.acknowledge(QUEUE, receipt).await.unwrap();
    }
    for receipt in ["", "never given", &deliveries[0].receipt] {
        queue.release(QUEUE, receipt, Duration::ZERO).await.unwrap();
    }
    assert_nothing_visible(&*queue).await;
    clock.advance(VISIBILITY);
    assert_eq!(receive_one(&*queue).await.body, deliveries[1].body);
}

/// It does nothing in another one.
pub async fn a_receipt_is_of_one_queue<Q: QueueSender + QueueReceiver>(queue: Arc<Q>, clock: &SettableClock) {
    send(&*queue, &["1"]).await;
    let delivery = receive_one(&*queue).await;
    queue.acknowledge(QueueName::Listings, &delivery.receipt).await.unwrap();
    queue.release(QueueName::Listings, &delivery.receipt, Duration::ZERO).await.unwrap();
    assert_nothing_visible(&*queue).await;
    clock.advance(VISIBILITY);
    assert_eq!(receive_one(&*queue).await.receives, 2);
}

/// Sooner or later than its visibility time would end.
pub async fn a_released_message_comes_again_after_the_delay<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    clock: &SettableClock,
) {
    send(&*queue, &["1"]).await;
    let first = receive_one(&*queue).await;
    queue.release(QUEUE, &first.receipt, Duration::ZERO).await.unwrap();
    let second = receive_one(&*queue).await;
    assert_eq!((&second.message_id, second.receives), (&first.message_id, 2));
    queue.release(QUEUE, &second.receipt, VISIBILITY * 3).await.unwrap();
    clock.advance(just_before(VISIBILITY * 3));
    assert_nothing_visible(&*queue).await;
    clock.advance(Duration::from_millis(1));
    assert_eq!(receive_one(&*queue).await.receives, 3);
}

/// Neither sooner nor later than the receiver that holds it now expects.
pub async fn a_stale_receipt_releases_nothing<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    clock: &SettableClock,
) {
    send(&*queue, &["1"]).await;
    let stale = receive_one(&*queue).await;
    clock.advance(VISIBILITY);
    receive_one(&*queue).await;
    queue.release(QUEUE, &stale.receipt, Duration::ZERO).await.unwrap();
    assert_nothing_visible(&*queue).await;
    queue.release(QUEUE, &stale.receipt, VISIBILITY * 9).await.unwrap();
    clock.advance(VISIBILITY);
    assert_eq!(receive_one(&*queue).await.receives, 3);
}

/// Up to the longest delay there is.
pub async fn a_delayed_message_is_invisible_at_first<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    clock: &SettableClock,
) {
    let delayed = OutgoingMessage { body: "later".to_owned(), delay: MAX_DELAY };
    queue.send(QUEUE, vec![delayed, message("now")]).await.unwrap();
    let now = receive_one(&*queue).await;
    assert_eq!(now.body, "now");
    queue.acknowledge(QUEUE, &now.receipt).await.unwrap();
    clock.advance(just_before(MAX_DELAY));
    assert_nothing_visible(&*queue).await;
    clock.advance(Duration::from_millis(1));
    assert_eq!(receive_one(&*queue).await.body, "later");
}

/// No message comes twice.
pub async fn a_call_receives_as_many_as_it_asks_for_and_ten_at_most<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    _clock: &SettableClock,
) {
    let bodies: Vec<_> = (0..14).map(|n| n.to_string()).collect();
    send(&*queue, &bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let one = queue.receive(QUEUE, 1, VISIBILITY).await.unwrap();
    let ten = queue.receive(QUEUE, 10, VISIBILITY).await.unwrap();
    let rest = queue.receive(QUEUE, 10, VISIBILITY).await.unwrap();
    assert_eq!((one.len(), ten.len(), rest.len()), (1, 10, 3));
    let distinct: BTreeSet<_> =
        one.into_iter().chain(ten).chain(rest).map(|delivery| delivery.body).collect();
    assert_eq!(distinct, bodies.into_iter().collect());
}

/// Receives the message at its last time before it is dead, and lets that time pass unless it is acknowledged.
async fn receive_until_the_last<Q: QueueReceiver>(queue: &Q) -> Delivery {
    for _ in 1..MAX_RECEIVES {
        let delivery = receive_one(queue).await;
        queue.release(QUEUE, &delivery.receipt, Duration::ZERO).await.unwrap();
    }
    let last = receive_one(queue).await;
    assert_eq!(last.receives, MAX_RECEIVES);
    last
}

/// Not before its last visibility time has passed.
pub async fn a_message_received_too_often_goes_to_the_dead_letters<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    clock: &SettableClock,
) {
    send(&*queue, &["poison"]).await;
    let last = receive_until_the_last(&*queue).await;
    assert_eq!(queue.dead_letters(QUEUE, 10).await.unwrap(), []);
    clock.advance(VISIBILITY);
    assert_nothing_visible(&*queue).await;
    let letters = queue.dead_letters(QUEUE, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].body.as_str(), letters[0].receives), ("poison", MAX_RECEIVES));
    assert_eq!(letters[0].message_id, last.message_id);
    assert_eq!(queue.dead_letters(QueueName::Listings, 10).await.unwrap(), []);
}

/// Then it is done, not dead.
pub async fn the_last_receive_can_still_be_acknowledged<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    clock: &SettableClock,
) {
    send(&*queue, &["late"]).await;
    let last = receive_until_the_last(&*queue).await;
    queue.acknowledge(QUEUE, &last.receipt).await.unwrap();
    clock.advance(VISIBILITY);
    assert_nothing_visible(&*queue).await;
    assert_eq!(queue.dead_letters(QUEUE, 10).await.unwrap(), []);
}

/// As many as are asked for, each time the same.
pub async fn dead_letters_are_listed_oldest_first_and_stay<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    clock: &SettableClock,
) {
    for body in ["first", "second", "third"] {
        send(&*queue, &[body]).await;
        receive_until_the_last(&*queue).await;
        clock.advance(VISIBILITY);
    }
    for _ in 0..2 {
        let bodies =
            |letters: Vec<Delivery>| letters.into_iter().map(|letter| letter.body).collect::<Vec<_>>();
        assert_eq!(bodies(queue.dead_letters(QUEUE, 2).await.unwrap()), ["first", "second"]);
        assert_eq!(bodies(queue.dead_letters(QUEUE, 10).await.unwrap()), ["first", "second", "third"]);
    }
}

/// 256 KiB and 15 minutes are the most.
pub async fn messages_over_the_limits_are_refused<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    _clock: &SettableClock,
) {
    let largest = "x".repeat(256 * 1024);
    let late = OutgoingMessage { body: "1".to_owned(), delay: MAX_DELAY + Duration::from_secs(1) };
    for refused in [message(&format!("{largest}x")), message(""), late] {
        let result = queue.send(QUEUE, vec![refused]).await;
        assert!(matches!(result, Err(QueueError::Invalid { .. })), "{result:?}");
    }
    send(&*queue, &[&largest]).await;
    assert!(receive_one(&*queue).await.body == largest, "the largest body is received");
}

/// It is no error.
pub async fn sending_nothing_is_allowed<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    _clock: &SettableClock,
) {
    send(&*queue, &[]).await;
    assert_nothing_visible(&*queue).await;
}

/// Each message goes to one of them.
pub async fn concurrent_receivers_share_the_messages_without_overlap<
    Q: QueueSender + QueueReceiver + 'static,
>(
    queue: Arc<Q>,
    _clock: &SettableClock,
) {
    let bodies: Vec<_> = (0..60).map(|n| n.to_string()).collect();
    send(&*queue, &bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let receivers = (0..8).map(|_| {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move {
            let mut received = Vec::new();
            loop {
                let deliveries = queue.receive(QUEUE, 3, VISIBILITY).await.unwrap();
                if deliveries.is_empty() {
                    return received;
                }
                received.extend(deliveries.into_iter().map(|delivery| delivery.body));
            }
        })
    });
    let mut received = futures::future::try_join_all(receivers).await.unwrap().concat();
    received.sort_by_key(|body| body.parse::<u32>().unwrap());
    assert_eq!(received, bodies);
}
