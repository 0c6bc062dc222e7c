//! Quay: lists by its API, which wants the token of an OAuth application, and is read as any registry, which wants a robot
//! account. It has a small bucket for each connection, so that few listings run at once.
//!
//! API: <https://github.com/quay/quay/tree/master/endpoints/api>

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use tidewatch_core::Timestamp;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::registry::{ListPage, ListedTag, ListingTells, RegistryError};
use tidewatch_core::ports::{Clock, Registry};
use tidewatch_core::rule::ImageTimes;
use tokio::sync::Semaphore;

use crate::answer::Subject;
use crate::auth::Always;
use crate::endpoint::Endpoint;
use crate::identity::{Fixed, Identity, Proof};
use crate::listed_time::{mail, seconds};
use crate::opening::{Opening, SecretText};
use crate::pages::{self, Walk};
use crate::products::oci::OciClient;
use crate::products::{Listings, WithListings};
use crate::rights::Rights;

/// What the path of everything in the API begins with.
const API: &str = "/api/v1/";
/// The most tags that a page may have.
const PAGE_SIZE: u32 = 100;
/// Bytes that a page may have.
const PAGE_LIMIT: usize = 16 << 20;
/// How many pages of tags are asked for at once. More are refused when they come together, and without a time to wait.
const TOGETHER: usize = 3;

/// What the credentials need.
pub(crate) const RIGHTS: Rights = Rights {
    authenticate: "give a robot account as ORGANIZATION+ROBOT:TOKEN under `credentials`, and the token of an OAuth application \
                   alone under `api_credentials`: Quay's API takes no robot accounts",
    list_repositories: "make an OAuth application (Organization > Applications), generate a token with the scope `View all \
                        visible repositories` as a user who may read them, and give it under `api_credentials`; check the \
                        names under `namespaces`",
    list_tags: "the user who has generated the token under `api_credentials` needs the permission `Read` on the repository",
    pull: "give the robot account the permission `Read` on the repository",
};

/// Opens the registry of `opening`.
pub(crate) fn open(opening: &Opening) -> Result<Arc<dyn Registry>, RegistryError> {
    let oci = OciClient::at(opening.registry(opening.login()?)?, opening);
    let api = opening.endpoint(&opening.config.address(), API, Always(application(opening)?))?;
    let listings = QuayListings {
        api,
        namespaces: opening.config.namespaces.clone(),
        clock: opening.ports.clock.clone(),
        together: Semaphore::new(TOGETHER),
    };
    Ok(Arc::new(WithListings { oci, listings }))
}

/// The OAuth application that asks the API; nobody where none is configured.
fn application(opening: &Opening) -> Result<Arc<dyn Identity>, RegistryError> {
    let proof = match opening.found.api_credentials.as_ref().map(SecretText::login_or_token) {
        None => None,
        Some(Ok(Proof::Bearer(token))) => Some(Proof::Bearer(token)),
        Some(_) => {
            let reason =
                "the API credentials are not the token of an OAuth application alone, without a user";
            return Err(opening.misconfigured(reason));
        }
    };
    Ok(Arc::new(Fixed(proof)))
}

struct QuayListings {
    api: Endpoint,
    namespaces: Vec<String>,
    clock: Arc<dyn Clock>,
    together: Semaphore,
}

#[derive(Deserialize)]
struct RepositoriesPage {
    #[serde(deserialize_with = "pages::list")]
    repositories: Vec<Value>,
    next_page: Option<String>,
}

#[derive(Deserialize)]
struct ListedRepository {
    namespace: String,
    name: String,
    /// `image`, or `application` for charts of an older kind.
    kind: Option<String>,
}

#[derive(Deserialize)]
struct TagsPage {
    #[serde(deserialize_with = "pages::list")]
    tags: Vec<Value>,
    #[serde(default)]
    has_additional: bool,
}

#[derive(Deserialize)]
struct QuayTag {
    name: String,
    manifest_digest: Option<String>,
    /// Of its layers; an index has none.
    size: Option<i64>,
    /// Since when it points to this digest, in seconds since 1970.
    start_ts: Option<i64>,
    /// The same in another form.
    last_modified: Option<String>,
    /// Until when it does; `None` for always.
    end_ts: Option<i64>,
    /// The same in another form.
    expiration: Option<String>,
}

#[async_trait]
impl Listings for QuayListings {
    fn tells(&self) -> ListingTells {
        ListingTells { digest: true, pushed: true, size: true, ..ListingTells::NAMES }
    }

    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        let subject = self.api.subject("the list of repositories");
        let walk = Walk::at(cursor).map_err(|reason| subject.invalid(reason))?;
        let Some(namespace) = self.namespaces.get(walk.place) else {
            return Ok(ListPage { entries: Vec::new(), next: None });
        };
        let of = format!("the list of repositories of {namespace}");
        let request = self.api.get(&repositories_path(namespace, walk.cursor), of)?;
        let (page, _): (RepositoriesPage, _) = self.api.json(&request, PAGE_LIMIT).await?;
        if page.next_page.is_some() && page.next_page.as_deref() == walk.cursor {
            return Err(request.subject.invalid("its next page is itself"));
        }
        let repositories: Vec<ListedRepository> = pages::entries(&request.subject, page.repositories)?;
        let images = repositories
            .iter()
            .filter(|repository| repository.kind.as_deref().is_none_or(|kind| kind == "image"));
        let names = images.map(|ListedRepository { namespace, name, .. }| format!("{namespace}/{name}"));
        let entries = pages::names(&request.subject, names);
        Ok(ListPage { entries, next: walk.turn(page.next_page, self.namespaces.len()) })
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        let subject = self.api.subject(format!("tags of {repository}"));
        let number = pages::number(cursor).map_err(|reason| subject.invalid(reason))?;
        // Everything is in a namespace: without one the path would be another of the API.
        if !repository.as_str().contains('/') {
            return Err(subject.not_found());
        }
        let path =
            format!("{API}repository/{repository}/tag/?onlyActiveTags=true&limit={PAGE_SIZE}&page={number}");
        let request = self.api.get(&path, subject.what.as_str())?;
        let permit = self.together.acquire().await.map_err(|error| subject.unavailable(error))?;
        let page: Result<(TagsPage, _), _> = self.api.json(&request, PAGE_LIMIT).await;
        drop(permit);
        let (page, _) = page?;
        let now = self.clock.now();
        let tags: Vec<QuayTag> = pages::entries(&subject, page.tags)?;
        let active = tags.into_iter().filter(|tag| tag.expiry().is_none_or(|expiry| expiry > now));
        let entries = active.filter_map(|tag| tag.listed(&subject)).collect();
        let next = page.has_additional.then(|| number.saturating_add(1).to_string());
        Ok(ListPage { entries, next })
    }
}

/// The path of a page of the repositories of a namespace. With `public` those are listed as well that the user of the token reads
/// like everybody.
fn repositories_path(namespace: &str, token: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("namespace", namespace)
        .append_pair("public", "true")
        .append_pair("last_modified", "true");
    query.extend_pairs(token.map(|token| ("next_page", token)));
    format!("{API}repository?{}", query.finish())
}

impl QuayTag {
    fn expiry(&self) -> Option<Timestamp> {
        seconds(self.end_ts).or_else(|| mail(self.expiration.as_deref()))
    }

    fn listed(self, subject: &Subject) -> Option<ListedTag> {
        let pushed_at = seconds(self.start_ts).or_else(|| mail(self.last_modified.as_deref()));
        Some(ListedTag {
            digest: self.manifest_digest.and_then(|digest| digest.parse().ok()),
            times: ImageTimes { pushed_at, ..ImageTimes::default() },
            size: self.size.and_then(|size| u64::try_from(size).ok()).filter(|size| *size > 0),
            ..ListedTag::named(pages::name(subject, &self.name)?)
        })
    }
}
