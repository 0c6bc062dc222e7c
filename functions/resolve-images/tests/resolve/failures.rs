//! Listings that fail: what is tried again and when, what is recorded, and that nothing is removed.

use std::time::Duration;

use serde_json::json;
use tidewatch_core::work::{ListingMessage, RunId};
use tidewatch_core::{Retry, Retryable as _};
use tidewatch_store::records::ListingState;
use tidewatch_testkit::registry::{Access, Fault};

use crate::world::{PAUSE, World, repositories, run, tags_of};

/// Delivers `message` and each retry that is sent for it; gives the pauses before them.
async fn deliver_with_retries(world: &World, message: ListingMessage) -> Vec<Duration> {
    let mut pauses = Vec::new();
    let mut next = Some(message);
    while let Some(message) = next {
        let failures = message.failures;
        world.deliver(message.clone()).await.unwrap();
        let mut sent = world.sent();
        assert!(sent.len() <= 1, "{sent:?}");
        next = sent.pop().map(|(retry, pause)| {
            assert_eq!(retry, ListingMessage { failures: failures + 1, ..message });
            pauses.push(pause);
            retry
        });
    }
    pauses
}

/// A repository whose images were scanned.
async fn scanned() -> World {
    let world = World::new().await;
    world.push("team/web", "latest", "web");
    world.list("team/web").await;
    world.scan_due().await;
    world
}

#[tokio::test]
async fn a_registry_that_is_down_is_tried_five_times_and_then_the_listing_has_failed_and_nothing_is_removed()
{
    for message in [tags_of("team/web"), repositories()] {
        let world = scanned().await;
        let tags = world.tags("team/web").await;
        world.registry.inject(Fault::Status { requests: usize::MAX, status: 503 });
        let repository = message.repository.as_ref().map(ToString::to_string);
        let pauses = deliver_with_retries(&world, message).await;

        assert_eq!(pauses, [PAUSE, PAUSE * 2, PAUSE * 4, PAUSE * 8]);
        let progress = world.listing(repository.as_deref()).await;
        assert_eq!(progress.state, ListingState::Failed);
        assert!(progress.error.unwrap().contains("503"));
        assert_eq!((world.tags("team/web").await, world.due().await), (tags, vec![]));
    }
}

#[tokio::test]
async fn a_listing_that_failed_goes_on_when_the_registry_is_back() {
    let world = World::new().await;
    world.push("team/web", "latest", "web");
    // More than the client tries by itself.
    world.registry.inject(Fault::Status { requests: 4, status: 503 });
    assert_eq!(deliver_with_retries(&world, tags_of("team/web")).await, [PAUSE]);
    let progress = world.listing(Some("team/web")).await;
    assert_eq!((progress.state, progress.queued, progress.error), (ListingState::Done, 1, None));
}

#[tokio::test]
async fn a_registry_that_refuses_is_not_asked_again() {
    let world = scanned().await;
    let tags = world.tags("team/web").await;
    world.registry.require(Access::basic("robot", "secret"));
    assert_eq!(deliver_with_retries(&world, tags_of("team/web")).await, Vec::<Duration>::new());
    let progress = world.listing(Some("team/web")).await;
    assert_eq!((progress.state, progress.queued), (ListingState::Failed, 0));
    assert!(progress.error.unwrap().contains("401"));
    assert_eq!(world.tags("team/web").await, tags);
}

#[tokio::test]
async fn credentials_that_are_not_there_fail_the_listing_at_once() {
    let world = scanned().await;
    let config = world.registry.config("reg");
    let mut config = serde_json::to_value(config).unwrap();
    config["credentials"] = json!({"env": "NO_SUCH_VARIABLE"});
    world.apply(json!({"registries": [config]})).await;
    world.requests();
    assert_eq!(deliver_with_retries(&world, repositories()).await, Vec::<Duration>::new());
    let progress = world.listing(None).await;
    assert_eq!(progress.state, ListingState::Failed);
    assert!(progress.error.unwrap().contains("NO_SUCH_VARIABLE"));
    assert_eq!(world.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_rule_or_registry_that_is_gone_is_recorded_and_not_tried_again() {
    for gone in [json!({"rules": []}), json!({"registries": []})] {
        let world = scanned().await;
        let tags = world.tags("team/web").await;
        world.apply(gone).await;
        world.requests();
        for message in [tags_of("team/web"), repositories()] {
            let message = ListingMessage { run: RunId { run: "2".to_owned(), ..run() }, ..message };
            assert_eq!(deliver_with_retries(&world, message.clone()).await, Vec::<Duration>::new());
            let ListingMessage { org, run, registry, repository, .. } = &message;
            let progress = world.records.listing(org, run, registry, repository.as_ref()).await;
            let progress = progress.unwrap().unwrap();
            assert_eq!(progress.state, ListingState::Failed);
            assert!(progress.error.unwrap().contains("not in the configuration any more"));
        }
        assert_eq!((world.requests(), world.tags("team/web").await), (vec![], tags));
    }
}

#[tokio::test]
async fn a_repository_that_is_gone_fails_its_own_listing_and_loses_nothing() {
    let world = scanned().await;
    let tags = world.tags("team/web").await;
    world.registry.delete_repository("team/web");
    assert_eq!(deliver_with_retries(&world, tags_of("team/web")).await, Vec::<Duration>::new());
    assert_eq!(world.listing(Some("team/web")).await.state, ListingState::Failed);
    assert_eq!(world.tags("team/web").await, tags);
}

#[tokio::test]
async fn a_tag_that_the_registry_answers_wrongly_holds_up_no_other() {
    let world = World::new().await;
    for number in 0..12 {
        world.push("team/web", &format!("1.{number:02}"), &format!("content {number}"));
    }
    let poison = world.push("team/web", "1.00", "poison");
    world.registry.set_page_size(4);
    world.registry.inject(Fault::CorruptManifest { digest: poison.digest });
    let pauses = deliver_with_retries(&world, tags_of("team/web")).await;
    assert_eq!(pauses.len(), 4);
    let progress = world.listing(Some("team/web")).await;
    assert_eq!(progress.state, ListingState::Failed);
    assert!(progress.error.unwrap().contains(&poison.digest.to_string()));
    assert_eq!(world.due().await.len(), 11);

    world.registry.clear_faults();
    assert_eq!((world.list("team/web").await.state, world.due().await.len()), (ListingState::Done, 12));
}

#[tokio::test]
async fn an_outage_of_the_table_is_no_failure_of_the_listing() {
    let world = World::new().await;
    world.push("team/web", "latest", "web");
    world.outages.fail_after(0);
    let error = world.deliver(tags_of("team/web")).await.unwrap_err();
    assert_eq!((error.retry(), world.sent()), (Retry::Again, vec![]));
}

#[tokio::test]
async fn a_listing_that_meets_an_unreadable_record_has_failed_at_once_and_is_not_queued_for_ever() {
    for (partition, sort) in [("REPO#acme#reg/team/web", "TAG#latest"), ("ORG#acme", "CONFIG")] {
        let world = scanned().await;
        world.corrupt(partition, sort).await;
        assert_eq!(deliver_with_retries(&world, tags_of("team/web")).await, Vec::<Duration>::new());
        let progress = world.listing(Some("team/web")).await;
        assert_eq!(progress.state, ListingState::Failed);
        assert!(progress.error.unwrap().contains(partition));
    }
}

#[tokio::test]
async fn a_message_of_an_organisation_that_is_gone_is_dropped() {
    let world = World::new().await;
    let message = ListingMessage { org: "nobody".parse().unwrap(), ..repositories() };
    world.deliver(message).await.unwrap();
    assert_eq!((world.sent(), world.requests()), (vec![], vec![]));
}
