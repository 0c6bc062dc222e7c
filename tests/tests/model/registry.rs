//! Registries in memory: every image and index lies in every repository, and tags point to them as the test says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tidewatch_core::Digest;
use tidewatch_core::config::RegistryConfig;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::names::{RegistryId, RepositoryName, Tag};
use tidewatch_core::ports::registry::{BlobStream, ListPage, ListedTag, RawManifest, RegistryError};
use tidewatch_core::ports::{Registries, Registry};

use crate::images::{BUILT, BUILT_PUSHES, REPOSITORIES};

/// What `latest` points to in each repository that has it, by the number of the repository.
type Latest = BTreeMap<usize, Digest>;

/// All registries.
#[derive(Clone, Default)]
pub(crate) struct Held(Arc<Mutex<Latest>>);

impl Held {
    pub(crate) fn set(&self, repository: usize, latest: Option<Digest>) {
        match latest {
            Some(digest) => drop(self.lock().insert(repository, digest)),
            None => drop(self.lock().remove(&repository)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Latest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Registries for Held {
    async fn open(&self, registry: &RegistryConfig) -> Result<Arc<dyn Registry>, RegistryError> {
        Ok(Arc::new(HeldRegistry { id: registry.id.clone(), held: self.clone() }))
    }
}

struct HeldRegistry {
    id: RegistryId,
    held: Held,
}

impl HeldRegistry {
    fn latest(&self, repository: &RepositoryName) -> Option<Digest> {
        let is_meant = |place: &(&str, &str)| *place == (self.id.as_str(), repository.as_str());
        let number = REPOSITORIES.iter().position(is_meant)?;
        self.held.lock().get(&number).copied()
    }

    fn not_found(&self, what: String) -> RegistryError {
        RegistryError::NotFound { registry: self.id.clone(), what }
    }
}

#[async_trait]
impl Registry for HeldRegistry {
    async fn repositories(&self, _cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        let of_registry = REPOSITORIES.iter().filter(|(registry, _)| *registry == self.id.as_str());
        let entries = of_registry.map(|(_, repository)| repository.parse().unwrap()).collect();
        Ok(ListPage { entries, next: None })
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        _cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        let entries = self.latest(repository).map(|_| ListedTag::named(Tag::latest()));
        Ok(ListPage { entries: entries.into_iter().collect(), next: None })
    }

    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, RegistryError> {
        let found = self.latest(repository).filter(|_| *tag == Tag::latest());
        found.ok_or_else(|| self.not_found(format!("{repository}:{tag}")))
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &ManifestReference,
    ) -> Result<RawManifest, RegistryError> {
        let digest = match reference {
            ManifestReference::Digest(digest) => *digest,
            ManifestReference::Tag(tag) => self.resolve(repository, tag).await?,
        };
        let all = BUILT.iter().chain(&*BUILT_PUSHES);
        let manifest = all.clone().find_map(|image| image.manifests.get(&digest));
        let manifest = manifest.ok_or_else(|| self.not_found(digest.to_string()))?;
        Ok(RawManifest { digest, media_type: manifest.media_type.clone(), bytes: manifest.bytes.clone() })
    }

    async fn blob(&self, _repository: &RepositoryName, digest: &Digest) -> Result<BlobStream, RegistryError> {
        let blob = BUILT.iter().find_map(|image| image.blobs.get(digest));
        let blob = blob.ok_or_else(|| self.not_found(digest.to_string()))?;
        Ok(Box::pin(futures::stream::iter([Ok(blob.clone())])))
    }
}
