//! Tags that images are built on: asked in turns, and told of when they have moved.

use std::time::Duration;

use tidewatch_core::base::BaseStanding;
use tidewatch_core::image::{ImageId, Platform};
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::{HintMessage, RematchMessage, RematchTask};
use tidewatch_testkit::image::IndexBuilder;

use crate::world::{World, acme, image};

/// What images call the tag `latest` of the repository `base`, and the message that asks for it.
async fn asked(world: &World) -> (String, HintMessage) {
    let applied = world.records.config(&acme()).await.unwrap().unwrap();
    let registry = &applied.config.registries[0];
    let hint = world.hint("base", "latest");
    let name = tidewatch_core::base::reference(&applied.config, &registry.id, &hint.repository, &hint.tag);
    let name = name.unwrap();
    (name.clone(), HintMessage { base: Some(name), ..hint })
}

async fn standing(world: &World, base: &str) -> BaseStanding {
    world.records.base_standing(&acme(), base).await.unwrap().unwrap()
}

fn told(world: &World) -> Vec<RematchTask> {
    let messages: Vec<RematchMessage> = world.queue.messages(QueueName::Rematches);
    world.queue.clear();
    messages.into_iter().filter_map(|message| message.task).collect()
}

#[tokio::test]
async fn images_are_sent_for_when_the_tag_that_they_are_built_on_has_moved_and_only_then() {
    let world = World::new().await;
    let amd64 = image("1", &Platform::linux_amd64());
    let index = IndexBuilder::new().image(&amd64).build();
    world.push_image("base", "latest", &index);
    let (base, message) = asked(&world).await;
    world.deliver_hint(message.clone()).await.unwrap();
    let first = standing(&world, &base).await;
    assert_eq!((first.digest, &first.manifests[..]), (index.digest, &[amd64.digest][..]));
    assert_eq!(told(&world), [RematchTask::Base(base.clone())]);

    world.clock.advance(Duration::from_secs(3600));
    world.deliver_hint(message.clone()).await.unwrap();
    assert_eq!(told(&world), [], "it points where it did");
    assert!(standing(&world, &base).await.checked_at > first.checked_at);

    let moved = world.push("base", "latest", "2");
    world.deliver_hint(message.clone()).await.unwrap();
    assert_eq!(told(&world), [RematchTask::Base(base.clone())]);
    assert_eq!(standing(&world, &base).await.digest, moved.digest);
}

#[tokio::test]
async fn whoever_dies_before_he_has_told_of_a_moved_tag_leaves_it_to_the_next() {
    let world = World::new().await;
    let pushed = world.push("base", "latest", "1");
    let (base, message) = asked(&world).await;
    let (digest, checked_at) = (pushed.digest, message.received_at);
    let untold = BaseStanding { digest, manifests: vec![], checked_at, is_told: false };
    world.records.put_base_standing(&acme(), &base, &untold).await.unwrap();
    world.deliver_hint(message).await.unwrap();
    assert_eq!(told(&world), [RematchTask::Base(base.clone())]);
    assert!(standing(&world, &base).await.is_told);
}

#[tokio::test]
async fn a_tag_that_is_gone_stays_what_it_was_and_other_hosts_are_not_asked() {
    let world = World::new().await;
    let (base, message) = asked(&world).await;
    world.deliver_hint(message.clone()).await.unwrap();
    let elsewhere = HintMessage { base: Some("evil.example.com/base:latest".to_owned()), ..message };
    world.deliver_hint(elsewhere).await.unwrap();
    assert_eq!(world.records.base_standing(&acme(), &base).await.unwrap(), None);
    assert_eq!(told(&world), []);
}

#[tokio::test]
async fn a_base_has_one_turn_and_knows_what_is_built_on_it() {
    let world = World::new().await;
    let (base, _) = asked(&world).await;
    let built = ImageId { digest: tidewatch_core::Digest::of(b"app"), platform: Platform::linux_amd64() };
    for _ in 0..2 {
        world.records.put_on_base(&acme(), &base, &built).await.unwrap();
    }
    assert_eq!(world.records.images_on_base(&acme(), &base).await.unwrap(), [built]);
    let mut turns = 0;
    for turn in 0..tidewatch_store::records::BASE_TURNS {
        turns += world.records.bases_in_turn(&acme(), turn).await.unwrap().len();
    }
    assert_eq!(turns, 1);
}
