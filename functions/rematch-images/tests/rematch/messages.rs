//! Messages: one for each repository, in pieces where there are many tags or little time.

use std::collections::BTreeSet;
use std::time::Duration;

use tidewatch_core::image::Image;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::{RematchMessage, RematchTask};
use tidewatch_rematch_images::RematchSettings;
use tidewatch_runtime::{Deadline, MessageHandler as _};

use crate::world::{World, advisories, debian, everything, image, repository_of};

/// A repository with so many tags, each of an image of its own, and newer advisories than those they were matched with.
async fn many_tags(world: &World, tags: usize) -> Vec<Image> {
    let mut images = Vec::new();
    for number in 0..tags {
        let image = image("team/web", &number.to_string());
        world.tag(&image, &format!("v{number:03}")).await;
        world.scan(&image, &debian(&[("openssl", "1"), ("zlib", "1")])).await;
        images.push(image);
    }
    world.publish(&advisories()).await;
    images
}

/// How many of the images have been matched with the newer advisories.
async fn matched(world: &World, images: &[Image]) -> usize {
    let mut matched = 0;
    for image in images {
        matched += usize::from(world.vulnerabilities(image).await == 2);
    }
    matched
}

#[tokio::test]
async fn at_first_there_is_one_message_for_each_repository() {
    let world = World::without_advisories().await;
    for number in 0..230 {
        world.tag(&image(&format!("team/app-{number}"), "1"), "latest").await;
    }
    world.deliver(everything()).await.unwrap();
    let messages: Vec<RematchMessage> = world.queue.messages(QueueName::Rematches);
    let repositories: BTreeSet<String> = messages
        .iter()
        .map(|message| match &message.task {
            Some(RematchTask::Repository(repository)) => repository,
            other => panic!("{other:?}"),
        })
        .inspect(|repository| assert_eq!((repository.registry.as_str(), &repository.after), ("hub", &None)))
        .map(|repository| repository.repository.to_string())
        .collect();
    assert_eq!((messages.len(), repositories.len()), (230, 230));
}

#[tokio::test]
async fn a_repository_with_many_tags_takes_several_messages() {
    let mut world = World::new().await;
    world.settings = RematchSettings { tags_at_once: 3, tags_per_message: 6, ..RematchSettings::default() };
    let images = many_tags(&world, 14).await;
    world.deliver(repository_of(&images[0])).await.unwrap();
    assert_eq!(world.drain().await, 2, "the rest in two pieces");
    assert_eq!(matched(&world, &images).await, 14);
}

#[tokio::test]
async fn a_message_ends_before_its_deadline_and_another_one_goes_on() {
    let mut world = World::new().await;
    world.settings = RematchSettings { tags_at_once: 4, ..RematchSettings::default() };
    let images = many_tags(&world, 10).await;
    let late = Deadline::at(world.clock.now() + Duration::from_secs(59));
    let mut message = repository_of(&images[0]);
    let mut pieces = 0;
    loop {
        world.queue.clear();
        world.worker().handle(message, late).await.unwrap();
        pieces += 1;
        let rest: Vec<RematchMessage> = world.queue.messages(QueueName::Rematches);
        let Some(rest) = rest.into_iter().next() else { break };
        message = rest;
    }
    assert_eq!((pieces, matched(&world, &images).await), (3, 10), "each gets on, however late it is");
    world.queue.clear();
    let in_time = Deadline::at(world.clock.now() + Duration::from_secs(61));
    world.worker().handle(repository_of(&images[0]), in_time).await.unwrap();
    assert_eq!(world.queue.sent(QueueName::Rematches), []);
}

#[tokio::test]
async fn an_organisation_or_repository_that_is_not_there_is_no_error() {
    let world = World::new().await;
    world.deliver(repository_of(&image("team/gone", "1"))).await.unwrap();
    let nobody = "nobody".parse().unwrap();
    world.deliver(RematchMessage { org: nobody, ..everything() }).await.unwrap();
    assert_eq!(world.queue.sent(QueueName::Rematches), []);
}
