//! A registry in the process of the test: the reading half of the distribution specification over HTTP, with real
//! authentication, paging and ranges, and with faults to order. What a scanner has no business asking is answered with
//! 500 and recorded as a violation.
//!
//! Specification: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

mod access;
mod content;
mod fault;
mod listing;
mod serve;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tidewatch_core::Digest;
use tidewatch_core::config::{RegistryConfig, RegistryKind};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub use access::Access;
pub use fault::Fault;

use access::Tokens;
use content::Content;
use fault::Faults;

/// A request that the registry got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    /// `GET`, `HEAD`.
    pub method: String,
    /// `/v2/team/web/tags/list`.
    pub path: String,
    /// What stands behind `?`; empty without one.
    pub query: String,
    /// The header `Range`.
    pub range: Option<String>,
    /// Whether there was a header `Authorization`.
    pub authorized: bool,
}

/// A registry that listens on this machine, and stops when it is dropped.
pub struct TestRegistry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: AbortHandle,
}

/// What the registry holds, how it behaves, and what it saw.
struct State {
    address: SocketAddr,
    content: Content,
    access: Access,
    tokens: Tokens,
    faults: Faults,
    page_size: usize,
    requests: Vec<RecordedRequest>,
    violations: Vec<String>,
}

impl TestRegistry {
    /// An empty, anonymous registry on a free port of 127.0.0.1. Needs a running tokio.
    pub async fn start() -> std::io::Result<Self> {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// An empty, anonymous registry on `address`; port 0 takes a free one.
    pub async fn start_on(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State {
            address,
            content: Content::default(),
            access: Access::Anonymous,
            tokens: Tokens::default(),
            faults: Faults::default(),
            page_size: 1000,
            requests: Vec::new(),
            violations: Vec::new(),
        }));
        let serving = axum::serve(listener, serve::router(Arc::clone(&state)));
        let server = tokio::spawn(std::future::IntoFuture::into_future(serving)).abort_handle();
        Ok(Self { address, state, server })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `127.0.0.1:PORT`, as it stands in image references.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// A configuration that reads this registry anonymously under the name `id`.
    ///
    /// # Panics
    /// Where `id` is no registry id.
    pub fn config(&self, id: &str) -> RegistryConfig {
        RegistryConfig::new(id.parse().expect("a registry id"), RegistryKind::Oci, Some(self.url()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// What the registry holds.
impl TestRegistry {
    /// Stores a manifest of `media_type` and, with a tag, points the tag to it. Gives its digest.
    pub fn push_manifest<'a>(
        &self,
        repository: &str,
        tag: impl Into<Option<&'a str>>,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let mut state = self.state();
        let repository = state.content.repository_mut(repository);
        repository.manifests.insert(digest, content::Manifest { media_type: media_type.to_owned(), bytes });
        if let Some(tag) = tag.into() {
            repository.tags.insert(tag.to_owned(), digest);
        }
        digest
    }

    /// Stores a blob and gives its digest.
    pub fn push_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        self.state().content.repository_mut(repository).blobs.insert(digest, bytes);
        digest
    }

    /// Points `tag` to `digest`: a new tag, or one that moves.
    pub fn tag(&self, repository: &str, tag: &str, digest: Digest) {
        self.state().content.repository_mut(repository).tags.insert(tag.to_owned(), digest);
    }

    /// Deletes a tag; the manifest stays.
    pub fn delete_tag(&self, repository: &str, tag: &str) {
        self.state().content.repository_mut(repository).tags.remove(tag);
    }

    /// Deletes a manifest; tags that point to it stay listed and lead to nothing.
    pub fn delete_manifest(&self, repository: &str, digest: Digest) {
        self.state().content.repository_mut(repository).manifests.remove(&digest);
    }

    /// Deletes a blob.
    pub fn delete_blob(&self, repository: &str, digest: Digest) {
        self.state().content.repository_mut(repository).blobs.remove(&digest);
    }

    /// Deletes a repository with all that it holds.
    pub fn delete_repository(&self, repository: &str) {
        self.state().content.repositories.remove(repository);
    }
}

/// How the registry behaves.
impl TestRegistry {
    /// Lets in only who has `access`. Tokens given before are void.
    pub fn require(&self, access: Access) {
        let mut state = self.state();
        state.access = access;
        state.tokens = Tokens::default();
    }

    /// Voids the tokens given so far, as if their time had passed.
    pub fn expire_tokens(&self) {
        self.state().tokens = Tokens::default();
    }

    /// Gives at most `entries` entries on a page, however many are asked for. At first 1,000.
    pub fn set_page_size(&self, entries: usize) {
        self.state().page_size = entries.max(1);
    }

    /// Adds a fault to those that are in force.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        self.state().faults = Faults::default();
    }
}

/// What the registry saw.
impl TestRegistry {
    /// The requests so far, in the order in which they came; those for tokens included.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state().requests.clone()
    }

    /// Forgets the requests and pulls so far.
    pub fn clear_requests(&self) {
        let mut state = self.state();
        state.requests.clear();
        state.content.blob_pulls.clear();
        state.content.manifest_pulls.clear();
    }

    /// How often the blob was asked for from its beginning and given, in any repository.
    pub fn blob_pulls(&self, digest: &Digest) -> usize {
        self.state().content.blob_pulls.get(digest).copied().unwrap_or_default()
    }

    /// How often the manifest was given whole, in any repository; `HEAD` does not count.
    pub fn manifest_pulls(&self, digest: &Digest) -> usize {
        self.state().content.manifest_pulls.get(digest).copied().unwrap_or_default()
    }

    /// The requests that a scanner has no business making, and why.
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    /// Fails the test when there was a violation.
    ///
    /// # Panics
    /// Where there was one.
    pub fn assert_no_violations(&self) {
        let violations = self.violations();
        assert!(violations.is_empty(), "the registry was asked what it should not be: {violations:#?}");
    }
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The state; that another test thread panicked with it in hand does not matter.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a throttled client is told to wait, in whole seconds.
fn seconds(duration: Duration) -> String {
    duration.as_secs().to_string()
}
