//! A layer that many images share: who reads it, who waits, and who loses its lease.

use std::sync::Arc;
use std::time::Duration;

use tidewatch_core::result::ResultState;
use tidewatch_core::work::Work;
use tidewatch_runtime::{Deadline, HandlerError, MessageHandler as _};
use tidewatch_scan_image::ScanImage;
use tidewatch_testkit::layer::Layer;
use tokio::task::{JoinHandle, JoinSet};

use crate::gate::Behind;
use crate::images::{debian, file, image, with_layer_size};
use crate::world::{OVER_A_LEASE, World, message};

/// Queues an image on `base` and a layer of its own for each of `count` repositories.
async fn queue_sharers(world: &World, base: &Layer, count: usize) -> Vec<(Work, Layer)> {
    let mut sharers = Vec::new();
    for number in 0..count {
        let own = file(&format!("application {number}"));
        let work = world.push_work(&format!("team/app-{number}"), &image(&[base, &own]));
        world.enqueue(&work).await;
        sharers.push((work, own));
    }
    sharers
}

fn start(worker: ScanImage, work: &Work) -> JoinHandle<Result<(), HandlerError>> {
    let message = message(work);
    tokio::spawn(async move { worker.handle(message, Deadline::NONE).await })
}

/// Checks that the work is tried again soon, and that this was no attempt.
async fn assert_deferred(world: &World, work: &Work) {
    assert_eq!(world.pending(work).await.map(|pending| pending.attempts), Some(0));
    assert_eq!(world.due_in(work).await, 30);
}

#[tokio::test]
async fn who_finds_a_layer_being_read_reads_the_others_and_is_woken_when_it_is_done() {
    let world = World::new().await;
    let base = debian(&[("openssl", "1")]);
    let sharers = queue_sharers(&world, &base, 8).await;
    let (worker, gate) = world.gated_worker(Behind::Blob(base.digest));
    let first = start(worker, &sharers[0].0);
    gate.arrival().await;

    for (work, own) in &sharers[1..] {
        world.deliver(work).await.unwrap();
        assert_eq!(world.registry.blob_pulls(&own.digest), 1);
        assert_eq!(
            world.pending(work).await.map(|pending| pending.attempts),
            Some(0),
            "waiting is no attempt"
        );
        assert_eq!(world.due_in(work).await, 90);
        assert_eq!(world.stored(work).await, None);
    }
    assert_eq!(world.deliver_sent().await, 0);

    gate.open();
    first.await.unwrap().unwrap();
    assert_eq!(world.deliver_sent().await, 7);
    for (work, own) in &sharers {
        assert_eq!(world.result(work).await.state, ResultState::Scanned);
        assert_eq!(world.registry.blob_pulls(&own.digest), 1);
    }
    assert_eq!(world.registry.blob_pulls(&base.digest), 1);
    assert_eq!((world.members().await.len(), world.due_rows().await), (8, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_layer_shared_by_many_images_is_pulled_once_by_all_workers_together() {
    let world = Arc::new(World::new().await);
    let base = debian(&[("openssl", "1")]);
    let sharers = queue_sharers(&world, &base, 16).await;
    let mut workers = JoinSet::new();
    for (work, _) in &sharers {
        let (worker, message) = (world.worker(), message(work));
        workers.spawn(async move { worker.handle(message, Deadline::NONE).await });
    }
    while let Some(outcome) = workers.join_next().await {
        outcome.unwrap().unwrap();
    }
    // Nobody who waits is forgotten: each was sent a message by the one who read the layer.
    world.deliver_sent().await;

    assert_eq!(world.due_rows().await, 0);
    assert_eq!(world.registry.blob_pulls(&base.digest), 1);
    for (work, own) in &sharers {
        assert_eq!(world.registry.blob_pulls(&own.digest), 1);
        assert_eq!(world.result(work).await.severities.total(), 1);
    }
    assert_eq!(world.members().await.len(), 16);
}

#[tokio::test]
async fn a_layer_that_an_image_has_twice_is_read_once_and_in_one_attempt() {
    let world = World::new().await;
    let (base, empty) = (debian(&[("openssl", "1")]), file(""));
    let work = world.push_work("team/web", &image(&[&empty, &base, &empty, &empty]));
    world.scan(&work).await;
    assert_eq!(world.result(&work).await.state, ResultState::Scanned);
    assert_eq!(world.registry.blob_pulls(&empty.digest), 1);
    assert_eq!((world.due_rows().await, world.deliver_sent().await), (0, 0));
}

#[tokio::test]
async fn a_worker_whose_lease_has_run_out_stores_nothing() {
    let world = World::new().await;
    let base = debian(&[("openssl", "1")]);
    let sharers = queue_sharers(&world, &base, 2).await;
    let (worker, gate) = world.gated_worker(Behind::Blob(base.digest));
    let slow = start(worker, &sharers[0].0);
    gate.arrival().await;
    world.clock.advance(OVER_A_LEASE);
    world.deliver(&sharers[1].0).await.unwrap();
    let theirs = world.stored(&sharers[1].0).await;
    assert!(theirs.is_some(), "the other has taken the lease over");
    gate.open();

    slow.await.unwrap().unwrap();
    assert_eq!(world.stored(&sharers[0].0).await, None, "its inventory is refused");
    assert_deferred(&world, &sharers[0].0).await;

    world.registry.clear_requests();
    world.deliver_when_due(&sharers[0].0).await.unwrap();
    assert_eq!(world.registry.blob_pulls(&base.digest), 0, "the inventory of the other is used");
    assert_eq!(world.result(&sharers[0].0).await.severities.total(), 1);
    assert_eq!(world.stored(&sharers[1].0).await, theirs);
}

#[tokio::test]
async fn a_worker_that_notices_that_its_lease_is_lost_stops_reading() {
    let world = World::new().await;
    let base = debian(&[("openssl", "1")]);
    let sharers = queue_sharers(&world, &base, 2).await;
    let (worker, gate) = world.gated_worker(Behind::Blob(base.digest));
    let slow = start(worker, &sharers[0].0);
    gate.arrival().await;
    world.clock.advance(OVER_A_LEASE);
    world.deliver(&sharers[1].0).await.unwrap();

    // The gate stays shut: it ends because it is woken to renew its lease.
    world.sleeper.wake();
    slow.await.unwrap().unwrap();
    assert_eq!((world.stored(&sharers[0].0).await, world.registry.blob_pulls(&base.digest)), (None, 1));
    assert_deferred(&world, &sharers[0].0).await;
}

#[tokio::test]
async fn a_worker_that_renews_its_lease_keeps_it() {
    let world = World::new().await;
    let base = debian(&[("openssl", "1")]);
    let sharers = queue_sharers(&world, &base, 2).await;
    let (worker, gate) = world.gated_worker(Behind::Blob(base.digest));
    let slow = start(worker, &sharers[0].0);
    gate.arrival().await;
    for _ in 0..6 {
        world.clock.advance(Duration::from_secs(20));
        world.sleeper.wake_until_asleep().await;
    }
    world.deliver(&sharers[1].0).await.unwrap();
    assert_eq!(world.stored(&sharers[1].0).await, None, "it waits for the other");

    gate.open();
    slow.await.unwrap().unwrap();
    assert_eq!(world.deliver_sent().await, 1);
    assert_eq!((world.registry.blob_pulls(&base.digest), world.due_rows().await), (1, 0));
}

#[tokio::test]
async fn a_lease_is_given_back_when_the_layer_could_not_be_read() {
    let world = World::new().await;
    let base = debian(&[("openssl", "1")]);
    let sharers = queue_sharers(&world, &base, 2).await;
    let corrupt = tidewatch_testkit::registry::Fault::CorruptBlob { digest: base.digest };
    world.registry.inject(corrupt);
    world.deliver(&sharers[0].0).await.unwrap();
    assert_eq!(world.stored(&sharers[0].0).await, None);
    world.registry.clear_faults();
    world.deliver(&sharers[1].0).await.unwrap();
    assert_eq!(world.result(&sharers[1].0).await.state, ResultState::Scanned);
}

#[tokio::test]
async fn a_layer_of_which_more_comes_than_its_manifest_says_fails_and_is_not_read_on() {
    let world = World::new().await;
    let base = debian(&[("openssl", "1")]);
    let work = world.push_work("team/web", &with_layer_size(&image(&[&base]), 0, 10));
    world.scan(&work).await;
    let pending = world.pending(&work).await.unwrap();
    assert_eq!((pending.attempts, pending.deferrals), (1, 0));
    for _ in 0..4 {
        world.deliver_when_due(&work).await.unwrap();
    }
    let result = world.result(&work).await;
    assert_eq!(result.state, ResultState::Failed);
    assert!(result.reason.unwrap().contains("more than 10 bytes came"));
}

#[tokio::test]
async fn a_layer_whose_size_is_given_as_none_is_read() {
    let world = World::new().await;
    let work = world.push_work("team/web", &with_layer_size(&image(&[&debian(&[("openssl", "1")])]), 0, 0));
    world.scan(&work).await;
    assert_eq!(world.result(&work).await.state, ResultState::Scanned);
}

#[tokio::test]
async fn when_one_layer_fails_the_others_that_are_being_read_are_finished_and_keep_no_lease() {
    let world = World::new().await;
    let (slow, poison) = (debian(&[("openssl", "1")]), file("poison"));
    let work = world.push_work("team/web", &image(&[&slow, &poison]));
    world.enqueue(&work).await;
    world.registry.inject(tidewatch_testkit::registry::Fault::CorruptBlob { digest: poison.digest });
    let (worker, gate) = world.gated_worker(Behind::Blob(slow.digest));
    let scan = start(worker, &work);
    gate.arrival().await;
    while world.registry.blob_pulls(&poison.digest) == 0 {
        tokio::task::yield_now().await;
    }
    gate.open();
    scan.await.unwrap().unwrap();
    assert_eq!(world.pending(&work).await.map(|pending| pending.attempts), Some(1));

    world.registry.clear_faults();
    let other = world.push_work("team/other", &image(&[&slow]));
    world.scan(&other).await;
    assert_eq!(world.result(&other).await.state, ResultState::Scanned);
    assert_eq!(world.registry.blob_pulls(&slow.digest), 1, "it was finished and kept");
}
