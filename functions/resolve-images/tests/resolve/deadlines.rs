//! Listings that are longer than the time of the function.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tidewatch_core::config::RegistryConfig;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::names::{RepositoryName, Tag};
use tidewatch_core::ports::Clock as _;
use tidewatch_core::ports::registry::{
    BlobStream, ListPage, ListedTag, RawManifest, Registries, Registry, RegistryError,
};
use tidewatch_core::work::ListingMessage;
use tidewatch_core::{Digest, Timestamp};
use tidewatch_store::records::{ListingState, Records, TagRecord, TaggedImage};
use tidewatch_testkit::ports::SettableClock;

use crate::world::{PAUSE, World, acme, reg, repositories, tags_of};

/// The time of a function, of which it leaves the last minute.
const TIME: Duration = Duration::from_secs(900);

/// A registry that takes its time, and that gives a wrong answer about the tag `wrong`.
#[derive(Clone)]
struct Slow {
    registries: Arc<dyn Registries>,
    clock: Arc<SettableClock>,
    page: Duration,
    tag: Duration,
    /// Whether it has forgotten every place in a listing that it gave.
    forgetful: bool,
    /// What a hint records before the next tag is resolved.
    meanwhile: Arc<Mutex<Option<TagRecord>>>,
    records: Records,
}

struct SlowRegistry {
    real: Arc<dyn Registry>,
    slow: Slow,
}

#[async_trait]
impl Registries for Slow {
    async fn open(&self, registry: &RegistryConfig) -> Result<Arc<dyn Registry>, RegistryError> {
        let real = self.registries.open(registry).await?;
        Ok(Arc::new(SlowRegistry { real, slow: self.clone() }))
    }
}

#[async_trait]
impl Registry for SlowRegistry {
    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        self.slow.clock.advance(self.slow.page);
        self.real.repositories(cursor).await
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        self.slow.clock.advance(self.slow.page);
        if cursor.is_some() && self.slow.forgetful {
            return Err(RegistryError::NotFound { registry: reg(), what: format!("tags of {repository}") });
        }
        self.real.tags(repository, cursor).await
    }

    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, RegistryError> {
        self.slow.clock.advance(self.slow.tag);
        let meanwhile = self.slow.meanwhile.lock().unwrap().take();
        if let Some(record) = meanwhile {
            self.slow.records.put_tag(&acme(), &reg(), repository, &record).await.unwrap();
        }
        if tag.as_str() == "wrong" {
            let (what, reason) = (format!("tag {tag}"), "no digest".to_owned());
            return Err(RegistryError::Invalid { registry: reg(), what, reason });
        }
        self.real.resolve(repository, tag).await
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &ManifestReference,
    ) -> Result<RawManifest, RegistryError> {
        self.real.manifest(repository, reference).await
    }

    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<BlobStream, RegistryError> {
        self.real.blob(repository, digest).await
    }
}

/// A registry that takes so many seconds for a page and for a tag.
async fn slow(page: u64, tag: u64, forgetful: bool) -> World {
    slow_with_hint(page, tag, forgetful, Arc::default()).await
}

/// The same, and a hint that comes while it is listed.
async fn slow_with_hint(
    page: u64,
    tag: u64,
    forgetful: bool,
    meanwhile: Arc<Mutex<Option<TagRecord>>>,
) -> World {
    slow_world(World::new().await, page, tag, forgetful, meanwhile)
}

/// One that takes its time, for a rule with these fields.
pub(crate) async fn slow_with_rule(rule: serde_json::Value, page: u64, tag: u64) -> World {
    slow_world(World::with_rule(rule).await, page, tag, false, Arc::default())
}

fn slow_world(
    world: World,
    page: u64,
    tag: u64,
    forgetful: bool,
    meanwhile: Arc<Mutex<Option<TagRecord>>>,
) -> World {
    let records = world.records.clone();
    let clock = Arc::clone(&world.clock);
    let (page, tag) = (Duration::from_secs(page), Duration::from_secs(tag));
    world.with_registries(|registries| {
        Arc::new(Slow { registries, clock, page, tag, forgetful, meanwhile, records })
    })
}

/// Delivers a message to a function with its full time. Gives what it sends, with the delay.
pub(crate) async fn deliver(world: &World, message: ListingMessage) -> Vec<(ListingMessage, Duration)> {
    let end = world.clock.now().checked_add(TIME).unwrap();
    world.deliver_until(message, end).await.unwrap();
    world.sent()
}

/// Delivers `message`, and each that goes on with it. Gives their number, and what was sent besides.
pub(crate) async fn deliver_all_parts(
    world: &World,
    message: ListingMessage,
) -> (usize, Vec<ListingMessage>) {
    let (mut parts, mut others, mut next) = (0, Vec::new(), Some(message));
    while let Some(message) = next.take() {
        parts += 1;
        for (sent, delay) in deliver(world, message.clone()).await {
            if sent.repository == message.repository && sent.position.is_some() {
                assert_eq!((sent.failures, delay), (0, Duration::ZERO), "going on is no failure");
                next = Some(sent);
            } else {
                others.push(sent);
            }
        }
    }
    (parts, others)
}

fn push_tags(world: &World, count: usize) {
    for number in 0..count {
        world.push("team/web", &format!("v{number:02}"), &format!("web {number}"));
    }
}

#[tokio::test]
async fn a_long_listing_goes_on_where_it_was_and_asks_for_no_tag_twice() {
    // Of 840 s: 5 s for a page and 100 s for each tag.
    let world = slow(5, 100, false).await;
    world.registry.set_page_size(12);
    push_tags(&world, 30);
    let (parts, others) = deliver_all_parts(&world, tags_of("team/web")).await;

    assert!(parts > 2 && others.is_empty(), "{parts} {others:?}");
    let progress = world.listing(Some("team/web")).await;
    assert_eq!((progress.state, progress.error), (ListingState::Done, None));
    assert_eq!((progress.listed, progress.selected, progress.queued), (30, 30, 30));
    assert_eq!((world.tags("team/web").await.len(), world.due().await.len()), (30, 30));
    let heads: Vec<String> = world.requests().into_iter().filter(|it| it.starts_with("HEAD")).collect();
    assert_eq!((heads.len(), heads.iter().collect::<BTreeSet<_>>().len()), (30, 30));
}

#[tokio::test]
async fn a_long_listing_of_repositories_sends_for_each_once() {
    let world = slow(300, 0, false).await;
    world.registry.set_page_size(2);
    for number in 0..9 {
        world.push(&format!("team/app-{number}"), "latest", "app");
    }
    let (parts, mut others) = deliver_all_parts(&world, repositories()).await;
    assert_eq!(parts, 3);
    others.sort_by(|one, other| one.repository.cmp(&other.repository));
    let expected: Vec<_> = (0..9).map(|number| tags_of(&format!("team/app-{number}"))).collect();
    assert_eq!(others, expected);
    let progress = world.listing(None).await;
    assert_eq!((progress.state, progress.listed, progress.selected), (ListingState::Done, 9, 9));
}

#[tokio::test]
async fn a_registry_that_gives_nothing_in_time_fails_the_listing_in_the_end() {
    let world = slow(1_000, 0, false).await;
    push_tags(&world, 1);
    let (mut message, mut pauses) = (tags_of("team/web"), Vec::new());
    while let Some((again, pause)) = deliver(&world, message.clone()).await.pop() {
        assert_eq!(again, ListingMessage { failures: message.failures + 1, ..message });
        (message, pauses) = (again, [pauses, vec![pause]].concat());
    }
    assert_eq!(pauses, [PAUSE, PAUSE * 2, PAUSE * 4, PAUSE * 8]);
    let progress = world.listing(Some("team/web")).await;
    assert_eq!(progress.state, ListingState::Failed);
    assert_eq!(progress.error.unwrap(), "failed to list anything before the time of the function ended");
}

#[tokio::test]
async fn a_wrong_answer_in_an_earlier_part_fails_the_listing_at_its_end_and_it_begins_anew() {
    let world = slow(5, 100, false).await;
    push_tags(&world, 20);
    world.push("team/web", "a", "web");
    world.push("team/web", "wrong", "wrong");
    for number in 0..20 {
        world.push("team/web", &format!("x{number:02}"), &format!("web {number}"));
    }
    world.registry.set_page_size(10);
    let (parts, others) = deliver_all_parts(&world, tags_of("team/web")).await;
    assert!(parts > 4, "the wrong answer is not in the last part");
    assert_eq!(others, [ListingMessage { failures: 1, ..tags_of("team/web") }]);
    assert_eq!(world.tags("team/web").await.len(), 41, "all the others are recorded");
}

#[tokio::test]
async fn a_listing_whose_place_the_registry_has_forgotten_begins_anew() {
    let world = slow(5, 840, true).await;
    world.registry.set_page_size(1);
    push_tags(&world, 3);
    let (rest, _) = deliver(&world, tags_of("team/web")).await.pop().unwrap();
    assert_eq!(rest.position.as_ref().map(|position| position.listed), Some(1));
    let again = ListingMessage { failures: 1, ..tags_of("team/web") };
    assert_eq!(deliver(&world, rest).await, [(again, PAUSE)]);
}

/// The tags of `team/web`, each with when it was seen, in seconds after `begun`.
async fn seen_after(world: &World, begun: Timestamp) -> Vec<(String, i64)> {
    let tags = world.tags("team/web").await.into_iter();
    tags.map(|record| (record.tag.to_string(), record.seen_at.duration_since(begun).as_secs())).collect()
}

#[tokio::test]
async fn tags_that_have_moved_are_seen_when_their_page_is_read() {
    let world = slow(60, 0, false).await;
    world.registry.set_page_size(1);
    push_tags(&world, 2);
    let begun = world.clock.now();
    world.list("team/web").await;
    let together = [("v00".to_owned(), 0), ("v01".to_owned(), 0)];
    assert_eq!(seen_after(&world, begun).await, together, "the first listing sees all at the same time");

    for tag in ["v00", "v01", "v02"] {
        world.push("team/web", tag, "moved");
    }
    let begun = world.clock.now();
    world.list("team/web").await;
    let each = [("v00".to_owned(), 60), ("v01".to_owned(), 120), ("v02".to_owned(), 180)];
    assert_eq!(seen_after(&world, begun).await, each);
}

#[tokio::test]
async fn a_tag_whose_push_is_resolved_while_it_is_listed_keeps_the_time_of_the_push() {
    let hint = Arc::default();
    let world = slow_with_hint(60, 0, false, Arc::clone(&hint)).await;
    world.registry.set_page_size(1);
    push_tags(&world, 2);
    world.list("team/web").await;
    world.scan_due().await;

    let begun = world.clock.now();
    let known = world.tags("team/web").await.remove(1);
    let image = world.push("team/web", "v01", "pushed");
    let images = vec![TaggedImage { digest: image.digest, ..known.images[0].clone() }];
    let seen_at = begun + Duration::from_secs(30);
    *hint.lock().unwrap() = Some(TagRecord { digest: image.digest, images, seen_at, ..known });
    world.list("team/web").await;
    assert_eq!(seen_after(&world, begun).await[1], ("v01".to_owned(), 30));
    let due: Vec<_> = world.due().await.into_iter().map(|work| (work.image.digest, work.seen_at)).collect();
    assert_eq!(due, [(image.digest, seen_at)]);
}
