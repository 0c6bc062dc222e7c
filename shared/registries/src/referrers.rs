//! What refers to a manifest: attestations and signatures that were attached to it. A registry lists them, or whoever attached
//! them keeps the list under a tag.
//!
//! Specification: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers>,
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema>

use http::{HeaderMap, Method};
use serde::Deserialize;
use tidewatch_core::Digest;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::names::{RepositoryName, Tag};
use tidewatch_core::ports::Registry as _;
use tidewatch_core::ports::registry::{Referrer, RegistryError};

use crate::endpoint::Endpoint;
use crate::listing;
use crate::products::oci::OciClient;
use crate::server::Request;

/// Bytes that a page may have: it is an index.
const PAGE_LIMIT: usize = 4 << 20;
/// How many pages are followed. What is attached to one image is little.
const PAGES: usize = 10;
/// How many referrers are given.
const MOST: usize = 1000;

/// An index of what refers to a manifest.
#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    digest: String,
    artifact_type: Option<String>,
}

/// What refers to the manifest with this digest, by the registry's list, else by that under the tag.
pub(crate) async fn list(
    endpoint: &Endpoint,
    client: &OciClient,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Vec<Referrer>, RegistryError> {
    let what = format!("what refers to {digest} in {repository}");
    let mut request = client.request(Method::GET, repository, &format!("referrers/{digest}"), what)?;
    let mut found = Vec::new();
    for page in 0..PAGES {
        let (index, headers) = match page_of(endpoint, &request).await {
            Err(error) if page == 0 && is_unknown(&error) => return tagged(client, repository, digest).await,
            // What is there was told before.
            Err(RegistryError::NotFound { .. }) => break,
            page => page?,
        };
        found.extend(index.into_referrers());
        let Some(link) = listing::next(&headers) else { break };
        let next = listing::follow(endpoint, &request.url, link);
        let next = next.map_err(|reason| request.subject.invalid(reason))?;
        request.url = endpoint.url(&next).map_err(|reason| request.subject.invalid(reason))?;
    }
    found.truncate(MOST);
    Ok(found)
}

async fn page_of(endpoint: &Endpoint, request: &Request) -> Result<(Index, HeaderMap), RegistryError> {
    endpoint.json(request, PAGE_LIMIT).await
}

/// Whether the registry has no such listing. It should answer 404; some take the path for another one, and answer what is wrong
/// with that.
const fn is_unknown(error: &RegistryError) -> bool {
    matches!(error, RegistryError::NotFound { .. } | RegistryError::Invalid { .. })
}

/// The list under the tag of the digest. Asked for by HEAD first, because a GET that finds something counts as a pull.
async fn tagged(
    client: &OciClient,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Vec<Referrer>, RegistryError> {
    let tag = Tag::of_digest(digest);
    let listed = match client.resolve(repository, &tag).await {
        Err(RegistryError::NotFound { .. }) => return Ok(Vec::new()),
        listed => listed?,
    };
    let manifest = match client.manifest(repository, &ManifestReference::Digest(listed)).await {
        Err(RegistryError::NotFound { .. }) => return Ok(Vec::new()),
        manifest => manifest?,
    };
    let mut found: Vec<Referrer> = serde_json::from_slice(&manifest.bytes)
        .map_or_else(|_| Vec::new(), |index: Index| index.into_referrers().collect());
    found.truncate(MOST);
    Ok(found)
}

impl Index {
    /// What it names. What has a digest of another algorithm cannot be read, and is left out.
    fn into_referrers(self) -> impl Iterator<Item = Referrer> {
        self.manifests.unwrap_or_default().into_iter().filter_map(|Descriptor { digest, artifact_type }| {
            Some(Referrer { digest: digest.parse().ok()?, artifact_type: artifact_type.unwrap_or_default() })
        })
    }
}
