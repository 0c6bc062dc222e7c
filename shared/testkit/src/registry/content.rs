//! What the registry holds, and how often each thing was given.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use tidewatch_core::Digest;

/// The repositories by name.
#[derive(Default)]
pub(super) struct Content {
    pub(super) repositories: BTreeMap<String, Repository>,
    pub(super) blob_pulls: HashMap<Digest, usize>,
    pub(super) manifest_pulls: HashMap<Digest, usize>,
}

/// One repository.
#[derive(Default)]
pub(super) struct Repository {
    pub(super) tags: BTreeMap<String, Digest>,
    pub(super) manifests: HashMap<Digest, Manifest>,
    pub(super) blobs: HashMap<Digest, Bytes>,
}

/// A manifest with the media type that it is served as; an empty one is not named.
#[derive(Clone)]
pub(super) struct Manifest {
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
}

impl Content {
    /// The repository called `name`, new when there was none.
    pub(super) fn repository_mut(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }
}

impl Repository {
    /// The manifest that a tag or digest names.
    pub(super) fn manifest(&self, reference: &str) -> Option<(Digest, &Manifest)> {
        let digest = self.tags.get(reference).copied().or_else(|| reference.parse().ok())?;
        Some((digest, self.manifests.get(&digest)?))
    }
}
