//! When runs end, and with which numbers.

use tidewatch_core::names::RuleId;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::work::{Priority, RunId};
use tidewatch_store::records::{ListingProgress, ListingState, Run, RunEnd};

use crate::world::{MINUTE, World, acme, hourly, work};

fn nightly() -> RuleId {
    "nightly".parse().unwrap()
}

impl World {
    /// The run that has started, of a rule with the registries `hub` and `quay`.
    async fn started(&self) -> RunId {
        self.clock.advance(MINUTE * 60);
        assert_eq!(self.tick().await.started, 1);
        self.run().await.id
    }

    async fn run(&self) -> Run {
        self.records.runs(&acme(), &nightly(), 1).await.unwrap().remove(0)
    }

    /// Records the listings of the registries, of which `hub` has one repository, and that of this when `is_listed`.
    async fn list(&self, run: &RunId, is_listed: bool, queued: u64) {
        let (hub, web) = ("hub".parse().unwrap(), "team/web".parse().unwrap());
        self.records.put_listings_sent(&acme(), run, &hub, &[web], self.clock.now()).await.unwrap();
        for (registry, repository, selected) in
            [("hub", None, 1), ("quay", None, 0), ("hub", Some("team/web"), queued)]
        {
            if repository.is_some() && !is_listed {
                continue;
            }
            let repository = repository.map(|repository| repository.parse().unwrap());
            let progress = ListingProgress::queued(registry.parse().unwrap(), repository.clone());
            let queued = if repository.is_some() { queued } else { 0 };
            let progress = ListingProgress { state: ListingState::Done, selected, queued, ..progress };
            self.records.put_listing(&acme(), run, &progress, self.clock.now()).await.unwrap();
        }
    }

    /// A minute later, another tick looks at the ends.
    async fn end(&self) -> Option<RunEnd> {
        self.clock.advance(MINUTE);
        self.tick().await;
        self.run().await.end
    }
}

#[tokio::test]
async fn a_run_ends_when_its_listings_are_made_and_nothing_that_it_has_queued_is_left() {
    let world = World::new(hourly()).await;
    let run = world.started().await;
    assert_eq!(world.end().await, None, "its registries are not listed");
    world.list(&run, false, 0).await;
    assert_eq!(world.end().await, None, "its repository is not listed");
    let images = ["1", "2", "3"].map(|content| {
        let work = work(content, Priority::New);
        tidewatch_core::work::Work { run: Some(run.clone()), ..work }
    });
    for image in &images {
        world.records.enqueue(&acme(), image, world.clock.now()).await.unwrap();
    }
    world.list(&run, true, 3).await;
    assert_eq!(world.end().await, None, "its images are not scanned");
    let hub = "hub".parse().unwrap();
    let standing = world.records.run_standing(&acme(), &hub, &run).await.unwrap();
    assert_eq!((standing.of_run, standing.of_run.remaining), (standing.of_rule, 3));

    for image in &images[..2] {
        world.records.complete(&acme(), image).await.unwrap();
    }
    assert_eq!(world.end().await, None, "one is left");
    let left = world.records.pending_work(&acme(), &images[2].image).await.unwrap().unwrap();
    let tomorrow = world.clock.now().checked_add(MINUTE * 60 * 24).unwrap();
    world.records.cool_down(&acme(), &left, tomorrow).await.unwrap();
    let end = world.end().await.expect("one has failed, and is not waited for");
    assert_eq!((end.scanned, end.failed, end.ended_at), (2, 1, world.clock.now()));
    // It stays as it was then.
    world.records.complete(&acme(), &images[2]).await.unwrap();
    assert_eq!(world.end().await, Some(end));
}

#[tokio::test]
async fn a_run_that_finds_nothing_ends_at_once() {
    let world = World::new(hourly()).await;
    let run = world.started().await;
    world.list(&run, true, 0).await;
    let end = world.end().await.unwrap();
    assert_eq!((end.scanned, end.failed), (0, 0));
}
