//! Other writers at work on the same images, and workers that are killed.

use std::time::Duration;

use tidewatch_core::image::Image;
use tidewatch_core::ports::Sleeper as _;
use tidewatch_core::work::RematchTask;
use tidewatch_core::{Retry, Retryable as _};
use tidewatch_runtime::system::SystemSleeper;
use tidewatch_runtime::{Deadline, MessageHandler as _};
use tidewatch_testkit::interleave::Interleaving;

use crate::world::{World, advisories, debian, everything, image, message, repository_of};

/// One step of a worker, after a moment for threads that it waits for: a step without that would be one for nothing.
pub(crate) async fn step<T>(interleaving: &mut Interleaving<'_, T>, task: usize) -> Option<T> {
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

/// Begins something, and lets it do so many operations; then `meanwhile` happens; then it goes on to its end. For every
/// number of operations.
async fn at_every_step<S, F, M>(
    scenes: impl AsyncFn() -> S,
    begin: F,
    meanwhile: M,
    check: impl AsyncFn(&S, usize),
) where
    F: for<'s> AsyncFn(&'s S) -> bool,
    M: AsyncFn(&S),
{
    for steps in 0..1_000 {
        let scene = scenes().await;
        let mut finished = false;
        {
            let mut tasks = Interleaving::new();
            let task = tasks.start(begin(&scene));
            for _ in 0..steps {
                finished = finished || step(&mut tasks, task).await.is_some();
            }
            meanwhile(&scene).await;
            let mut ended = finished;
            while !ended {
                ended = step(&mut tasks, task).await.is_some();
            }
        }
        check(&scene, steps).await;
        if finished {
            return;
        }
    }
    panic!("it takes more than 1000 operations");
}

/// One image that is posted, and another that is not.
struct Fleet {
    world: World,
    posted: Image,
    unposted: Image,
}

impl Fleet {
    async fn new() -> Self {
        let world = World::new().await;
        let posted = world.scanned("team/posted", &[("openssl", "1"), ("zlib", "1")]).await;
        world.compact().await;
        let unposted = world.scanned("team/unposted", &[("zlib", "1")]).await;
        Self { world, posted, unposted }
    }

    /// Does all that is left to do, and checks that both images have so many vulnerabilities, and will be found.
    async fn settles(&self, vulnerabilities: [u64; 2], steps: usize) {
        self.world.drain().await;
        self.world.rematch().await;
        self.world.clock.advance(Duration::from_secs(600));
        self.world.compact().await;
        self.world.rematch().await;
        for (image, expected) in [&self.posted, &self.unposted].into_iter().zip(vulnerabilities) {
            assert_eq!(self.world.vulnerabilities(image).await, expected, "{image} after {steps} steps");
            assert!(self.world.is_findable(image).await, "{image} after {steps} steps");
            assert!(self.world.is_current(image).await, "{image} after {steps} steps");
        }
    }
}

#[tokio::test]
async fn images_that_are_posted_while_others_look_for_them_are_found() {
    at_every_step(
        Fleet::new,
        async |fleet| {
            let worker = fleet.world.pausing_worker();
            worker.handle(everything(), Deadline::NONE).await.is_ok()
        },
        async |fleet| {
            fleet.world.deliver(message(Some(RematchTask::Compact {}))).await.unwrap();
        },
        async |fleet, steps| {
            fleet.world.publish(&advisories()).await;
            fleet.settles([2, 1], steps).await;
        },
    )
    .await;
    // The same while something has changed.
    at_every_step(
        async || {
            let fleet = Fleet::new().await;
            fleet.world.publish(&advisories()).await;
            fleet
        },
        async |fleet| {
            let worker = fleet.world.pausing_worker();
            worker.handle(everything(), Deadline::NONE).await.is_ok()
        },
        async |fleet| {
            fleet.world.deliver(message(Some(RematchTask::Compact {}))).await.unwrap();
        },
        async |fleet, steps| fleet.settles([2, 1], steps).await,
    )
    .await;
}

#[tokio::test]
async fn an_image_that_is_scanned_anew_while_it_is_posted_is_found_by_what_was_read_last() {
    at_every_step(
        Fleet::new,
        async |fleet| {
            let worker = fleet.world.pausing_worker();
            worker.handle(message(Some(RematchTask::Compact {})), Deadline::NONE).await.is_ok()
        },
        async |fleet| {
            fleet.world.scan_anew(&fleet.unposted, &debian(&[("openssl", "1")])).await;
            fleet.world.scan_anew(&fleet.posted, &debian(&[("zlib", "1")])).await;
        },
        async |fleet, steps| {
            fleet.settles([0, 1], steps).await;
            fleet.world.publish(&advisories()).await;
            fleet.settles([1, 1], steps).await;
            fleet.world.publish(&advisories()[1..]).await;
            fleet.settles([1, 0], steps).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_change_while_images_are_posted_finds_them() {
    at_every_step(
        Fleet::new,
        async |fleet| {
            let worker = fleet.world.pausing_worker();
            worker.handle(message(Some(RematchTask::Compact {})), Deadline::NONE).await.is_ok()
        },
        async |fleet| {
            fleet.world.publish(&advisories()).await;
            fleet.world.rematch().await;
        },
        async |fleet, steps| {
            fleet.settles([2, 1], steps).await;
            fleet.world.publish(&advisories()[..1]).await;
            fleet.settles([1, 0], steps).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_change_while_an_image_is_scanned_reaches_it() {
    for is_posted_meanwhile in [false, true] {
        at_every_step(
            Fleet::new,
            async |fleet| {
                let inventory = debian(&[("zlib", "1"), ("openssl", "1")]);
                // Of the image that has no result yet.
                fleet.world.pausing_scanner().scan(&image("team/new", "new"), &inventory).await.is_ok()
            },
            async |fleet| {
                fleet.world.publish(&advisories()).await;
                fleet.world.rematch().await;
                if is_posted_meanwhile {
                    fleet.world.compact().await;
                }
            },
            async |fleet, steps| {
                let new = image("team/new", "new");
                assert_eq!(fleet.world.vulnerabilities(&new).await, 2, "after {steps} steps");
                fleet.settles([2, 1], steps).await;
                assert_eq!(fleet.world.vulnerabilities(&new).await, 2, "after {steps} steps");
                assert!(fleet.world.is_findable(&new).await, "after {steps} steps");
                assert!(fleet.world.is_current(&new).await, "after {steps} steps");
            },
        )
        .await;
    }
}

/// Whoever sends for the image for the second change may look at it before the first has been recorded.
#[tokio::test]
async fn a_change_that_is_undone_while_an_image_is_matched_is_undone_for_it() {
    at_every_step(
        async || {
            let fleet = Fleet::new().await;
            fleet.world.publish(&advisories()).await;
            fleet.world.deliver(everything()).await.unwrap();
            // Its message is on its way, but for the other image.
            fleet
                .world
                .deliver(message(Some(RematchTask::Unposted(vec![fleet.unposted.id()]))))
                .await
                .unwrap();
            fleet
        },
        async |fleet| {
            let worker = fleet.world.pausing_worker();
            let images = vec![fleet.posted.id()];
            worker.handle(message(Some(RematchTask::Images(images))), Deadline::NONE).await.is_ok()
        },
        async |fleet| {
            fleet.world.publish(&advisories()[..1]).await;
            fleet.world.rematch().await;
        },
        async |fleet, steps| {
            let vulnerabilities = fleet.world.vulnerabilities(&fleet.posted).await;
            assert_eq!(vulnerabilities, 1, "after {steps} steps");
            fleet.settles([1, 0], steps).await;
        },
    )
    .await;
}
