//! The contract of the queue ports. Every promise is a function that takes a fresh, empty queue and a way to let time
//! pass for it.
//!
//! The promises are those of an SQS standard queue that no trouble befalls: it loses nothing and delivers nothing twice
//! before its time, though the port allows the latter.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidewatch_core::ports::queue::{
    Delivery, MAX_DELAY, MAX_RECEIVES, OutgoingMessage, QueueError, QueueName, QueueReceiver, QueueSender,
};

use crate::ports::SettableClock;

/// Makes a module `$backend` with one test for each promise of a queue. `$make` is an `async fn()` that gives, as
/// [`Fresh`](crate::contract::Fresh) says, an `Arc` of the queue with the `Arc` of the [`Passing`] time that it goes by.
#[macro_export]
macro_rules! queue_contract {
    (@tests $contract:ident, $backend:ident, $make:path, $($promise:ident),+ $(,)?) => {
        mod $backend {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let fresh = $crate::contract::Fresh::fresh($make().await);
                    let Some(((queue, time), _kept)) = fresh else { return };
                    $crate::contract::$contract::$promise(queue, &*time).await;
                }
            )+
        }
    };
    ($backend:ident, $make:path) => {
        $crate::queue_contract!(@tests queue, $backend, $make,
            a_sent_message_is_received_with_its_body,
            queues_are_apart,
            a_received_message_is_invisible_until_its_time_has_passed,
            an_acknowledged_message_never_comes_again,
            a_late_receipt_still_acknowledges_what_nobody_received_since,
            unknown_and_repeated_receipts_are_no_error,
            a_receipt_is_of_one_queue,
            a_released_message_comes_again_after_the_delay,
            a_delayed_message_is_invisible_at_first,
            a_call_receives_at_most_as_many_as_it_asks_for_and_ten,
            a_message_received_too_often_goes_to_the_dead_letters,
            the_last_receive_can_still_be_acknowledged,
            dead_letters_are_listed_and_stay,
            messages_over_the_limits_are_refused,
            sending_nothing_is_allowed,
            concurrent_receivers_share_the_messages,
        );
    };
}

/// How time passes for a queue.
#[async_trait]
pub trait Passing: Send + Sync {
    /// Returns when `duration` has passed for the queue, and not much more than that.
    async fn pass(&self, duration: Duration);
}

#[async_trait]
impl Passing for SettableClock {
    async fn pass(&self, duration: Duration) {
        self.advance(duration);
    }
}

/// The time of a queue in another process, which has to be waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealTime;

#[async_trait]
impl Passing for RealTime {
    #[expect(clippy::disallowed_methods, reason = "the clock of another process cannot be set")]
    async fn pass(&self, duration: Duration) {
        // Over it, because the time begins a little later for the queue than for the test.
        tokio::time::sleep(duration + Duration::from_millis(300)).await;
    }
}

const QUEUE: QueueName = QueueName::Scans;

/// Long enough for a busy machine to do a few requests in, and short enough to be waited for.
const VISIBILITY: Duration = Duration::from_secs(4);

fn message(body: &str) -> OutgoingMessage {
    OutgoingMessage { body: body.to_owned(), delay: Duration::ZERO }
}

async fn send<Q: QueueSender>(queue: &Q, bodies: &[&str]) {
    queue.send(QUEUE, bodies.iter().map(|body| message(body)).collect()).await.unwrap();
}

/// Everything that is visible: a call may give less.
async fn receive<Q: QueueReceiver>(queue: &Q) -> Vec<Delivery> {
    let mut received = Vec::new();
    loop {
        let deliveries = queue.receive(QUEUE, 10, VISIBILITY).await.unwrap();
        if deliveries.is_empty() {
            return received;
        }
        received.extend(deliveries);
    }
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
    _time: &dyn Passing,
) {
    let body = r#"{"text":"tide – 潮 😀 \u0000"}"#;
    send(&*queue, &[body]).await;
    let delivery = receive_one(&*queue).await;
    assert_eq!((delivery.body.as_str(), delivery.receives), (body, 1));
}

/// A message is in the queue that it was sent to only.
pub async fn queues_are_apart<Q: QueueSender + QueueReceiver>(queue: Arc<Q>, _time: &dyn Passing) {
    queue.send(QueueName::Listings, vec![message("1")]).await.unwrap();
    assert_nothing_visible(&*queue).await;
    assert_eq!(queue.receive(QueueName::Listings, 10, VISIBILITY).await.unwrap().len(), 1);
}

/// Then it comes again, with the same id, another receipt and a higher count.
pub async fn a_received_message_is_invisible_until_its_time_has_passed<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    time: &dyn Passing,
) {
    send(&*queue, &["1"]).await;
    let first = receive_one(&*queue).await;
    assert_nothing_visible(&*queue).await;
    time.pass(VISIBILITY).await;
    let second = receive_one(&*queue).await;
    assert_eq!((second.message_id, second.body, second.receives), (first.message_id, first.body, 2));
    assert_ne!(second.receipt, first.receipt);
}

/// However late it is.
pub async fn an_acknowledged_message_never_comes_again<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    time: &dyn Passing,
) {
    send(&*queue, &["1", "2"]).await;
    for delivery in receive(&*queue).await.iter().filter(|delivery| delivery.body == "1") {
        queue.acknowledge(QUEUE, &delivery.receipt).await.unwrap();
    }
    time.pass(VISIBILITY).await;
    assert_eq!(receive_one(&*queue).await.body, "2");
}

/// A worker that was slow, but alone, has done the work.
pub async fn a_late_receipt_still_acknowledges_what_nobody_received_since<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    time: &dyn Passing,
) {
    send(&*queue, &["1"]).await;
    let delivery = receive_one(&*queue).await;
    time.pass(VISIBILITY).await;
    queue.acknowledge(QUEUE, &delivery.receipt).await.unwrap();
    assert_nothing_visible(&*queue).await;
}

/// They change nothing.
pub async fn unknown_and_repeated_receipts_are_no_error<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    time: &dyn Passing,
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
    time.pass(VISIBILITY).await;
    assert_eq!(receive_one(&*queue).await.body, deliveries[1].body);
}

/// It does nothing in another one.
pub async fn a_receipt_is_of_one_queue<Q: QueueSender + QueueReceiver>(queue: Arc<Q>, time: &dyn Passing) {
    send(&*queue, &["1"]).await;
    let delivery = receive_one(&*queue).await;
    queue.acknowledge(QueueName::Listings, &delivery.receipt).await.unwrap();
    queue.release(QueueName::Listings, &delivery.receipt, Duration::ZERO).await.unwrap();
    assert_nothing_visible(&*queue).await;
    time.pass(VISIBILITY).await;
    assert_eq!(receive_one(&*queue).await.receives, 2);
}

/// Sooner or later than its visibility time would end.
pub async fn a_released_message_comes_again_after_the_delay<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    time: &dyn Passing,
) {
    send(&*queue, &["1"]).await;
    let first = receive_one(&*queue).await;
    queue.release(QUEUE, &first.receipt, Duration::ZERO).await.unwrap();
    let second = receive_one(&*queue).await;
    assert_eq!((&second.message_id, second.receives), (&first.message_id, 2));
    queue.release(QUEUE, &second.receipt, VISIBILITY * 2).await.unwrap();
    time.pass(VISIBILITY).await;
    assert_nothing_visible(&*queue).await;
    time.pass(VISIBILITY).await;
    assert_eq!(receive_one(&*queue).await.receives, 3);
}

/// The others are visible at once.
pub async fn a_delayed_message_is_invisible_at_first<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    time: &dyn Passing,
) {
    let delayed = OutgoingMessage { body: "later".to_owned(), delay: VISIBILITY };
    queue.send(QUEUE, vec![delayed, message("now")]).await.unwrap();
    let now = receive_one(&*queue).await;
    assert_eq!(now.body, "now");
    queue.acknowledge(QUEUE, &now.receipt).await.unwrap();
    time.pass(VISIBILITY).await;
    assert_eq!(receive_one(&*queue).await.body, "later");
}

/// And all of them come in the end.
pub async fn a_call_receives_at_most_as_many_as_it_asks_for_and_ten<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    _time: &dyn Passing,
) {
    let bodies: Vec<_> = (0..24).map(|n| n.to_string()).collect();
    send(&*queue, &bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let none = queue.receive(QUEUE, 0, VISIBILITY).await.unwrap();
    let one = queue.receive(QUEUE, 1, VISIBILITY).await.unwrap();
    let ten = queue.receive(QUEUE, 11, VISIBILITY).await.unwrap();
    assert_eq!(none, []);
    assert!(one.len() <= 1 && ten.len() <= 10, "{} and {}", one.len(), ten.len());
    let rest = receive(&*queue).await;
    let distinct: BTreeSet<_> =
        one.into_iter().chain(ten).chain(rest).map(|delivery| delivery.body).collect();
    assert_eq!(distinct, bodies.into_iter().collect());
}

/// Receives the message at its last time before it is dead.
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
    time: &dyn Passing,
) {
    send(&*queue, &["poison"]).await;
    let last = receive_until_the_last(&*queue).await;
    assert_eq!(queue.dead_letters(QUEUE, 10).await.unwrap(), []);
    time.pass(VISIBILITY).await;
    assert_nothing_visible(&*queue).await;
    let letters = queue.dead_letters(QUEUE, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0].body, &letters[0].message_id), (&last.body, &last.message_id));
    assert_eq!(queue.dead_letters(QueueName::Listings, 10).await.unwrap(), []);
}

/// Then it is done, not dead.
pub async fn the_last_receive_can_still_be_acknowledged<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    time: &dyn Passing,
) {
    send(&*queue, &["late"]).await;
    let last = receive_until_the_last(&*queue).await;
    queue.acknowledge(QUEUE, &last.receipt).await.unwrap();
    time.pass(VISIBILITY).await;
    assert_nothing_visible(&*queue).await;
    assert_eq!(queue.dead_letters(QUEUE, 10).await.unwrap(), []);
}

/// As many as are asked for, over the ten of one call too.
pub async fn dead_letters_are_listed_and_stay<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    _time: &dyn Passing,
) {
    let bodies: Vec<_> = (10..22).map(|n| n.to_string()).collect();
    send(&*queue, &bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for _ in 0..MAX_RECEIVES {
        for delivery in receive(&*queue).await {
            queue.release(QUEUE, &delivery.receipt, Duration::ZERO).await.unwrap();
        }
    }
    assert_nothing_visible(&*queue).await;
    for _ in 0..2 {
        assert_eq!(queue.dead_letters(QUEUE, 0).await.unwrap(), []);
        assert_eq!(queue.dead_letters(QUEUE, 2).await.unwrap().len(), 2);
        let letters = queue.dead_letters(QUEUE, 100).await.unwrap();
        let mut listed: Vec<_> = letters.into_iter().map(|letter| letter.body).collect();
        listed.sort_unstable();
        assert_eq!(listed, bodies);
    }
}

/// 256 KiB and 15 minutes are the most.
pub async fn messages_over_the_limits_are_refused<Q: QueueSender + QueueReceiver>(
    queue: Arc<Q>,
    _time: &dyn Passing,
) {
    let largest = "x".repeat(256 * 1024);
    let late = OutgoingMessage { body: "1".to_owned(), delay: MAX_DELAY + Duration::from_secs(1) };
    for refused in [message(&format!("{largest}x")), message(""), late] {
        let result = queue.send(QUEUE, vec![refused]).await;
        assert!(matches!(result, Err(QueueError::Invalid { .. })), "{result:?}");
    }
    send(&*queue, &[&largest]).await;
    let latest = OutgoingMessage { body: "1".to_owned(), delay: MAX_DELAY };
    queue.send(QUEUE, vec![latest]).await.unwrap();
    assert!(receive_one(&*queue).await.body == largest, "the largest body is received");
}

/// It is no error.
pub async fn sending_nothing_is_allowed<Q: QueueSender + QueueReceiver>(queue: Arc<Q>, _time: &dyn Passing) {
    send(&*queue, &[]).await;
    assert_nothing_visible(&*queue).await;
}

/// Each message goes to one of them.
pub async fn concurrent_receivers_share_the_messages<Q: QueueSender + QueueReceiver + 'static>(
    queue: Arc<Q>,
    _time: &dyn Passing,
) {
    let bodies: Vec<_> = (0..60).map(|n| n.to_string()).collect();
    send(&*queue, &bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let receivers = (0..8).map(|_| {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move {
            let mut received = Vec::new();
            loop {
                // For long: whoever is slow must not see again what another one has.
                let deliveries = queue.receive(QUEUE, 3, VISIBILITY * 30).await.unwrap();
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
