//! What counts as an attempt, and what becomes of an image whose attempts fail.

use std::time::Duration;

use serde_json::json;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::result::ResultState;
use tidewatch_core::work::Work;
use tidewatch_runtime::{Deadline, MessageHandler as _};
use tidewatch_testkit::layer::Layer;
use tidewatch_testkit::registry::Fault;

use crate::gate::Behind;
use crate::images::{debian, image};
use crate::world::{OVER_A_LEASE, REDISPATCH, World, acme, message};

const HOUR: i64 = 3600;

async fn queued(world: &World) -> (Work, Layer) {
    let layer = debian(&[("openssl", "1")]);
    let work = world.push_work("team/web", &image(&[&layer]));
    world.enqueue(&work).await;
    (work, layer)
}

/// Lets a worker begin and kills it while it waits for the layer.
async fn kill_in_the_middle(world: &World, work: &Work, layer: &Layer) {
    let (worker, gate) = world.gated_worker(Behind::Blob(layer.digest));
    let message = message(work);
    let scan = tokio::spawn(async move { worker.handle(message, Deadline::NONE).await });
    gate.arrival().await;
    scan.abort();
    assert!(scan.await.unwrap_err().is_cancelled());
}

/// Delivers the work until it has failed for good; gives in how many seconds each next attempt was due.
async fn deliver_until_failed(world: &World, work: &Work) -> Vec<i64> {
    let mut pauses = Vec::new();
    for _ in 0..5 {
        world.deliver(work).await.unwrap();
        let pause = world.due_in(work).await;
        pauses.push(pause);
        world.clock.advance(Duration::from_secs(pause.try_into().unwrap()));
    }
    pauses
}

#[tokio::test]
async fn a_killed_worker_counts_as_an_attempt_and_after_five_the_image_is_failed() {
    let world = World::new().await;
    let (work, layer) = queued(&world).await;
    for attempts in 1..=5 {
        kill_in_the_middle(&world, &work, &layer).await;
        assert_eq!(world.pending(&work).await.map(|pending| pending.attempts), Some(attempts));
        assert_eq!(world.stored(&work).await, None);
        world.clock.advance(OVER_A_LEASE);
    }
    world.registry.clear_requests();
    world.deliver(&work).await.unwrap();

    assert_eq!(world.registry.requests(), [], "it is not tried a sixth time");
    let result = world.result(&work).await;
    assert_eq!((result.state, &result.report), (ResultState::Failed, &None));
    assert!(result.reason.unwrap().contains("ended without a word"));
    assert_eq!((world.due_in(&work).await, world.members().await), (24 * HOUR, vec![]));
}

#[tokio::test]
async fn a_worker_that_was_killed_while_the_registry_hung_leaves_work_that_the_next_one_finishes() {
    let world = World::new().await;
    let (work, layer) = queued(&world).await;
    let (worker, request) = (world.worker(), message(&work));
    world.registry.inject(Fault::Hang { requests: 1 });
    let scan = tokio::spawn(async move { worker.handle(request, Deadline::NONE).await });
    while world.registry.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    scan.abort();
    assert!(scan.await.unwrap_err().is_cancelled());
    assert_eq!(world.pending(&work).await.map(|pending| pending.attempts), Some(1));

    world.clock.advance(OVER_A_LEASE);
    world.deliver(&work).await.unwrap();
    assert_eq!((world.result(&work).await.state, world.due_rows().await), (ResultState::Scanned, 0));
    assert_eq!(world.registry.blob_pulls(&layer.digest), 1);
}

#[tokio::test]
async fn a_corrupted_layer_is_tried_five_times_with_growing_pauses_and_then_fails_with_the_reason() {
    let world = World::new().await;
    let (work, layer) = queued(&world).await;
    world.registry.inject(Fault::CorruptBlob { digest: layer.digest });
    assert_eq!(deliver_until_failed(&world, &work).await, [30, 60, 120, 240, 24 * HOUR]);

    let result = world.result(&work).await;
    assert_eq!((result.state, result.severities.total()), (ResultState::Failed, 0));
    let reason = result.reason.unwrap();
    assert!(reason.starts_with(&format!("failed to read layer {}", layer.digest)), "{reason}");
    assert_eq!((world.registry.blob_pulls(&layer.digest), world.members().await), (5, vec![]));
}

#[tokio::test]
async fn a_failed_image_cools_down_for_a_day_and_twice_as_long_each_time_up_to_a_week() {
    let world = World::new().await;
    let (work, layer) = queued(&world).await;
    world.registry.inject(Fault::CorruptBlob { digest: layer.digest });
    let mut cool_downs = Vec::new();
    for _ in 0..5 {
        cool_downs.extend(deliver_until_failed(&world, &work).await.last().map(|seconds| seconds / HOUR));
    }
    assert_eq!(cool_downs, [24, 48, 96, 168, 168]);

    world.registry.clear_faults();
    world.deliver(&work).await.unwrap();
    assert_eq!((world.result(&work).await.state, world.due_rows().await), (ResultState::Scanned, 0));
    assert_eq!(world.members().await.len(), 1);
}

#[tokio::test]
async fn an_error_that_no_other_attempt_can_mend_fails_the_image_at_once() {
    let world = World::new().await;
    let (work, layer) = queued(&world).await;
    world.registry.delete_blob("team/web", layer.digest);
    world.deliver(&work).await.unwrap();
    let result = world.result(&work).await;
    assert_eq!(result.state, ResultState::Failed);
    assert!(result.reason.unwrap().contains(&layer.digest.to_string()));
    assert_eq!(world.due_in(&work).await, 24 * HOUR);
}

#[tokio::test]
async fn a_failure_never_replaces_a_known_result() {
    let world = World::without_advisories().await;
    let layer = debian(&[("openssl", "1")]);
    let built = image(&[&layer]);
    let work = world.push_work("team/web", &built);
    world.publish(&crate::images::advisories()).await;
    world.scan(&work).await;
    let (known, members) = (world.stored(&work).await, world.members().await);

    // Newer advisories ask for another scan, and every worker dies in it.
    world.publish(&crate::images::advisories()[1..]).await;
    world.enqueue(&work).await;
    for _ in 0..5 {
        world.table_outages.fail_after(1);
        world.deliver(&work).await.unwrap_err();
        world.table_outages.recover();
        world.clock.advance(OVER_A_LEASE);
    }
    assert_eq!(world.pending(&work).await.map(|pending| pending.attempts), Some(5));
    world.deliver(&work).await.unwrap();
    assert_eq!((world.stored(&work).await, world.members().await), (known, members));
    assert_eq!(world.due_in(&work).await, 24 * HOUR);
}

#[tokio::test]
async fn a_throttled_image_waits_as_long_as_the_registry_says_and_that_is_no_attempt() {
    let world = World::new().await;
    let (work, layer) = queued(&world).await;
    for _ in 0..7 {
        let retry_after = Some(Duration::from_secs(700));
        world.registry.inject(Fault::Throttle { requests: 1, retry_after });
        world.deliver_when_due(&work).await.unwrap();
        assert_eq!(world.pending(&work).await.map(|pending| pending.attempts), Some(0));
        assert_eq!(world.due_in(&work).await, 700);
    }
    world.registry.inject(Fault::Throttle { requests: 1, retry_after: None });
    world.deliver_when_due(&work).await.unwrap();
    assert_eq!(world.due_in(&work).await, 15 * 60, "without a word from it, the pauses grow");

    world.deliver_when_due(&work).await.unwrap();
    assert_eq!(world.result(&work).await.state, ResultState::Scanned);
    assert_eq!(world.registry.blob_pulls(&layer.digest), 1);
}

#[tokio::test]
async fn an_image_for_which_the_budget_has_nothing_left_is_put_off_and_that_is_no_attempt() {
    let world = World::new().await;
    // One every 30 s, and 15 of them at once.
    let mut works = Vec::new();
    for number in 0..12 {
        let layer = debian(&[("openssl", &number.to_string())]);
        works.push(world.push_work(&format!("team/{number}"), &image(&[&layer])));
    }
    for work in &works {
        world.enqueue(work).await;
    }
    let rate = json!({"requests": 2, "per": "1m", "burst": 16});
    let begun = world.clock.now();
    let mut deferred = 0;
    for round in 0.. {
        assert!(round < 60, "not all images come to their turn");
        let mut open = 0;
        for work in &works {
            // Each in another process, as many do at the same time.
            world.worker_within(rate.clone()).await.handle(message(work), Deadline::NONE).await.unwrap();
            let Some(pending) = world.pending(work).await else { continue };
            (open, deferred) = (open + 1, deferred + 1);
            assert_eq!(pending.attempts, 0);
            let because = pending.deferred_because.unwrap();
            assert!(because.contains("registry reg has nothing left of its rate budget"), "{because}");
        }
        if open == 0 {
            break;
        }
        world.clock.advance(Duration::from_secs(15 * 60));
    }
    for work in &works {
        assert_eq!(world.result(work).await.state, ResultState::Scanned);
    }
    assert!(deferred > 12, "the budget was never used up");
    let passed = world.clock.now().duration_since(begun).as_secs().unsigned_abs();
    let requests = world.registry.requests().len() as u64;
    assert!(requests <= 16 + passed / 30 + 1, "{requests} requests in {passed} s");
}

#[tokio::test]
async fn deliveries_of_a_deferred_image_ask_the_registry_nothing_before_it_is_due() {
    let world = World::new().await;
    let (work, _) = queued(&world).await;
    let retry_after = Some(Duration::from_secs(3600));
    world.registry.inject(Fault::Throttle { requests: 1, retry_after });
    world.deliver_when_due(&work).await.unwrap();
    world.registry.clear_requests();
    let deferred = world.pending(&work).await;
    // Messages that were sent twice, and such that waited in the queue.
    for _ in 0..6 {
        world.deliver(&work).await.unwrap();
        world.clock.advance(Duration::from_secs(599));
    }
    assert_eq!((world.registry.requests(), &world.pending(&work).await), (vec![], &deferred));
    assert_eq!(world.due_in(&work).await, 6);

    world.deliver_when_due(&work).await.unwrap();
    assert_eq!((world.result(&work).await.state, world.due_rows().await), (ResultState::Scanned, 0));
}

#[tokio::test]
async fn deliveries_of_an_image_that_failed_cut_neither_its_pause_nor_its_cool_down_short() {
    let world = World::new().await;
    let (work, layer) = queued(&world).await;
    world.registry.inject(Fault::CorruptBlob { digest: layer.digest });
    for (attempts, pause) in [(1, 30), (2, 60), (3, 120), (4, 240), (0, 24 * HOUR)] {
        world.deliver_when_due(&work).await.unwrap();
        for _ in 0..7 {
            world.deliver(&work).await.unwrap();
        }
        let pending = world.pending(&work).await.unwrap();
        assert_eq!((pending.attempts, world.due_in(&work).await), (attempts, pause));
    }
    world.clock.advance(Duration::from_secs(23 * 3600));
    world.deliver(&work).await.unwrap();
    let pending = world.pending(&work).await.unwrap();
    assert_eq!((pending.attempts, pending.cooldowns, world.due_in(&work).await), (0, 1, HOUR));
    assert_eq!(world.registry.blob_pulls(&layer.digest), 5);
}

#[tokio::test]
async fn a_dispatched_message_that_is_delivered_again_after_its_worker_was_killed_begins_another_attempt() {
    let world = World::new().await;
    let (work, layer) = queued(&world).await;
    world.note_dispatched(&work).await;
    kill_in_the_middle(&world, &work, &layer).await;
    world.clock.advance(OVER_A_LEASE);
    assert!(world.due_in(&work).await > 1000, "by itself it would come much later");
    world.deliver(&work).await.unwrap();
    assert_eq!((world.result(&work).await.state, world.due_rows().await), (ResultState::Scanned, 0));
}

#[tokio::test]
async fn pushed_work_is_scanned_at_once_also_when_it_was_deferred_before() {
    let world = World::new().await;
    let (work, _) = queued(&world).await;
    let retry_after = Some(Duration::from_secs(3600));
    world.registry.inject(Fault::Throttle { requests: 1, retry_after });
    world.deliver(&work).await.unwrap();
    let fresh = world.push_work("team/fresh", &image(&[&debian(&[("openssl", "2")])]));
    for work in [work, fresh] {
        let lost_at = world.clock.now() + REDISPATCH;
        let sent = world.records.enqueue_pushed(&acme(), &work, lost_at).await.unwrap().unwrap();
        world.deliver(&sent).await.unwrap();
        assert_eq!(world.result(&sent).await.state, ResultState::Scanned);
    }
    assert_eq!(world.due_rows().await, 0);
}

#[tokio::test]
async fn a_registry_that_asks_for_years_is_asked_again_after_a_day() {
    let world = World::new().await;
    let (work, _) = queued(&world).await;
    let retry_after = Some(Duration::from_secs(u64::MAX));
    world.registry.inject(Fault::Throttle { requests: 1, retry_after });
    world.deliver(&work).await.unwrap();
    assert_eq!(world.due_in(&work).await, 24 * HOUR);
}

#[tokio::test]
async fn a_second_delivery_while_an_image_is_scanned_does_nothing_and_counts_nothing() {
    let world = World::new().await;
    let (work, layer) = queued(&world).await;
    let (worker, gate) = world.gated_worker(Behind::Blob(layer.digest));
    let request = message(&work);
    let scan = tokio::spawn(async move { worker.handle(request, Deadline::NONE).await });
    gate.arrival().await;
    for _ in 0..7 {
        world.deliver(&work).await.unwrap();
    }
    assert_eq!(world.pending(&work).await.map(|pending| pending.attempts), Some(1));
    assert_eq!(world.due_in(&work).await, 60, "it is looked at again when the attempt may have been killed");

    // Renewed in time, the attempt stays the only one.
    for _ in 0..6 {
        world.clock.advance(Duration::from_secs(20));
        world.sleeper.wake_until_asleep().await;
        world.sleeper.settle().await;
    }
    world.deliver(&work).await.unwrap();
    assert_eq!(world.pending(&work).await.map(|pending| pending.attempts), Some(1));

    gate.open();
    scan.await.unwrap().unwrap();
    assert_eq!((world.result(&work).await.state, world.due_rows().await), (ResultState::Scanned, 0));
    assert_eq!(world.registry.blob_pulls(&layer.digest), 1);
}

#[tokio::test]
async fn work_that_is_seen_anew_while_it_is_scanned_is_sent_when_that_is_done() {
    let world = World::new().await;
    let (work, layer) = queued(&world).await;
    let (worker, gate) = world.gated_worker(Behind::Blob(layer.digest));
    let request = message(&work);
    let scan = tokio::spawn(async move { worker.handle(request, Deadline::NONE).await });
    gate.arrival().await;
    let moved =
        Work { tag: "moved".parse().unwrap(), seen_at: work.seen_at + Duration::from_secs(9), ..work };
    world.enqueue(&moved).await;
    world.deliver(&moved).await.unwrap();
    gate.open();
    scan.await.unwrap().unwrap();

    assert_eq!(world.deliver_sent().await, 1);
    assert_eq!((world.members().await[0].tag.as_str(), world.due_rows().await), ("moved", 0));
}

#[tokio::test]
async fn a_layer_that_takes_too_long_is_given_up_and_counts() {
    let world = World::new().await;
    let (work, layer) = queued(&world).await;
    let (worker, gate) = world.gated_worker(Behind::Blob(layer.digest));
    let request = message(&work);
    let scan = tokio::spawn(async move { worker.handle(request, Deadline::NONE).await });
    gate.arrival().await;
    while !scan.is_finished() {
        world.clock.advance(Duration::from_secs(20));
        world.sleeper.wake();
        world.sleeper.settle().await;
    }
    scan.await.unwrap().unwrap();
    let elapsed = world.clock.now().duration_since(crate::world::START.parse().unwrap());
    assert!((600..=640).contains(&elapsed.as_secs()), "{elapsed}");
    let pending = world.pending(&work).await.unwrap();
    assert_eq!((pending.attempts, pending.deferrals, world.due_in(&work).await), (1, 0, 30));
}
