//! Listing the repositories of a registry.

use std::time::Duration;

use serde_json::json;
use tidewatch_store::records::ListingState;

use crate::world::{World, acme, repositories, run, tags_of};

/// The repositories that were sent for.
fn sent_for(world: &World) -> Vec<String> {
    let sent = world.sent();
    assert!(sent.iter().all(|(message, delay)| message.failures == 0 && *delay == Duration::ZERO));
    sent.into_iter().map(|(message, _)| message.repository.unwrap().to_string()).collect()
}

#[tokio::test]
async fn every_repository_on_every_page_is_sent_for_once() {
    let world = World::new().await;
    let names: Vec<String> = (0..7).map(|number| format!("team/app-{number}")).collect();
    for name in &names {
        world.push(name, "latest", name);
    }
    world.registry.set_page_size(3);
    world.deliver(repositories()).await.unwrap();

    assert_eq!(sent_for(&world), names);
    assert_eq!(world.requests(), ["GET /v2/_catalog"; 3]);
    let progress = world.listing(None).await;
    assert_eq!((progress.state, progress.listed, progress.selected), (ListingState::Done, 7, 7));
    assert!(world.records.has_queued_listings(&acme(), &run()).await.unwrap());
    assert_eq!(world.listing(Some("team/app-6")).await.state, ListingState::Queued);
    let known = world.records.repositories(&acme()).await.unwrap();
    assert_eq!(known.into_iter().map(|(_, name)| name.to_string()).collect::<Vec<_>>(), names);
    assert_eq!(world.due().await, []);
    world.registry.assert_no_violations();
}

#[tokio::test]
async fn a_repository_that_no_include_pattern_can_match_is_not_sent_for() {
    let world = World::with_rule(json!({"include": ["team/**:1.*", "shop"], "exclude": ["team/old"]})).await;
    for name in ["shop", "shop/cart", "team/old", "team/web", "teams/web"] {
        world.push(name, "1.0", name);
    }
    world.deliver(repositories()).await.unwrap();
    // Exclusion is decided tag by tag.
    assert_eq!(sent_for(&world), ["shop", "team/old", "team/web"]);
    let progress = world.listing(None).await;
    assert_eq!((progress.listed, progress.selected), (5, 3));
}

#[tokio::test]
async fn a_registry_without_repositories_is_done_at_once() {
    let world = World::new().await;
    world.deliver(repositories()).await.unwrap();
    assert_eq!((world.sent(), world.listing(None).await.state), (vec![], ListingState::Done));
}

#[tokio::test]
async fn a_listing_that_is_delivered_again_does_not_undo_what_its_repositories_recorded() {
    let world = World::new().await;
    world.push("team/web", "latest", "web");
    world.deliver(repositories()).await.unwrap();
    world.deliver(tags_of("team/web")).await.unwrap();
    world.deliver(repositories()).await.unwrap();
    assert_eq!(world.listing(Some("team/web")).await.state, ListingState::Done);
    assert_eq!(sent_for(&world), ["team/web", "team/web"]);
}

#[tokio::test]
async fn a_crash_before_any_table_operation_leaves_no_repository_unsent() {
    for crash in 0..20 {
        let world = World::new().await;
        for name in ["team/a", "team/b"] {
            world.push(name, "latest", name);
        }
        world.outages.fail_after(crash);
        let outcome = world.deliver(repositories()).await;
        let finished = outcome.is_ok();
        world.outages.recover();
        if !finished {
            world.sent();
            world.deliver(repositories()).await.unwrap();
        }
        assert_eq!(sent_for(&world), ["team/a", "team/b"], "crash before operation {crash}");
        assert_eq!(world.listing(None).await.state, ListingState::Done);
        if finished {
            return;
        }
    }
    panic!("a listing of two repositories takes more than 20 operations");
}
