//! Listings of a run that were sent for together.

use std::sync::Arc;

use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::table::{Condition, Key, Query, Update};
use tidewatch_core::work::RunId;
use tidewatch_store::counted::{CountedTable, StoreCounts};
use tidewatch_store::records::{ListingProgress, ListingState};

use crate::world::{World, acme, at, hub};

on_every_table!(
    what_was_sent_for_is_queued_until_it_has_ended,
    what_was_sent_for_twice_is_one_listing,
    what_cannot_be_read_of_what_was_sent_for_holds_up_nobody,
    repositories_that_are_known_are_not_written_again,
);

fn run() -> RunId {
    RunId { rule: "nightly".parse().unwrap(), run: "000001".to_owned() }
}

fn names(names: &[&str]) -> Vec<RepositoryName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

impl World {
    async fn send_for(&self, repositories: &[&str]) {
        let repositories = names(repositories);
        self.records.put_listings_sent(&acme(), &run(), &hub(), &repositories, at(1)).await.unwrap();
    }

    async fn end(&self, repository: Option<&str>) {
        let repository = repository.map(|name| name.parse().unwrap());
        let queued = ListingProgress::queued(hub(), repository);
        let ended = ListingProgress { state: ListingState::Done, ..queued };
        self.records.put_listing(&acme(), &run(), &ended, at(2)).await.unwrap();
    }

    /// Which listings there are, and whether each has ended.
    async fn listings(&self) -> Vec<(String, bool)> {
        let listings = self.records.listings(&acme(), &run()).await.unwrap();
        let of = |listing: &ListingProgress| {
            let name = listing.repository.as_ref().map_or("", RepositoryName::as_str);
            (name.to_owned(), listing.state == ListingState::Done)
        };
        listings.iter().map(of).collect()
    }

    async fn is_at_work(&self) -> bool {
        self.records.has_queued_listings(&acme(), &run()).await.unwrap()
    }
}

fn expected(listings: &[(&str, bool)]) -> Vec<(String, bool)> {
    listings.iter().map(|(name, ended)| ((*name).to_owned(), *ended)).collect()
}

async fn what_was_sent_for_is_queued_until_it_has_ended(world: World) {
    assert!(!world.is_at_work().await);
    world.records.put_listing_queued(&acme(), &run(), &hub(), None, at(1)).await.unwrap();
    assert!(world.is_at_work().await);
    world.send_for(&["team/api", "team/web"]).await;
    world.send_for(&[]).await;
    world.end(None).await;
    world.end(Some("team/web")).await;
    assert_eq!(world.listings().await, expected(&[("", true), ("team/api", false), ("team/web", true)]));
    assert!(world.is_at_work().await, "one of two has ended");
    world.end(Some("team/api")).await;
    assert_eq!(world.listings().await, expected(&[("", true), ("team/api", true), ("team/web", true)]));
    assert!(!world.is_at_work().await);
}

async fn what_was_sent_for_twice_is_one_listing(world: World) {
    world.send_for(&["team/api", "team/web"]).await;
    world.send_for(&["team/api", "team/web"]).await;
    // Other pages, after a registry has changed between two tries.
    world.send_for(&["team/web", "team/worker"]).await;
    let queued = [("team/api", false), ("team/web", false), ("team/worker", false)];
    assert_eq!(world.listings().await, expected(&queued));
    let items = world.table.query(Query::prefix("RUN#acme#nightly#000001", "SENT#")).await.unwrap().items;
    assert_eq!(items.len(), 2);
}

async fn what_cannot_be_read_of_what_was_sent_for_holds_up_nobody(world: World) {
    let partition = "RUN#acme#nightly#000001";
    let broken = Update::default().set("v", 1).set("data", "{");
    world.table.update(&Key::new(partition, "SENT#hub#00"), broken, Condition::Always).await.unwrap();
    assert!(!world.is_at_work().await);
    assert!(world.records.listings(&acme(), &run()).await.is_err(), "but whoever looks at the run is told");
}

async fn repositories_that_are_known_are_not_written_again(world: World) {
    let counts = Arc::new(StoreCounts::default());
    let counted = CountedTable::new(Arc::clone(&world.table), Arc::clone(&counts));
    let counting = World::new(Arc::new(counted));
    let (first, more) = (names(&["team/api", "team/web"]), names(&["team/api", "team/web", "team/worker"]));
    for (repositories, written) in [(&first, 2), (&first, 2), (&more, 3)] {
        counting.records.put_repositories(&acme(), &hub(), repositories).await.unwrap();
        let puts = counts.read().into_iter().find(|(operation, ..)| *operation == "put");
        assert_eq!(puts.map(|(_, _, count)| count.items), Some(written));
    }
    let known = world.records.repositories(&acme()).await.unwrap();
    assert_eq!(known.into_iter().map(|(_, repository)| repository).collect::<Vec<_>>(), more);
}
