//! Google Artifact Registry, also behind the hosts of gcr.io. Its listings of tags tell more than the specification has: each
//! manifest with its tags, times and size. Image paths are listed by its API, and behind gcr.io by those same listings.
//! It never tells when something was pulled.
//!
//! API: <https://cloud.google.com/artifact-registry/docs/reference/rest>

use std::sync::Arc;

use async_trait::async_trait;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{ListPage, ListedTag, ListingTells, RegistryError};

use crate::auth::Always;
use crate::endpoint::Endpoint;
use crate::google::packages::Namespace;
use crate::google::{self, AsPassword, children, tags};
use crate::opening::Opening;
use crate::pages::Walk;
use crate::products::oci::OciClient;
use crate::products::{Listings, WithListings};
use crate::rights::Rights;

/// Where the API is.
const API: &str = "https://artifactregistry.googleapis.com";
/// What the hosts of Artifact Registry end with, behind the location.
const DOCKER_HOST: &str = "-docker.pkg.dev";

/// What the credentials need.
pub(crate) const RIGHTS: Rights = Rights {
    authenticate: "give the key of a service account as JSON, or `google_federation` with the provider of a pool of workload \
                   identities; with `service_account` the identity needs the role `roles/iam.workloadIdentityUser` on it",
    list_repositories: "give the service account the role `roles/artifactregistry.reader` on the project or on the repository of \
                        Artifact Registry; to list all repositories of a project it has to be on the project",
    list_tags: "give the service account the role `roles/artifactregistry.reader` on the repository of Artifact Registry",
    pull: "give the service account the role `roles/artifactregistry.reader` on the repository of Artifact Registry",
};

/// Opens the registry of `opening`.
pub(crate) fn open(opening: &Opening) -> Result<Arc<dyn Registry>, RegistryError> {
    let identity = google::identity(opening)?;
    let oci = OciClient::at(opening.registry(Arc::new(AsPassword(Arc::clone(&identity))))?, opening);
    let registry = Arc::clone(oci.endpoint());
    let namespaces = opening.config.namespaces.clone();
    if let Some(bad) = namespaces.iter().find(|namespace| Namespace::read(namespace).is_none()) {
        let reason = format!("{bad:?} under `namespaces` is not PROJECT or PROJECT/REPOSITORY");
        return Err(opening.misconfigured(reason));
    }
    let address = opening.config.address();
    let paths = match opening.config.region.as_deref().or_else(|| location(&address)) {
        None => Paths::Children,
        Some(location) => {
            let url = opening.config.api_url.as_deref().unwrap_or(API);
            Paths::Api {
                api: opening.endpoint(url, "/v1/", Always(identity))?,
                location: location.to_owned(),
            }
        }
    };
    Ok(Arc::new(WithListings { oci, listings: GoogleListings { registry, paths, namespaces } }))
}

/// Where in Artifact Registry the registry at `address` is, by the beginning of its host: `https://LOCATION-docker.pkg.dev`.
fn location(address: &str) -> Option<&str> {
    let host = address.split_once("://")?.1.split(':').next()?;
    host.strip_suffix(DOCKER_HOST)
}

struct GoogleListings {
    registry: Arc<Endpoint>,
    paths: Paths,
    namespaces: Vec<String>,
}

/// How image paths are listed.
enum Paths {
    /// By the API, of one location.
    Api { api: Endpoint, location: String },
    /// By the listings of tags, from path to path.
    Children,
}

#[async_trait]
impl Listings for GoogleListings {
    fn tells(&self) -> ListingTells {
        ListingTells { digest: true, created: true, pushed: true, size: true, ..ListingTells::NAMES }
    }

    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        let subject = self.registry.subject("the list of repositories");
        let walk = Walk::at(cursor).map_err(|reason| subject.invalid(reason))?;
        let Some(namespace) = self.namespaces.get(walk.place) else {
            return Ok(ListPage { entries: Vec::new(), next: None });
        };
        let read = Namespace::read(namespace);
        let namespace = read.ok_or_else(|| subject.invalid(format!("{namespace:?} is no namespace")))?;
        let page = match &self.paths {
            Paths::Children => children::page(&self.registry, &namespace.path(), walk.cursor).await?,
            Paths::Api { api, location } => namespace.page(api, location, walk.cursor).await?,
        };
        Ok(ListPage { next: walk.turn(page.next, self.namespaces.len()), ..page })
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        tags::page(&self.registry, repository, cursor).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_artifact_registry_begins_with_its_location() {
        assert_eq!(location("https://europe-west1-docker.pkg.dev"), Some("europe-west1"));
        assert_eq!(location("https://us-docker.pkg.dev:443"), Some("us"));
        for other in ["https://gcr.io", "https://eu.gcr.io", "https://us-docker.pkg.dev.example.com", "x"] {
            assert_eq!(location(other), None, "{other}");
        }
    }
}
