//! Images whose base has moved.

use serde_json::json;
use tidewatch_core::Digest;
use tidewatch_core::base::BaseStanding;
use tidewatch_core::image::Image;
use tidewatch_core::metadata::{BaseEvidence, BaseImage, ImageMetadata};
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::{OnBase, RematchMessage, RematchTask};
use tidewatch_runtime::{Deadline, MessageHandler as _};
use tidewatch_testkit::interleave::Interleaving;

use crate::overtaken::step;
use crate::world::{World, acme, debian, image, message};

const BASE: &str = "docker.io/library/debian:13";

fn digest(content: &str) -> Digest {
    Digest::of(content.as_bytes())
}

/// An image that was built on what the tag pointed to then.
async fn built_on(world: &World, repository: &str, base: &str) -> Image {
    let image = image(repository, repository);
    world.tag(&image, "latest").await;
    let base = BaseImage {
        reference: BASE.to_owned(),
        digest: Some(digest(base)),
        evidence: BaseEvidence::Provenance,
        current: None,
    };
    world.records.put_on_base(&acme(), BASE, &image.id()).await.unwrap();
    let metadata = ImageMetadata { base: Some(base), ..ImageMetadata::default() };
    world.scan_with(&image, &debian(&[("openssl", "1")]), metadata).await;
    image
}

async fn point_to(world: &World, content: &str) {
    let (digest, checked_at) = (digest(content), world.clock.now());
    let standing = BaseStanding { digest, manifests: vec![], checked_at, is_told: false };
    assert!(world.records.put_base_standing(&acme(), BASE, &standing).await.unwrap());
    world.deliver(message(Some(RematchTask::Base(BASE.to_owned())))).await.unwrap();
    let sent: Vec<RematchMessage> = world.queue.messages(QueueName::Rematches);
    for message in sent {
        world.deliver(message).await.unwrap();
    }
    world.queue.clear();
}

async fn outcome(world: &World, image: &Image) -> Option<Outcome> {
    let policy = "no-stale-base-images".parse().unwrap();
    let result = world.stored(image).await.result.policies.get(&policy).copied();
    let member = world.member(image).await.unwrap().policies.get(&policy).copied();
    assert_eq!(result, member, "the slot follows");
    result
}

#[tokio::test]
async fn images_are_judged_again_when_the_tag_that_they_are_built_on_moves() {
    let world = World::new().await;
    world.apply(&json!([{"id": "no-stale-base-images"}])).await;
    let (older, newer) =
        (built_on(&world, "team/older", "1").await, built_on(&world, "team/newer", "2").await);
    assert_eq!(outcome(&world, &older).await, Some(Outcome::NoData));
    point_to(&world, "1").await;
    assert_eq!(outcome(&world, &older).await, Some(Outcome::Pass));
    assert_eq!(outcome(&world, &newer).await, Some(Outcome::Fail));
    point_to(&world, "2").await;
    assert_eq!(outcome(&world, &older).await, Some(Outcome::Fail));
    assert_eq!(outcome(&world, &newer).await, Some(Outcome::Pass));
    let before = world.stored(&older).await;
    point_to(&world, "2").await;
    assert_eq!(world.stored(&older).await, before, "a second delivery changes nothing");
    assert!(world.is_current(&older).await, "and it needs no other message");
}

#[tokio::test]
async fn policies_that_change_while_images_are_judged_by_a_moved_base_are_followed() {
    for steps in 0..1_000 {
        let world = World::new().await;
        world.apply(&json!([{"id": "no-stale-base-images"}])).await;
        let image = built_on(&world, "team/web", "1").await;
        let (digest, checked_at) = (digest("2"), world.clock.now());
        let standing = BaseStanding { digest, manifests: vec![], checked_at, is_told: true };
        world.records.put_base_standing(&acme(), BASE, &standing).await.unwrap();
        let on_base = OnBase { base: BASE.to_owned(), images: vec![image.id()] };
        let worker = world.pausing_worker();
        let mut tasks = Interleaving::new();
        let task = tasks.start(worker.handle(message(Some(RematchTask::OnBase(on_base))), Deadline::NONE));
        let mut outcome = None;
        for _ in 0..steps {
            if outcome.is_none() {
                outcome = step(&mut tasks, task).await;
            }
        }
        let finished = outcome.is_some();
        let fixable = json!({"id": "fixable-vulnerabilities", "config": {"severities": ["LOW"]}});
        world.apply(&json!([{"id": "no-stale-base-images"}, fixable])).await;
        world.rematch().await;
        while outcome.is_none() {
            outcome = step(&mut tasks, task).await;
        }
        outcome.unwrap().unwrap();
        assert_eq!(self::outcome(&world, &image).await, Some(Outcome::Fail), "after {steps} steps");
        let judged_under = world.stored(&image).await.result.judged_under;
        assert_eq!(judged_under, world.basis().await.judging, "after {steps} steps");
        if finished {
            return;
        }
    }
    panic!("the worker does not end");
}
