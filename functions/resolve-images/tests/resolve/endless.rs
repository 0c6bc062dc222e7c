//! Registries whose listings do not end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tidewatch_core::Digest;
use tidewatch_core::config::RegistryConfig;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::names::{RepositoryName, Tag};
use tidewatch_core::ports::registry::{
    BlobStream, ListPage, ListedTag, RawManifest, Registries, Registry, RegistryError,
};
use tidewatch_store::records::ListingState;

use crate::world::{World, repositories, tags_of};

/// A registry that leads from each page of a listing to another one. What it holds is in `real`.
struct Endless {
    real: Arc<dyn Registry>,
    pages: Arc<AtomicUsize>,
    /// After so many pages it begins again with the first; never when there is none.
    circle: Option<usize>,
}

impl Endless {
    fn next(&self) -> String {
        let number = self.pages.fetch_add(1, Ordering::Relaxed);
        let next = self.circle.map_or(number, |pages| number % pages);
        format!("page {next}")
    }

    fn empty<T>(&self) -> ListPage<T> {
        ListPage { entries: Vec::new(), next: Some(self.next()) }
    }
}

/// The first page has all entries, and no page is the last.
#[async_trait]
impl Registry for Endless {
    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        match cursor {
            None => Ok(ListPage { next: Some(self.next()), ..self.real.repositories(None).await? }),
            Some(_) => Ok(self.empty()),
        }
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        match cursor {
            None => Ok(ListPage { next: Some(self.next()), ..self.real.tags(repository, None).await? }),
            Some(_) => Ok(self.empty()),
        }
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

/// Opens the real registries, made endless.
struct EndlessRegistries {
    real: Arc<dyn Registries>,
    pages: Arc<AtomicUsize>,
    circle: Option<usize>,
}

#[async_trait]
impl Registries for EndlessRegistries {
    async fn open(&self, registry: &RegistryConfig) -> Result<Arc<dyn Registry>, RegistryError> {
        let real = self.real.open(registry).await?;
        Ok(Arc::new(Endless { real, pages: Arc::clone(&self.pages), circle: self.circle }))
    }
}

/// Lists the repositories, then the tags of one, both without an end; gives how many pages were asked for and why each
/// failed.
async fn list_without_end(circle: Option<usize>) -> (usize, Vec<String>) {
    let pages = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pages);
    let world = World::new()
        .await
        .with_registries(|real| Arc::new(EndlessRegistries { real, pages: counted, circle }));
    world.push("team/web", "latest", "web");
    world.deliver(repositories()).await.unwrap();
    assert_eq!(
        world.sent().len(),
        1,
        "the repository that was found is sent for, and nothing is tried again"
    );
    world.deliver(tags_of("team/web")).await.unwrap();
    assert_eq!(world.sent(), []);
    assert_eq!(world.due_tags().await, ["team/web:latest"], "what was queued stays");
    let mut reasons = Vec::new();
    for repository in [None, Some("team/web")] {
        let progress = world.listing(repository).await;
        assert_eq!((progress.state, progress.listed, progress.selected), (ListingState::Failed, 1, 1));
        reasons.extend(progress.error);
    }
    (pages.load(Ordering::Relaxed), reasons)
}

#[tokio::test]
async fn a_listing_whose_pages_lead_in_a_circle_fails_and_keeps_what_was_queued() {
    let (pages, reasons) = list_without_end(Some(2)).await;
    assert_eq!((pages, reasons), (6, vec!["its pages lead in a circle".to_owned(); 2]));
}

#[tokio::test]
async fn a_listing_that_always_has_a_next_page_fails_and_keeps_what_was_queued() {
    let (pages, reasons) = list_without_end(None).await;
    assert_eq!((pages, reasons), (8_000, vec!["it has more than 4000 pages".to_owned(); 2]));
}
