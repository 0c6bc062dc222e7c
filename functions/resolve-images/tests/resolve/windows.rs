//! Listings of a rule whose window closes.

use serde_json::json;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::Clock as _;
use tidewatch_store::records::{BROKEN_OFF, ListingState, Run, RunTrigger};

use crate::world::{World, acme, reg, repositories, run, tags_of, time};

/// A registry with an image, and a rule whose window is open from two until six.
async fn world() -> World {
    let night = json!({"cron": "0 2 * * *", "until": "06:00"});
    let world = World::with_rule(json!({"schedule": night})).await;
    world.push("team/web", "1", "web");
    world
}

#[tokio::test]
async fn a_listing_asks_the_registry_in_its_window_only() {
    let world = world().await;
    for message in [repositories(), tags_of("team/web")] {
        let repository = message.repository.clone();
        let listing = async || world.listing(repository.as_ref().map(RepositoryName::as_str)).await;
        world
            .records
            .put_listing_queued(&acme(), &run(), &reg(), repository.as_ref(), world.clock.now())
            .await
            .unwrap();
        world.clock.set(time("2026-06-15T06:00:00Z"));
        world.deliver(message.clone()).await.unwrap();
        assert_eq!((world.requests(), world.sent()), (vec![], vec![]), "and it is not tried again");
        let progress = listing().await;
        assert_eq!((progress.state, progress.error.as_deref()), (ListingState::Failed, Some(BROKEN_OFF)));

        world.clock.set(time("2026-06-15T05:59:59Z"));
        world.deliver(message.clone()).await.unwrap();
        let done = listing().await;
        assert_eq!(done.state, ListingState::Done);
        assert!(!world.requests().is_empty());
        world.sent();

        // Delivered again, and too late.
        world.clock.set(time("2026-06-15T06:00:00Z"));
        world.deliver(message.clone()).await.unwrap();
        assert_eq!((world.requests(), world.sent()), (vec![], vec![]));
        assert_eq!(listing().await, done, "it was made");
    }
}

#[tokio::test]
async fn a_run_by_hand_lists_while_the_window_is_closed() {
    let world = world().await;
    world.clock.set(time("2026-06-15T12:00:00Z"));
    let by_hand = Run {
        id: run(),
        trigger: RunTrigger::Manual,
        started_at: world.clock.now(),
        has_cap: false,
        is_capped: false,
        end: None,
    };
    world.records.put_run(&acme(), &by_hand).await.unwrap();
    assert_eq!(world.list("team/web").await.state, ListingState::Done);
    assert_eq!(world.due_tags().await, ["team/web:1"]);
    // Not for ever.
    world.clock.set(time("2026-06-16T06:00:00Z"));
    world.requests();
    world.deliver(tags_of("team/web")).await.unwrap();
    assert_eq!(world.requests(), [""; 0]);
}
