//! Registries whose listings tell more than names: what they tell is not asked for, and decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tidewatch_core::Digest;
use tidewatch_core::Timestamp;
use tidewatch_core::config::RegistryConfig;
use tidewatch_core::image::{ManifestReference, Platform};
use tidewatch_core::names::{RepositoryName, Tag};
use tidewatch_core::ports::registry::{
    BlobStream, ListPage, ListedTag, RawManifest, Registries, Registry, RegistryError, TagState,
};
use tidewatch_core::rule::{ImageTimes, LeftOut};
use tidewatch_testkit::image::BuiltImage;

use crate::world::{World, time};

/// What a listing tells of each tag; of others, names only.
type Told = BTreeMap<String, ListedTag>;

struct Telling {
    registries: Arc<dyn Registries>,
    told: Told,
}

struct TellingRegistry {
    real: Arc<dyn Registry>,
    told: Told,
}

#[async_trait]
impl Registries for Telling {
    async fn open(&self, registry: &RegistryConfig) -> Result<Arc<dyn Registry>, RegistryError> {
        let real = self.registries.open(registry).await?;
        Ok(Arc::new(TellingRegistry { real, told: self.told.clone() }))
    }
}

#[async_trait]
impl Registry for TellingRegistry {
    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        self.real.repositories(cursor).await
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        let page = self.real.tags(repository, cursor).await?;
        let told = |listed: ListedTag| self.told.get(listed.tag.as_str()).cloned().unwrap_or(listed);
        Ok(ListPage { entries: page.entries.into_iter().map(told).collect(), next: page.next })
    }

    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, RegistryError> {
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

/// A repository `team/web` with images under these tags, of which a listing tells the digest and when they were pushed.
async fn telling(rule: Value, pushed: &[(&str, &str)], more: impl Fn(ListedTag) -> ListedTag) -> World {
    let world = World::with_rule(rule).await;
    let told = pushed.iter().map(|(tag, pushed_at)| {
        let image: BuiltImage = world.push("team/web", tag, tag);
        let times = ImageTimes { pushed_at: Some(time(pushed_at)), ..ImageTimes::default() };
        let listed =
            ListedTag { digest: Some(image.digest), times, ..ListedTag::named(tag.parse().unwrap()) };
        ((*tag).to_owned(), more(listed))
    });
    let told: Told = told.collect();
    world.with_registries(|registries| Arc::new(Telling { registries, told }))
}

const JUNE: &[(&str, &str)] = &[("a", "2026-06-01T00:00:00Z"), ("b", "2026-06-10T00:00:00Z")];

#[tokio::test]
async fn nothing_is_asked_that_a_listing_has_told() {
    let world = telling(json!({"pushed_within": "10d"}), JUNE, |listed| listed).await;
    let progress = world.list("team/web").await;
    assert_eq!((progress.selected, progress.queued), (1, 1));
    assert_eq!(progress.left_out, [(LeftOut::TooOld, 1)].into());
    assert_eq!(world.due_tags().await, ["team/web:b"]);
    let requests = world.requests();
    let of_manifests = requests.iter().filter(|request| request.contains("/manifests/")).count();
    assert!(!requests.iter().any(|request| request.starts_with("HEAD")), "{requests:?}");
    assert_eq!(of_manifests, 1, "only of the image that is chosen: {requests:?}");

    world.scan_due().await;
    world.requests();
    assert_eq!(world.list("team/web").await.queued, 0);
    assert_eq!(world.requests().len(), 1, "an unchanged repository costs its list");
}

#[tokio::test]
async fn a_tag_that_was_never_seen_counts_as_seen_when_it_was_pushed() {
    let world = telling(json!({}), JUNE, |listed| listed).await;
    world.list("team/web").await;
    let seen: Vec<(String, Timestamp)> =
        world.tags("team/web").await.into_iter().map(|tag| (tag.tag.to_string(), tag.seen_at)).collect();
    let expected: Vec<(String, Timestamp)> =
        JUNE.iter().map(|(tag, pushed)| ((*tag).to_owned(), time(pushed))).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_tag_that_was_pushed_again_counts_as_seen_then_although_it_points_to_the_same() {
    let world = World::with_rule(json!({})).await;
    let image = world.push("team/web", "a", "a");
    let told = |pushed: &str| -> Told {
        let times = ImageTimes { pushed_at: Some(time(pushed)), ..ImageTimes::default() };
        let listed =
            ListedTag { digest: Some(image.digest), times, ..ListedTag::named("a".parse().unwrap()) };
        [("a".to_owned(), listed)].into()
    };
    let first = told("2026-06-01T00:00:00Z");
    let world = world.with_registries(|registries| Arc::new(Telling { registries, told: first }));
    world.list("team/web").await;
    let again = told("2026-06-12T00:00:00Z");
    let world = world.with_registries(|registries| Arc::new(Telling { registries, told: again }));
    world.list("team/web").await;
    assert_eq!(world.tags("team/web").await[0].seen_at, time("2026-06-12T00:00:00Z"));
}

#[tokio::test]
async fn a_push_that_is_told_to_come_from_the_future_counts_as_seen_now() {
    let world = telling(json!({}), &[("a", "2030-01-01T00:00:00Z")], |listed| listed).await;
    world.list("team/web").await;
    assert_eq!(world.tags("team/web").await[0].seen_at, time("2026-06-15T00:00:00Z"));
}

#[tokio::test]
async fn the_newest_are_those_that_were_pushed_last() {
    let pushed =
        [("1", "2026-06-03T00:00:00Z"), ("2", "2026-06-09T00:00:00Z"), ("3", "2026-06-05T00:00:00Z")];
    let world = telling(json!({"newest": 2}), &pushed, |listed| listed).await;
    world.list("team/web").await;
    assert_eq!(world.due_tags().await, ["team/web:2", "team/web:3"]);
}

#[tokio::test]
async fn what_cannot_be_pulled_is_left_out_and_never_asked_for() {
    for state in [TagState::Archived, TagState::Locked, TagState::Elsewhere, TagState::NotAnImage] {
        let world = telling(json!({}), JUNE, |listed| match listed.tag.as_str() {
            "a" => ListedTag { state, ..listed },
            _ => listed,
        })
        .await;
        let progress = world.list("team/web").await;
        assert_eq!(progress.left_out, [(LeftOut::Unavailable, 1)].into(), "{state:?}");
        assert_eq!(world.due_tags().await, ["team/web:b"], "{state:?}");
    }
}

#[tokio::test]
async fn a_tag_without_a_wanted_platform_is_skipped_without_its_manifest() {
    let windows: Vec<Platform> = vec!["windows/amd64".parse().unwrap()];
    let world =
        telling(json!({}), &JUNE[..1], |listed| ListedTag { platforms: windows.clone(), ..listed }).await;
    let progress = world.list("team/web").await;
    assert_eq!((progress.selected, progress.skipped, progress.queued), (1, 1, 0));
    let tag = world.tags("team/web").await.remove(0);
    let because = "it has none of the configured platforms, but: windows/amd64";
    assert_eq!(tag.skipped.as_deref(), Some(because));
    assert_eq!(world.requests().len(), 1, "its list");
}

#[tokio::test]
async fn nobody_uses_an_image_that_was_pulled_long_ago_by_the_word_of_the_listing() {
    let pulled = |listed: ListedTag| {
        let pulled_at = match listed.tag.as_str() {
            "a" => Some(time("2026-06-14T00:00:00Z")),
            _ => None,
        };
        ListedTag { times: ImageTimes { pulled_at, ..listed.times }, ..listed }
    };
    let world = telling(json!({"unused": {"after": "4d", "then": "stop"}}), JUNE, pulled).await;
    let progress = world.list("team/web").await;
    assert_eq!(progress.left_out, [(LeftOut::Unused, 1)].into());
    assert_eq!(world.due_tags().await, ["team/web:a"]);
}
