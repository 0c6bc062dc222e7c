//! A registry that lets no request of one kind through before it is told to, and a sleeper that sleeps until it is
//! woken: what a test needs to stop a worker at a certain place.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidewatch_core::Digest;
use tidewatch_core::config::RegistryConfig;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::names::{RepositoryName, Tag};
use tidewatch_core::ports::registry::{BlobStream, ListPage, ListedTag, RawManifest, RegistryError};
use tidewatch_core::ports::{Registries, Registry, Sleeper};
use tokio::sync::{Semaphore, watch};

/// What stands behind a gate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    Manifests,
    /// This blob.
    Blob(Digest),
}

/// Stops requests until it is opened.
pub(crate) struct Gate {
    behind: Behind,
    arrived: Semaphore,
    open: Semaphore,
}

impl Gate {
    pub(crate) fn new(behind: Behind) -> Arc<Self> {
        Arc::new(Self { behind, arrived: Semaphore::new(0), open: Semaphore::new(0) })
    }

    /// Waits until somebody stands before the gate.
    pub(crate) async fn arrival(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    /// Lets everybody through.
    pub(crate) fn open(&self) {
        self.open.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    async fn pass(&self, what: Behind) {
        if what == self.behind {
            self.arrived.add_permits(1);
            let _passed = self.open.acquire().await.unwrap();
        }
    }
}

/// Registries behind a gate.
pub(crate) struct GatedRegistries {
    pub(crate) registries: Arc<dyn Registries>,
    pub(crate) gate: Arc<Gate>,
}

#[async_trait]
impl Registries for GatedRegistries {
    async fn open(&self, config: &RegistryConfig) -> Result<Arc<dyn Registry>, RegistryError> {
        let registry = self.registries.open(config).await?;
        Ok(Arc::new(GatedRegistry { registry, gate: Arc::clone(&self.gate) }))
    }
}

struct GatedRegistry {
    registry: Arc<dyn Registry>,
    gate: Arc<Gate>,
}

#[async_trait]
impl Registry for GatedRegistry {
    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        self.registry.repositories(cursor).await
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        self.registry.tags(repository, cursor).await
    }

    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, RegistryError> {
        self.registry.resolve(repository, tag).await
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &ManifestReference,
    ) -> Result<RawManifest, RegistryError> {
        self.gate.pass(Behind::Manifests).await;
        self.registry.manifest(repository, reference).await
    }

    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<BlobStream, RegistryError> {
        self.gate.pass(Behind::Blob(*digest)).await;
        self.registry.blob(repository, digest).await
    }
}

/// A sleeper whose sleepers sleep until the test wakes them.
pub(crate) struct DeepSleeper {
    /// How often somebody went to sleep.
    slept: watch::Sender<usize>,
    /// How often all were woken.
    woken: watch::Sender<usize>,
}

impl DeepSleeper {
    pub(crate) fn new() -> Self {
        Self { slept: watch::Sender::new(0), woken: watch::Sender::new(0) }
    }

    /// Wakes everybody who sleeps, and waits until somebody has gone to sleep again.
    pub(crate) async fn wake_until_asleep(&self) {
        let mut slept = self.slept.subscribe();
        slept.borrow_and_update();
        self.wake();
        slept.changed().await.unwrap();
    }

    /// Lets everybody who was woken do what there is to do without a registry.
    pub(crate) async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    /// Wakes everybody who sleeps.
    pub(crate) fn wake(&self) {
        self.woken.send_modify(|woken| *woken += 1);
    }
}

#[async_trait]
impl Sleeper for DeepSleeper {
    async fn sleep(&self, _duration: Duration) {
        let mut woken = self.woken.subscribe();
        self.slept.send_modify(|slept| *slept += 1);
        woken.changed().await.unwrap();
    }
}
