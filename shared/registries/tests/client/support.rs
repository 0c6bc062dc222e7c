//! What the tests of the client share.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use tidewatch_core::Digest;
use tidewatch_core::config::RegistryConfig;
use tidewatch_core::manifest::media_type;
use tidewatch_core::names::{RepositoryName, Tag};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{ListPage, RegistryError};
use tidewatch_registries::{Login, OciClient, Ports, Timeouts};
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness, SettableClock};
use tidewatch_testkit::registry::TestRegistry;

/// A client with all that a test decides about it.
pub(crate) struct Client {
    pub(crate) clock: Arc<SettableClock>,
    pub(crate) sleeper: Arc<InstantSleeper>,
    pub(crate) registry: Arc<OciClient>,
}

/// A client of the registry at `config`, for who has `login`.
pub(crate) fn client_of(config: &RegistryConfig, login: Option<&str>, timeouts: Timeouts) -> Client {
    let clock = Arc::new(SettableClock::at("2024-01-01T00:00:00Z"));
    let sleeper = Arc::new(InstantSleeper::new());
    let ports = Ports {
        clock: clock.clone(),
        sleeper: sleeper.clone(),
        randomness: Arc::new(SeededRandomness::new(1)),
    };
    let login = login.map(|login| Login::parse(login).unwrap());
    let registry = Arc::new(OciClient::new(config, login, ports, timeouts).unwrap());
    Client { clock, sleeper, registry }
}

/// An anonymous client of `registry`.
pub(crate) fn client(registry: &TestRegistry) -> Client {
    client_of(&registry.config("test"), None, Timeouts::default())
}

/// A client of `registry` that knows `USER:PASSWORD`.
pub(crate) fn client_with(registry: &TestRegistry, login: &str) -> Client {
    client_of(&registry.config("test"), Some(login), Timeouts::default())
}

pub(crate) fn repository(name: &str) -> RepositoryName {
    name.parse().unwrap()
}

pub(crate) fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

/// Bytes that differ from place to place, so that a wrong range does not go unseen.
pub(crate) fn bytes(length: usize) -> Bytes {
    (0..length).map(|place| u8::try_from(place * 31 % 251).unwrap()).collect::<Vec<u8>>().into()
}

/// A small image in `team/web:latest`; gives its digest.
pub(crate) fn push_image(registry: &TestRegistry) -> Digest {
    let config = registry.push_blob("team/web", r#"{"os":"linux","architecture":"amd64"}"#);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{config}","size":37}},"layers":[]}}"#,
        media_type::OCI_MANIFEST,
        media_type::OCI_CONFIG,
    );
    registry.push_manifest("team/web", "latest", media_type::OCI_MANIFEST, manifest)
}

/// All of a blob.
pub(crate) async fn blob(
    registry: &dyn Registry,
    name: &str,
    digest: &Digest,
) -> Result<Bytes, RegistryError> {
    let chunks: Vec<Bytes> = registry.blob(&repository(name), digest).await?.try_collect().await?;
    Ok(chunks.concat().into())
}

/// All pages of the repositories, each as its names.
pub(crate) async fn repository_pages(registry: &dyn Registry) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let ListPage { entries, next } = registry.repositories(cursor.as_deref()).await.unwrap();
        pages.push(entries.iter().map(ToString::to_string).collect());
        cursor = next;
        if cursor.is_none() {
            return pages;
        }
    }
}

/// All pages of the tags of a repository, each as its names.
pub(crate) async fn tag_pages(registry: &dyn Registry, name: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let ListPage { entries, next } = registry.tags(&repository(name), cursor.as_deref()).await.unwrap();
        pages.push(entries.iter().map(|listed| listed.tag.to_string()).collect());
        cursor = next;
        if cursor.is_none() {
            return pages;
        }
    }
}

/// Timeouts that end a test with a silent registry soon.
pub(crate) const IMPATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    read: Duration::from_millis(300),
    whole: Duration::from_millis(300),
};
