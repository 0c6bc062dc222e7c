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
use tidewatch_core::ports::registry::{
    BlobStream, ListPage, ListedTag, RawManifest, Referrer, RegistryError,
};

use crate::auth::Scope;
use crate::endpoint::{Endpoint, Ports, Timeouts};
use crate::identity::Fixed;
use crate::listing::{self, Listing};
use crate::opening::Opening;
use crate::rights::Rights;
use crate::secrets::Login;
use crate::server::Request;

/// Bytes that a manifest may have, as the specification sets them.
const MANIFEST_LIMIT: usize = 4 << 20;
/// Repositories to ask for on a page: what registries give without being asked.
const CATALOG_PAGE: u16 = 100;
/// Tags to ask for on a page: the most that registries give.
const TAGS_PAGE: u16 = 1000;
/// The header that names the digest of a manifest.
const DOCKER_CONTENT_DIGEST: &str = "docker-content-digest";

/// What the credentials need.
pub(crate) const RIGHTS: Rights = Rights {
    authenticate: "check user and password: `docker login HOST` takes the same ones",
    list_repositories: "many registries let only administrators list all repositories (/v2/_catalog), or nobody: name them \
                        under `repositories` in the configuration",
    list_tags: "give the user the right to read (pull) the repository",
    pull: "give the user the right to read (pull) the repository",
};

/// Reads a registry over HTTP.
pub struct OciClient {
    endpoint: Arc<Endpoint>,
    repositories: Vec<RepositoryName>,
    name: fn(&RepositoryName) -> RepositoryName,
    path: fn(&RepositoryName) -> String,
    /// The path that says whether the registry is there.
    root: &'static str,
    is_anonymous: bool,
}

/// Opens the registry of `opening`.
pub(crate) fn open(opening: &Opening) -> Result<Arc<dyn Registry>, RegistryError> {
    let endpoint = opening.registry(opening.login()?)?;
    Ok(Arc::new(OciClient::at(endpoint, opening)))
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
        let opening = Opening { timeouts, ..Opening::new(config, ports) };
        let is_anonymous = login.is_none();
        let endpoint = opening.registry(Arc::new(Fixed(login.map(Login::into_proof))))?;
        Ok(Self { is_anonymous, ..Self::at(endpoint, &opening) })
    }

    /// The registry at `endpoint`.
    pub(crate) fn at(endpoint: Endpoint, opening: &Opening) -> Self {
        let repositories = opening.config.repositories.clone();
        let path = |repository: &RepositoryName| format!("/v2/{repository}");
        let is_anonymous = opening.is_anonymous();
        Self {
            endpoint: Arc::new(endpoint),
            repositories,
            name: Clone::clone,
            path,
            root: "/v2/",
            is_anonymous,
        }
    }

    /// The same where a repository is at another path than `/v2/REPOSITORY`, and where `root` says whether the registry is
    /// there.
    pub(crate) fn with_path(self, path: fn(&RepositoryName) -> String, root: &'static str) -> Self {
        Self { path, root, ..self }
    }

    /// The same where a repository has another name than the one that people write.
    pub(crate) fn with_name(self, name: fn(&RepositoryName) -> RepositoryName) -> Self {
        Self { name, ..self }
    }

    /// The registry itself, for listings that it has besides those of the specification.
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The repositories that the configuration names, as a listing; `None` where it names none.
    pub(crate) fn named_repositories(&self) -> Option<ListPage<RepositoryName>> {
        let named = || ListPage { entries: self.repositories.clone(), next: None };
        (!self.repositories.is_empty()).then(named)
    }

    pub(crate) fn request(
        &self,
        method: Method,
        repository: &RepositoryName,
        path: &str,
        what: String,
    ) -> Result<Request, RegistryError> {
        let name = (self.name)(repository);
        let request = self.endpoint.get(&format!("{}/{path}", (self.path)(&name)), what)?;
        Ok(Request { method, scope: Scope::Pull(name), ..request })
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
    /// Asks for the root of the API. An anonymous client is refused there by registries that let it read what is public.
    ///
    /// Specification: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#determining-support>
    async fn ping(&self) -> Result<(), RegistryError> {
        let request = self.endpoint.get(self.root, "its API")?;
        match self.endpoint.success(self.endpoint.fetch(&request, MANIFEST_LIMIT).await?, &request) {
            Err(RegistryError::Denied { .. }) if self.is_anonymous => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// The repositories of the configuration where it names some, else those that the registry lists.
    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        if let Some(named) = self.named_repositories() {
            return Ok(named);
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
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        let name = (self.name)(repository);
        let listing = Listing {
            path: format!("{}/tags/list", (self.path)(&name)),
            page_size: TAGS_PAGE,
            scope: Scope::Pull(name),
            what: format!("tags of {repository}"),
        };
        let ListPage { entries, next } = listing::page(&self.endpoint, listing, cursor).await?;
        Ok(ListPage { entries: entries.into_iter().map(ListedTag::named).collect(), next })
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

    /// Registries that have no such listing keep it under a tag; where it is neither, nothing refers to the manifest.
    async fn referrers(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Referrer>, RegistryError> {
        crate::referrers::list(&self.endpoint, self, repository, digest).await
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
