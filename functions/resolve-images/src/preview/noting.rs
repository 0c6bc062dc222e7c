//! A registry that counts what it is asked, and keeps which layers the images have whose manifests went by.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tidewatch_core::Digest;
use tidewatch_core::cost::Requests;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::manifest::{Classified, LayerDescriptor, classify};
use tidewatch_core::names::{RepositoryName, Tag};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{
    BlobStream, ListPage, ListedTag, ListingTells, RawManifest, RegistryError,
};

/// What was asked of a registry.
pub(super) struct Noting<'a> {
    registry: &'a dyn Registry,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    requests: Requests,
    layers: HashMap<Digest, Vec<LayerDescriptor>>,
}

impl<'a> Noting<'a> {
    pub(super) fn new(registry: &'a dyn Registry) -> Self {
        Self { registry, noted: Mutex::default() }
    }

    /// The requests so far. One that the client tries again, or repeats with an answer to a challenge, counts once.
    pub(super) fn requests(&self) -> Requests {
        self.noted().requests
    }

    /// The layers of an image whose manifest went by.
    pub(super) fn layers(&self, image: &Digest) -> Option<Vec<LayerDescriptor>> {
        self.noted().layers.get(image).cloned()
    }

    fn count(&self, requests: Requests) {
        self.noted().requests += requests;
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const PAGE: Requests = Requests { pages: 1, heads: 0, manifests: 0, blobs: 0 };
const HEAD: Requests = Requests { pages: 0, heads: 1, manifests: 0, blobs: 0 };
const MANIFEST: Requests = Requests { pages: 0, heads: 0, manifests: 1, blobs: 0 };
const BLOB: Requests = Requests { pages: 0, heads: 0, manifests: 0, blobs: 1 };

#[async_trait]
impl Registry for Noting<'_> {
    fn tells(&self) -> ListingTells {
        self.registry.tells()
    }

    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        self.count(PAGE);
        self.registry.repositories(cursor).await
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        self.count(PAGE);
        self.registry.tags(repository, cursor).await
    }

    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, RegistryError> {
        self.count(HEAD);
        self.registry.resolve(repository, tag).await
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &ManifestReference,
    ) -> Result<RawManifest, RegistryError> {
        self.count(MANIFEST);
        let manifest = self.registry.manifest(repository, reference).await?;
        if let Ok(Classified::Image { layers, .. }) = classify(&manifest) {
            self.noted().layers.insert(manifest.digest, layers);
        }
        Ok(manifest)
    }

    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<BlobStream, RegistryError> {
        self.count(BLOB);
        self.registry.blob(repository, digest).await
    }
}
