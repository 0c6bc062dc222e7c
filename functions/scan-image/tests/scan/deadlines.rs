//! Scans that are not done when the time of the function ends.

use std::time::Duration;

use tidewatch_core::ports::Clock as _;
use tidewatch_core::result::ResultState;
use tidewatch_core::work::Work;
use tidewatch_inventory::READER_VERSION;
use tidewatch_runtime::{Deadline, HandlerError, MessageHandler as _};
use tidewatch_scan_image::ScanImage;
use tokio::task::JoinHandle;

use crate::gate::Behind;
use crate::images::{debian, file, image};
use crate::world::{World, acme, message};

/// The time of a function.
const TIME: Duration = Duration::from_secs(900);

fn start(world: &World, worker: ScanImage, work: &Work) -> JoinHandle<Result<(), HandlerError>> {
    let end = world.clock.now().checked_add(TIME).unwrap();
    let message = message(work);
    tokio::spawn(async move { worker.handle(message, Deadline::at(end)).await })
}

/// Checks that the work waits, was no attempt, and says what it waits for.
async fn assert_out_of_time(world: &World, work: &Work) {
    let pending = world.pending(work).await.unwrap();
    assert_eq!((pending.attempts, pending.deferrals), (0, 1));
    let reason = pending.deferred_because.unwrap();
    assert_eq!(reason, "failed to finish before the time of the function ended");
    assert_eq!(world.due_in(work).await, 30);
}

#[tokio::test]
async fn a_scan_stops_a_minute_before_its_end_keeps_what_it_has_read_and_gives_back_what_it_has_not() {
    let world = World::new().await;
    let (quick, slow) = (debian(&[("openssl", "1")]), file("slow"));
    let work = world.push_work("team/web", &image(&[&quick, &slow]));
    world.enqueue(&work).await;
    let (worker, gate) = world.gated_worker(Behind::Blob(slow.digest));
    let scan = start(&world, worker, &work);
    gate.arrival().await;
    while world.records.layer_inventory(&acme(), &quick.digest, READER_VERSION).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    world.clock.advance(Duration::from_secs(840));
    world.sleeper.wake();
    scan.await.unwrap().unwrap();
    assert_out_of_time(&world, &work).await;

    // As soon as it is due: nobody has to wait for a lease to run out.
    world.deliver_when_due(&work).await.unwrap();
    assert_eq!(world.result(&work).await.state, ResultState::Scanned);
    assert_eq!((world.registry.blob_pulls(&quick.digest), world.due_rows().await), (1, 0));
}

#[tokio::test]
async fn a_scan_that_has_time_left_goes_on() {
    let world = World::new().await;
    let slow = debian(&[("openssl", "1")]);
    let work = world.push_work("team/web", &image(&[&slow]));
    world.enqueue(&work).await;
    let (worker, gate) = world.gated_worker(Behind::Blob(slow.digest));
    let scan = start(&world, worker, &work);
    gate.arrival().await;
    for _ in 0..20 {
        world.clock.advance(Duration::from_secs(20));
        world.sleeper.wake_until_asleep().await;
    }
    gate.open();
    scan.await.unwrap().unwrap();
    assert_eq!(world.result(&work).await.state, ResultState::Scanned);
}

#[tokio::test]
async fn a_scan_that_hangs_before_it_reads_a_layer_is_deferred_before_its_end() {
    let world = World::new().await;
    let work = world.push_work("team/web", &image(&[&debian(&[("openssl", "1")])]));
    world.enqueue(&work).await;
    let (worker, gate) = world.gated_worker(Behind::Manifests);
    let scan = start(&world, worker, &work);
    gate.arrival().await;
    world.clock.advance(Duration::from_secs(870));
    world.sleeper.wake();
    scan.await.unwrap().unwrap();
    assert_out_of_time(&world, &work).await;
}
