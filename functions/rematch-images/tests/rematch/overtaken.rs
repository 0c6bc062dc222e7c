//! Other writers at work on the same images, and workers that are killed.

use std::time::Duration;

use tidewatch_core::image::Image;
use tidewatch_core::ports::Sleeper as _;
use tidewatch_core::{Retry, Retryable as _};
use tidewatch_runtime::system::SystemSleeper;
use tidewatch_runtime::{Deadline, MessageHandler as _};
use tidewatch_testkit::interleave::Interleaving;

use crate::world::{World, advisories, debian, image, repository_of};

/// One step of a worker, after a moment for threads that it waits for: a step without that would be one for nothing.
async fn step<T>(interleaving: &mut Interleaving<'_, T>, task: usize) -> Option<T> {
    SystemSleeper.sleep(Duration::from_millis(2)).await;
    interleaving.step(task)
}

/// One image in two repositories, and advisories that it was not matched with.
async fn two_repositories() -> (World, [Image; 2]) {
    let world = World::without_advisories().await;
    world.publish(&advisories()[1..]).await;
    let images = ["team/a", "team/b"].map(|repository| image(repository, "1"));
    for image in &images {
        world.tag(image, "latest").await;
        world.scan(image, &debian(&[("openssl", "1"), ("zlib", "1")])).await;
    }
    world.publish(&advisories()[..1]).await;
    (world, images)
}

/// Checks that the result is of the newest advisories, by which there are two vulnerabilities, and that both slots have
/// it.
async fn assert_newest(world: &World, images: &[Image], when: &str) {
    for image in images {
        assert_eq!(world.vulnerabilities(image).await, 2, "{image} {when}");
        assert_eq!(world.member(image).await.unwrap().severities.total(), 2, "the slot of {image} {when}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Other {
    Scan,
    Rematch,
}

#[tokio::test]
async fn a_message_that_is_overtaken_at_any_point_does_not_put_back_what_was_done_since() {
    for other in [Other::Scan, Other::Rematch] {
        for steps in 0..1_000 {
            let (world, images) = two_repositories().await;
            let worker = world.pausing_worker();
            let mut overtaken = Interleaving::new();
            let task = overtaken.start(worker.handle(repository_of(&images[0]), Deadline::NONE));
            let mut outcome = None;
            for _ in 0..steps {
                if outcome.is_none() {
                    outcome = step(&mut overtaken, task).await;
                }
            }
            let finished = outcome.is_some();
            world.publish(&advisories()).await;
            match other {
                Other::Scan => {
                    world.scan(&images[1], &debian(&[("openssl", "1"), ("zlib", "1")])).await;
                }
                Other::Rematch => {
                    world.rematch().await;
                }
            }
            while outcome.is_none() {
                outcome = step(&mut overtaken, task).await;
            }
            outcome.unwrap().unwrap();
            assert_newest(&world, &images, &format!("overtaken by {other:?} after {steps} steps")).await;
            if finished {
                break;
            }
        }
    }
}

#[tokio::test]
async fn two_deliveries_of_a_message_at_once_give_one_result() {
    for behind in 0..40 {
        let (world, images) = two_repositories().await;
        world.publish(&advisories()).await;
        let before = world.stored(&images[0]).await.revision;
        let worker = world.pausing_worker();
        let mut tasks = Interleaving::new();
        let both =
            [0, 1].map(|number| tasks.start(worker.handle(repository_of(&images[number]), Deadline::NONE)));
        let mut done = [false, false];
        for _ in 0..behind {
            done[0] = done[0] || step(&mut tasks, both[0]).await.is_some();
        }
        while !(done[0] && done[1]) {
            for number in 0..2 {
                done[number] = done[number] || step(&mut tasks, both[number]).await.is_some();
            }
        }
        assert_eq!(world.stored(&images[0]).await.revision, before + 1, "{behind} steps behind");
        assert_newest(&world, &images, &format!("{behind} steps behind")).await;
    }
}

#[tokio::test]
async fn a_crash_before_any_table_operation_loses_nothing() {
    for crash in 0..1_000 {
        let (world, images) = two_repositories().await;
        world.publish(&advisories()).await;
        let marks = world.marks().await;
        world.outages.fail_after(crash);
        let crashed = world.deliver(repository_of(&images[0])).await;
        let finished = world.outages.operations() <= crash;
        world.outages.recover();
        if let Err(error) = &crashed {
            assert_eq!(error.retry(), Retry::Again, "crash before operation {crash}");
        }
        assert_eq!(crashed.is_ok(), finished, "crash before operation {crash}");
        // What was sent for both repositories comes, the first one again.
        for image in &images {
            world.deliver(repository_of(image)).await.unwrap();
        }
        assert_newest(&world, &images, &format!("after a crash before operation {crash}")).await;
        assert!(world.marks().await >= marks + 2, "crash before operation {crash}");
        if finished {
            return;
        }
    }
    panic!("a message takes more than 1000 operations");
}
