//! Registries that throttle, and budgets that are used up: what was to be asked is put off, and nothing fails.

use std::time::Duration;

use serde_json::json;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::{HintMessage, ListingMessage, ListingPosition};
use tidewatch_store::records::ListingState;
use tidewatch_testkit::registry::Fault;

use crate::world::{PAUSE, World, acme, repositories, run, tags_of};

const HOUR: Duration = Duration::from_secs(3600);

/// Delivers the message, and gives that which is sent for it, if any is, with the pause before it.
async fn deliver(world: &World, message: &ListingMessage) -> Option<(ListingMessage, Duration)> {
    world.deliver(message.clone()).await.unwrap();
    let mut sent = world.sent();
    assert!(sent.len() <= 1, "{sent:?}");
    sent.pop()
}

#[tokio::test]
async fn a_listing_that_is_throttled_goes_on_when_the_registry_says_but_within_what_a_queue_can_wait() {
    for (retry_after, pause) in [(Some(3), 10), (Some(77), 77), (Some(86_400), 900), (None, 10)] {
        for message in [tags_of("team/web"), repositories()] {
            let world = World::new().await;
            world.push("team/web", "latest", "web");
            let retry_after = retry_after.map(Duration::from_secs);
            world.registry.inject(Fault::Throttle { requests: 1, retry_after });
            let (again, waits) = deliver(&world, &message).await.unwrap();
            assert_eq!(
                (&again, waits),
                (&throttled(&message), Duration::from_secs(pause)),
                "it is no failure"
            );

            let repository = message.repository.as_ref().map(RepositoryName::as_str);
            let progress = world.listing(repository).await;
            let put_off = progress.put_off.unwrap();
            assert_eq!((progress.state, progress.error), (ListingState::Queued, None));
            assert!(put_off.because.contains("throttles"), "{}", put_off.because);
            assert_eq!(put_off.until.duration_since(put_off.since).unsigned_abs(), waits);

            world.clock.advance(retry_after.unwrap_or(waits));
            world.deliver(again).await.unwrap();
            let progress = world.listing(repository).await;
            assert_eq!((progress.state, progress.put_off), (ListingState::Done, None));
        }
    }
}

#[tokio::test]
async fn a_listing_may_be_throttled_more_often_than_it_may_fail_and_keeps_its_place() {
    let world = World::new().await;
    for tag in ["1", "2", "3"] {
        world.push("team/web", tag, tag);
    }
    world.registry.set_page_size(1);
    let mut message = tags_of("team/web");
    for _ in 0..20 {
        world.registry.inject(Fault::Throttle { requests: 1, retry_after: Some(HOUR / 60) });
        let (again, waits) = deliver(&world, &message).await.unwrap();
        assert_eq!((again.failures, waits), (0, HOUR / 60));
        world.clock.advance(waits);
        message = again;
    }
    // One more is throttled on its way: what came before is not asked again.
    let requests = world.requests().len();
    assert_eq!(requests, 20);
    assert_eq!(deliver(&world, &message).await, None);
    let progress = world.listing(Some("team/web")).await;
    assert_eq!((progress.state, progress.listed, progress.queued), (ListingState::Done, 3, 3));
}

#[tokio::test]
async fn what_was_found_before_a_listing_was_throttled_is_not_asked_for_again() {
    let world = World::new().await;
    world.apply(json!({"registries": [rated(&world, 5, "1m", 16)]})).await;
    for tag in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        world.push("team/web", tag, tag);
    }
    let start = world.clock.now();
    let (mut message, mut rounds) = (tags_of("team/web"), 0);
    while let Some((again, waits)) = deliver(&world, &message).await {
        assert_eq!(again.failures, 0);
        let because = world.listing(Some("team/web")).await.put_off.unwrap().because;
        assert!(because.contains("has nothing left of its rate budget for"), "{because}");
        world.clock.advance(waits);
        message = again;
        rounds += 1;
        assert!(rounds < 100, "the listing never ends");
    }
    let progress = world.listing(Some("team/web")).await;
    assert_eq!((progress.state, progress.queued), (ListingState::Done, 8));
    // A page of tags for each round, and a HEAD, a manifest and a configuration for each tag, some of which were asked for
    // and lost when another tag was refused.
    let requests = world.requests();
    assert!(rounds > 2, "the budget was never used up");
    assert!(requests.len() <= 8 * 3 * 2 + rounds + 1, "{} requests in {rounds} rounds", requests.len());
    let minutes = world.clock.now().duration_since(start).as_mins().unsigned_abs();
    assert!(
        requests.len() as u64 <= 16 + 5 * (minutes + 1),
        "{} requests in {minutes} minutes",
        requests.len()
    );
}

/// The message as it comes again after the registry has throttled it.
fn throttled(message: &ListingMessage) -> ListingMessage {
    let position = ListingPosition { throttled: true, ..message.position.clone().unwrap_or_default() };
    ListingMessage { position: Some(position), ..message.clone() }
}

/// The hints that were sent since this was called last, with their delays.
fn sent_hints(world: &World) -> Vec<(HintMessage, Duration)> {
    let delays = world.queue.sent(QueueName::Hints).into_iter().map(|sent| sent.delay);
    let hints = world.queue.messages(QueueName::Hints).into_iter().zip(delays).collect();
    // What is sent to be scanned stays.
    if world.queue.sent(QueueName::Pushed).is_empty() {
        world.queue.clear();
    }
    hints
}

/// The registry of the world, with a rate.
fn rated(world: &World, requests: u32, per: &str, burst: u32) -> serde_json::Value {
    let mut config = serde_json::to_value(world.registry.config("reg")).unwrap();
    config["rate"] = json!({"requests": requests, "per": per, "burst": burst});
    config
}

#[tokio::test]
async fn a_listing_that_is_throttled_for_a_day_has_failed() {
    let world = World::new().await;
    world.push("team/web", "latest", "web");
    world.registry.inject(Fault::Throttle { requests: usize::MAX, retry_after: None });
    let (mut message, mut waited) = (tags_of("team/web"), Duration::ZERO);
    while let Some((again, waits)) = deliver(&world, &message).await {
        assert!(waits >= PAUSE && waits <= HOUR / 4, "{waits:?}");
        world.clock.advance(waits);
        (message, waited) = (again, waited + waits);
    }
    assert!((HOUR * 24..HOUR * 25).contains(&waited), "{waited:?}");
    let progress = world.listing(Some("team/web")).await;
    assert_eq!((progress.state, progress.put_off), (ListingState::Failed, None));
    let error = progress.error.unwrap();
    assert!(error.contains("its registry throttled it for 24 hours"), "{error}");
    // A day with pauses that grow to a quarter of an hour.
    assert!(world.requests().len() < 110);
}

#[tokio::test]
async fn a_message_that_comes_twice_puts_no_listing_off_that_has_ended() {
    let world = World::new().await;
    world.push("team/web", "latest", "web");
    assert_eq!(deliver(&world, &tags_of("team/web")).await, None);
    world.registry.inject(Fault::Throttle { requests: 1, retry_after: None });
    assert_eq!(deliver(&world, &tags_of("team/web")).await, None);
    assert_eq!(world.listing(Some("team/web")).await.state, ListingState::Done);
}

#[tokio::test]
async fn a_pause_that_a_registry_asks_for_holds_for_all_who_ask_it() {
    let world = World::new().await;
    world.push("team/web", "latest", "web");
    world.push("team/api", "latest", "api");
    world.registry.inject(Fault::Throttle { requests: 1, retry_after: Some(HOUR / 60) });
    deliver(&world, &tags_of("team/web")).await.unwrap();
    assert_eq!(world.requests().len(), 1);
    let (_, waits) = deliver(&world, &tags_of("team/api")).await.unwrap();
    assert_eq!((waits, world.requests().len()), (HOUR / 60, 0), "it is not even asked");
    let because = world.listing(Some("team/api")).await.put_off.unwrap().because;
    assert!(because.contains("has asked for a pause before"), "{because}");
    assert!(world.records.has_listings_put_off(&acme(), &run(), world.clock.now()).await.unwrap());
    world.clock.advance(HOUR);
    assert!(!world.records.has_listings_put_off(&acme(), &run(), world.clock.now()).await.unwrap());
}

#[tokio::test]
async fn a_hint_that_is_throttled_comes_again_however_often_for_a_day() {
    let world = World::new().await;
    world.push("team/web", "latest", "web");
    world.registry.inject(Fault::Throttle { requests: 10, retry_after: Some(HOUR / 60) });
    let mut hint = world.hint("team/web", "latest");
    for _ in 0..10 {
        world.deliver_hint(hint.clone()).await.unwrap();
        let mut sent = sent_hints(&world);
        let (again, waits) = sent.pop().unwrap();
        assert_eq!((again.failures, waits), (0, HOUR / 60));
        world.clock.advance(waits);
        hint = again;
    }
    world.deliver_hint(hint.clone()).await.unwrap();
    assert_eq!((sent_hints(&world), world.sent_pushed().len()), (vec![], 1));

    world.registry.inject(Fault::Throttle { requests: 10, retry_after: None });
    world.clock.advance(HOUR * 24);
    let mut tries = 0;
    let mut next = Some(hint);
    while let Some(hint) = next {
        world.deliver_hint(hint).await.unwrap();
        next = sent_hints(&world).pop().map(|(again, _)| again);
        tries += 1;
    }
    assert_eq!(tries, 5, "after that it is a failure like others");
}
