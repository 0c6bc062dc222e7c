//! Azure Container Registry: lists by an API of its own on the registry's host, in which one pass over the manifests of a
//! repository tells all of its tags. It never tells when something was pulled.
//!
//! API: <https://learn.microsoft.com/rest/api/containerregistry/>, tokens: <https://azure.github.io/acr/AAD-OAuth.html>

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use tidewatch_core::image::Platform;
use tidewatch_core::manifest::media_type;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{ListPage, ListedTag, ListingTells, RegistryError, TagState};
use tidewatch_core::rule::ImageTimes;

use crate::answer::Subject;
use crate::auth::{Challenged, Scope};
use crate::endpoint::Endpoint;
use crate::entra::EntraExchange;
use crate::identity::{Identity, Renewing};
use crate::listed_platform::platform;
use crate::listed_time::rfc3339;
use crate::listing::{self, Listing};
use crate::opening::Opening;
use crate::pages;
use crate::products::oci::OciClient;
use crate::products::{Listings, WithListings};
use crate::rights::Rights;
use crate::server::Request;

/// Entries to ask for on a page. The registry gives fewer where it allows fewer.
const PAGE_SIZE: u16 = 1000;
/// Bytes that a page of manifests may have.
const PAGE_LIMIT: usize = 16 << 20;

/// What the credentials need.
pub(crate) const RIGHTS: Rights = Rights {
    authenticate: "give APPLICATION-ID:SECRET of a service principal together with `azure_tenant`, or without it NAME:PASSWORD of \
                   a token of the registry; check that the secret has not expired",
    list_repositories: "give the service principal the role `AcrPull` on the registry; where its role assignments are in the mode \
                        `RBAC Registry + ABAC Repository Permissions`, the role `Container Registry Repository Catalog Lister`. A \
                        token of the registry lists them only with a scope map for all repositories (`*`): without, name them \
                        under `repositories`",
    list_tags: "give the service principal the role `AcrPull`, or in the mode `RBAC Registry + ABAC Repository Permissions` \
                `Container Registry Repository Reader`; give a token of the registry `metadata/read` on the repository",
    pull: "give the service principal the role `AcrPull`, or in the mode `RBAC Registry + ABAC Repository Permissions` \
           `Container Registry Repository Reader`; give a token of the registry `content/read` on the repository",
};

/// Opens the registry of `opening`.
pub(crate) fn open(opening: &Opening) -> Result<Arc<dyn Registry>, RegistryError> {
    let identity: Arc<dyn Identity> = match opening.config.azure_tenant.as_deref() {
        None => opening.login()?,
        Some(tenant) => {
            let exchange = EntraExchange::new(opening, tenant)?;
            Arc::new(Renewing::new(exchange, opening.ports.clock.clone()))
        }
    };
    let oci = OciClient::at(opening.registry(Arc::clone(&identity))?, opening);
    // Tokens are for one scope each, and listing and pulling have none in common: both share who the client is, and no token.
    let api = opening.endpoint(&opening.config.address(), "/acr/v1/", Challenged::new(identity))?;
    Ok(Arc::new(WithListings { oci, listings: AcrListings { api } }))
}

struct AcrListings {
    api: Endpoint,
}

#[derive(Deserialize)]
struct ManifestPage {
    #[serde(deserialize_with = "pages::list")]
    manifests: Vec<Value>,
}

/// The attributes of a manifest.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AcrManifest {
    digest: Option<String>,
    image_size: Option<u64>,
    created_time: Option<String>,
    media_type: Option<String>,
    config_media_type: Option<String>,
    #[serde(flatten)]
    platform: AcrPlatform,
    references: Option<Vec<AcrPlatform>>,
    tags: Option<Vec<String>>,
    changeable_attributes: Option<Changeable>,
}

#[derive(Deserialize)]
struct AcrPlatform {
    os: Option<String>,
    architecture: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changeable {
    read_enabled: Option<bool>,
}

#[async_trait]
impl Listings for AcrListings {
    fn tells(&self) -> ListingTells {
        ListingTells { digest: true, pushed: true, size: true, platforms: true, ..ListingTells::NAMES }
    }

    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        let listing = Listing {
            path: "/acr/v1/_catalog".to_owned(),
            page_size: PAGE_SIZE,
            scope: Scope::Catalog,
            what: "the list of repositories".to_owned(),
        };
        listing::page(&self.api, listing, cursor).await
    }

    /// The newest manifests come first.
    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        let first = format!("/acr/v1/{repository}/_manifests?n={PAGE_SIZE}&orderby=timedesc");
        let request = self.api.get(cursor.unwrap_or(&first), format!("tags of {repository}"))?;
        let request = Request { scope: Scope::Metadata(repository.clone()), ..request };
        let (page, headers): (ManifestPage, _) = self.api.json(&request, PAGE_LIMIT).await?;
        let next = listing::next(&headers).map(|link| listing::follow(&self.api, &request.url, link));
        let next = next.transpose().map_err(|reason| request.subject.invalid(reason))?;
        let manifests = pages::entries(&request.subject, page.manifests)?;
        let entries =
            manifests.into_iter().flat_map(|manifest: AcrManifest| manifest.listed(&request.subject));
        Ok(ListPage { entries: entries.collect(), next })
    }
}

impl AcrManifest {
    /// Its tags. A manifest without any is the part of an index, or what a tag pointed to before.
    fn listed(self, subject: &Subject) -> Vec<ListedTag> {
        let state = self.state();
        let is_index = self.is_index();
        let parts = if is_index { self.references.unwrap_or_default() } else { vec![self.platform] };
        let platforms: Vec<Platform> = parts.into_iter().filter_map(AcrPlatform::platform).collect();
        let digest = self.digest.and_then(|digest| digest.parse().ok());
        let pushed_at = rfc3339(self.created_time.as_deref());
        // Of an index, the registry counts the bytes of the index itself.
        let size = self.image_size.filter(|_| !is_index);
        let tags = pages::names(subject, self.tags.unwrap_or_default());
        let listed = tags.into_iter().map(|tag| ListedTag {
            digest,
            times: ImageTimes { pushed_at, ..ImageTimes::default() },
            size,
            platforms: platforms.clone(),
            state,
            ..ListedTag::named(tag)
        });
        listed.collect()
    }

    fn is_index(&self) -> bool {
        self.media_type.as_deref().is_some_and(media_type::is_index)
    }

    fn state(&self) -> TagState {
        let config = self.config_media_type.as_deref().filter(|config| !config.is_empty());
        let is_artifact = self.media_type.as_deref() == Some(media_type::OCI_ARTIFACT);
        if is_artifact
            || (!self.is_index() && config.is_some_and(|config| !media_type::is_image_config(config)))
        {
            return TagState::NotAnImage;
        }
        let is_locked =
            self.changeable_attributes.as_ref().is_some_and(|may| may.read_enabled == Some(false));
        if is_locked { TagState::Locked } else { TagState::Available }
    }
}

impl AcrPlatform {
    /// `None` for an attestation, which has none, and where it is not told.
    fn platform(self) -> Option<Platform> {
        platform(self.os.as_deref(), self.architecture.as_deref(), None)
    }
}
