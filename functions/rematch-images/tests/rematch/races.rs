//! Scans, changes of what is in force, and those who find, post and match images, all at the same time: in generated
//! interleavings of single table operations, with workers that are killed and messages that come again. In the end no image
//! is missed.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidewatch_assessment::Assessment;
use tidewatch_core::image::Image;
use tidewatch_core::names::StreamName;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::ports::{Clock as _, Sleeper as _};
use tidewatch_core::severity::SeverityCounts;
use tidewatch_core::stream::Member;
use tidewatch_core::work::{RematchMessage, RematchTask};
use tidewatch_inventory::ImageInventory;
use tidewatch_rematch_images::RematchSettings;
use tidewatch_runtime::system::SystemSleeper;
use tidewatch_runtime::{Deadline, MessageHandler as _};
use tidewatch_store::records::{ResultRows, StoredResult};
use tidewatch_testkit::interleave::Interleaving;
use tidewatch_testkit::policies::fixable_only;

use crate::world::{World, acme, advisories, debian, everything, image, message};

/// What is read of the images, one time after the other: readers change.
fn inventory(image: usize, generation: usize) -> ImageInventory {
    let packages: [&[(&str, &str)]; 4] =
        [&[("openssl", "1")], &[("zlib", "1")], &[("openssl", "1"), ("zlib", "1")], &[("bash", "1")]];
    debian(packages[(image + generation) % packages.len()])
}

const IMAGES: usize = 3;

/// Which advisories are in force.
const PUBLISHED: [std::ops::Range<usize>; 4] = [0..0, 0..1, 1..2, 0..2];

/// Which exceptions are in force, of what is found in `openssl`: for whom.
const EXCEPTIONS: [Option<&str>; 4] = [None, Some("hub/team/0"), Some("hub/team/*"), Some("hub/other/*")];

#[derive(Clone, Debug)]
enum Event {
    Publish(usize),
    Except(usize),
    /// A worker begins to scan an image.
    Scan(usize),
    /// A message that finds what changes are about comes.
    Find,
    /// A message that posts images comes.
    Post,
    /// The next message that was sent comes.
    Deliver,
    /// A worker does so many operations.
    Step(usize, usize),
    /// A worker is killed.
    Kill(usize),
    /// New readers come: scans find something else.
    Upgrade,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..PUBLISHED.len()).prop_map(Event::Publish),
        2 => (0..EXCEPTIONS.len()).prop_map(Event::Except),
        4 => (0..IMAGES).prop_map(Event::Scan),
        3 => Just(Event::Find),
        3 => Just(Event::Post),
        4 => Just(Event::Deliver),
        16 => (any::<usize>(), 1_usize..12).prop_map(|(worker, steps)| Event::Step(worker, steps)),
        1 => any::<usize>().prop_map(Event::Kill),
        1 => Just(Event::Upgrade),
    ]
}

/// What a worker is at, to be begun again when it was killed.
#[derive(Clone, Debug)]
enum Job {
    Scan(usize),
    Message(RematchMessage),
}

async fn publish(world: &World, number: usize) {
    let about_another = tidewatch_testkit::advisory::AdvisoryBuilder::new("DSA-9-1")
        .fixed("Debian:13", "unheard-of", "1")
        .build();
    let chosen: Vec<Value> =
        advisories()[PUBLISHED[number].clone()].iter().cloned().chain([about_another]).collect();
    world.publish(&chosen).await;
}

async fn except(world: &World, number: usize) {
    let exception = |repository| json!({"vulnerability": "CVE-2099-0001", "type": "accepted_risk", "repository": repository});
    let exceptions: Vec<Value> = EXCEPTIONS[number].into_iter().map(exception).collect();
    let policies = fixable_only(&json!([]));
    world.configure(json!({"org": "acme", "policies": policies, "exceptions": exceptions})).await;
}

/// Handles all that there is to do, until there is nothing more. It takes less than the week after which all images are
/// sent for.
async fn settle(world: &World, delivered: &mut usize) {
    for _ in 0..4 {
        world.deliver(everything()).await.unwrap();
        deliver_all(world, delivered).await;
        world.clock.advance(std::time::Duration::from_secs(600));
        world.deliver(message(Some(RematchTask::Compact {}))).await.unwrap();
        deliver_all(world, delivered).await;
    }
}

async fn deliver_all(world: &World, delivered: &mut usize) {
    loop {
        let messages: Vec<RematchMessage> = world.queue.messages(QueueName::Rematches);
        let Some(message) = messages.into_iter().nth(*delivered) else { return };
        world.deliver(message).await.unwrap();
        *delivered += 1;
    }
}

async fn run(events: &[Event]) -> Result<(), TestCaseError> {
    let mut world = World::without_advisories().await;
    world.settings =
        RematchSettings { images_per_segment: 2, images_per_message: 2, ..RematchSettings::default() };
    publish(&world, 1).await;
    world.rematch().await;
    let world = &world;
    let images: Vec<Image> =
        (0..IMAGES).map(|number| image(&format!("team/{number}"), &number.to_string())).collect();
    for image in &images {
        world.tag(image, "latest").await;
    }
    let worker = world.pausing_worker();
    let scanner = world.pausing_scanner();
    let (mut generation, mut delivered) = (0, 0);
    let mut jobs: Vec<Option<Job>> = Vec::new();
    let mut unfinished: Vec<Job> = Vec::new();
    let mut tasks: Interleaving<'_, bool> = Interleaving::new();
    for event in events {
        let begun = match event {
            Event::Publish(number) => {
                publish(world, *number).await;
                None
            }
            Event::Except(number) => {
                except(world, *number).await;
                None
            }
            Event::Upgrade => {
                generation += 1;
                None
            }
            Event::Scan(number) => Some(Job::Scan(*number)),
            Event::Find => Some(Job::Message(everything())),
            Event::Post => Some(Job::Message(message(Some(RematchTask::Compact {})))),
            Event::Deliver => {
                let messages: Vec<RematchMessage> = world.queue.messages(QueueName::Rematches);
                let next = messages.into_iter().nth(delivered);
                delivered += usize::from(next.is_some());
                next.map(Job::Message)
            }
            Event::Step(number, steps) => {
                let running = tasks.running();
                for _ in 0..*steps {
                    let Some(task) = running.get(number % running.len().max(1)).copied() else { break };
                    // For the threads that it may wait for.
                    SystemSleeper.sleep(std::time::Duration::from_millis(1)).await;
                    if let Some(is_done) = tasks.step(task) {
                        let job = jobs[task].take();
                        unfinished.extend(job.filter(|_| !is_done));
                        break;
                    }
                }
                None
            }
            Event::Kill(number) => {
                let running = tasks.running();
                if let Some(task) = running.get(number % running.len().max(1)).copied() {
                    tasks.kill(task);
                    unfinished.extend(jobs[task].take());
                }
                None
            }
        };
        let Some(job) = begun else { continue };
        jobs.push(Some(job.clone()));
        match job {
            Job::Scan(number) => {
                let (scanner, image) = (&scanner, &images[number]);
                let inventory = inventory(number, generation);
                tasks.start(async move { scanner.scan(image, &inventory).await.is_ok() });
            }
            Job::Message(message) => {
                let worker = &worker;
                tasks.start(async move { worker.handle(message, Deadline::NONE).await.is_ok() });
            }
        }
    }
    finish(tasks, jobs, &mut unfinished).await;
    for job in unfinished {
        match job {
            Job::Scan(number) => {
                world.scanner().scan(&images[number], &inventory(number, generation)).await.unwrap();
            }
            Job::Message(message) => world.deliver(message).await.unwrap(),
        }
    }
    settle(world, &mut delivered).await;
    assert_settled(world, &images).await?;
    // And it stays so: who was lost only now would be missed from here on.
    for number in [3, 0] {
        publish(world, number).await;
        settle(world, &mut delivered).await;
        assert_settled(world, &images).await?;
    }
    for number in [1, 0] {
        except(world, number).await;
        settle(world, &mut delivered).await;
        assert_settled(world, &images).await?;
    }
    Ok(())
}

/// Every image that has a result is as a scan would record it, in its slot too, and will be found.
async fn assert_settled(world: &World, images: &[Image]) -> Result<(), TestCaseError> {
    for image in images {
        let stored = world.records.result(&acme(), &image.digest, &image.platform).await.unwrap();
        let Some(StoredResult { result, .. }) = stored else { continue };
        let inventory = world.records.inventory(&acme(), &result.inventory.unwrap()).await.unwrap();
        let assessment = world.assess_inventory(inventory.unwrap()).await;
        prop_assert_eq!(result.severities, assessment.result.severities, "{}", image);
        let member = world.member(image).await.expect("a member");
        let counted = (member.severities, member.suppressed);
        prop_assert_eq!(counted, in_slot(world, image, assessment).await, "the slot of {}", image);
        prop_assert!(world.is_findable(image).await, "{} is missing", image);
        prop_assert!(world.is_current(image).await, "{} is left to a scan", image);
    }
    Ok(())
}

/// What counts, and what is suppressed, in the slot of an image of which this is found.
async fn in_slot(world: &World, image: &Image, found: Assessment) -> (SeverityCounts, SeverityCounts) {
    let in_force = world.records.in_force(&acme(), None).await.unwrap().unwrap();
    let now = world.clock.now();
    let mut member = Member::pending(image.clone(), "latest".parse().unwrap(), now);
    member.take(&found.result);
    let Assessment { result, report, inventory, metadata } = found;
    let rows = ResultRows { report, inventory, metadata };
    let latest = StreamName::latest_indexed();
    member.judge(&latest, rows.subject(&result, &result.families()), in_force.judging(now));
    (member.severities, member.suppressed)
}

/// Lets all workers go on to their end, in turn.
async fn finish(mut tasks: Interleaving<'_, bool>, mut jobs: Vec<Option<Job>>, unfinished: &mut Vec<Job>) {
    for _ in 0..10_000 {
        let running = tasks.running();
        if running.is_empty() {
            return;
        }
        SystemSleeper.sleep(std::time::Duration::from_millis(1)).await;
        for task in running {
            if let Some(is_done) = tasks.step(task) {
                unfinished.extend(jobs[task].take().filter(|_| !is_done));
            }
        }
    }
    panic!("workers do not end");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_at_the_same_time_no_image_is_missed(events in vec(event(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(run(&events))?;
    }
}
