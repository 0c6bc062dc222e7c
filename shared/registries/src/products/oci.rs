//! Any registry that speaks the OCI distribution specification.
//!
//! Specification: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

use std::sync::Arc;

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tidewatch_core::Digest;
use tidewatch_core::config::RegistryConfig;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::manifest::media_type;
use tidewatch_core::names::{RepositoryName, Tag};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{BlobStream, ListPage, RawManifest, RegistryError};

use crate::auth::Scope;
use crate::budget::Budget;
use crate::endpoint::{Endpoint, Ports, Request, Timeouts};
use crate::listing::{self, Listing};
use crate::secrets::Login;

/// Bytes that a manifest may have, as the specification sets them.
const MANIFEST_LIMIT: usize = 4 << 20;
/// Repositories to ask for on a page: what registries give without being asked.
const CATALOG_PAGE: u16 = 100;
/// Tags to ask for on a page: the most that registries give.
const TAGS_PAGE: u16 = 1000;
/// The header that names the digest of a manifest.
const DOCKER_CONTENT_DIGEST: &str = "docker-content-digest";

/// Reads a registry over HTTP.
pub struct OciClient {
    endpoint: Arc<Endpoint>,
    repositories: Vec<RepositoryName>,
}

/// Opens the registry of `config`.
pub(crate) fn open(
    config: &RegistryConfig,
    login: Option<Login>,
    ports: Ports,
    budget: Option<Arc<Budget>>,
) -> Result<Arc<dyn Registry>, RegistryError> {
    Ok(Arc::new(OciClient::within(budget, config, login, ports, Timeouts::default())?))
}

impl OciClient {
    /// The registry of `config`, read with `login` or anonymously, and without a budget. Nothing is asked of it yet. The
    /// error is [`RegistryError::Misconfigured`].
    pub fn new(
        config: &RegistryConfig,
        login: Option<Login>,
        ports: Ports,
        timeouts: Timeouts,
    ) -> Result<Self, RegistryError> {
        Self::within(None, config, login, ports, timeouts)
    }

    fn within(
        budget: Option<Arc<Budget>>,
        config: &RegistryConfig,
        login: Option<Login>,
        ports: Ports,
        timeouts: Timeouts,
    ) -> Result<Self, RegistryError> {
        let endpoint = Endpoint::new(&config.id, &config.url, login, ports, timeouts, budget)?;
        Ok(Self { endpoint: Arc::new(endpoint), repositories: config.repositories.clone() })
    }

    fn request(
        &self,
        method: Method,
        repository: &RepositoryName,
        path: &str,
        what: String,
    ) -> Result<Request, RegistryError> {
        let subject = self.endpoint.subject(what);
        let url = self
            .endpoint
            .url(&format!("/v2/{repository}/{path}"))
            .map_err(|reason| subject.invalid(reason))?;
        let scope = Scope::Pull(repository.clone());
        Ok(Request { method, url, scope, subject, accept: None, from: None })
    }

    fn manifest_request(
        &self,
        method: Method,
        repository: &RepositoryName,
        reference: &ManifestReference,
    ) -> Result<Request, RegistryError> {
        let what = format!("manifest {reference} of {repository}");
        let request = self.request(method, repository, &format!("manifests/{reference}"), what)?;
        let accept = HeaderValue::from_str(&media_type::ACCEPTED_MANIFESTS.join(", ")).ok();
        Ok(Request { accept, ..request })
    }
}

#[async_trait]
impl Registry for OciClient {
    /// The repositories of the configuration where it names some, else those that the registry lists.
    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        if !self.repositories.is_empty() {
            return Ok(ListPage { entries: self.repositories.clone(), next: None });
        }
        let listing = Listing {
            path: "/v2/_catalog".to_owned(),
            page_size: CATALOG_PAGE,
            scope: Scope::Catalog,
            what: "the list of repositories".to_owned(),
        };
        listing::page(&self.endpoint, listing, cursor).await
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<Tag>, RegistryError> {
        let listing = Listing {
            path: format!("/v2/{repository}/tags/list"),
            page_size: TAGS_PAGE,
            scope: Scope::Pull(repository.clone()),
            what: format!("tags of {repository}"),
        };
        listing::page(&self.endpoint, listing, cursor).await
    }

    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, RegistryError> {
        let reference = ManifestReference::Tag(tag.clone());
        let request = self.manifest_request(Method::HEAD, repository, &reference)?;
        let answer = self.endpoint.fetch(&request, 0).await?;
        if !matches!(answer.status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) {
            let answer = self.endpoint.success(answer, &request)?;
            if let Some(digest) = named_digest(&answer.headers) {
                return Ok(digest);
            }
        }
        self.manifest(repository, &reference).await.map(|manifest| manifest.digest)
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &ManifestReference,
    ) -> Result<RawManifest, RegistryError> {
        let request = self.manifest_request(Method::GET, repository, reference)?;
        let answer = self.endpoint.fetch(&request, MANIFEST_LIMIT).await?;
        let answer = self.endpoint.success(answer, &request)?;
        let digest = Digest::of(&answer.body);
        let media_type = named_media_type(&answer.headers);
        let expected = match reference {
            ManifestReference::Digest(digest) => Some(*digest),
            ManifestReference::Tag(_) => named_digest(&answer.headers),
        };
        // The digest of a signed schema 1 manifest is that of its payload. It is unsupported whatever it holds, so that
        // nothing is read from bytes that were not checked.
        if let Some(expected) = expected.filter(|expected| *expected != digest)
            && !media_type::is_schema_1(&media_type)
        {
            return Err(request.subject.invalid(format!("its digest is {digest} instead of {expected}")));
        }
        Ok(RawManifest { digest, media_type, bytes: answer.body })
    }

    /// The stream goes on by itself when the connection breaks, a few times.
    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<BlobStream, RegistryError> {
        let what = format!("blob {digest} of {repository}");
        let request = self.request(Method::GET, repository, &format!("blobs/{digest}"), what)?;
        crate::blob::open(Arc::clone(&self.endpoint), request).await
    }
}

/// The digest that the registry names, when it is of the algorithm that Tidewatch reads.
fn named_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get(DOCKER_CONTENT_DIGEST)?.to_str().ok()?.trim().parse().ok()
}

/// The media type that the registry names, without parameters; empty when it names none.
fn named_media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_owned()
}
