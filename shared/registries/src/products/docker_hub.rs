//! Docker Hub: lists by its API, which has tokens of its own, and is read as any registry. Asking for a manifest counts as a
//! pull there, asking what a tag points to does not.
//!
//! API: <https://docs.docker.com/reference/api/hub/latest/>; limits: <https://docs.docker.com/docker-hub/usage/>

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use tidewatch_core::image::Platform;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{ListPage, ListedTag, ListingTells, RegistryError};
use tidewatch_core::rule::ImageTimes;

use crate::answer::Subject;
use crate::auth::Always;
use crate::endpoint::Endpoint;
use crate::identity::{Fixed, Identity, Issued, Issuer, Proof, Renewing};
use crate::listed_platform::platform;
use crate::listed_time::rfc3339;
use crate::opening::Opening;
use crate::pages::{self, Walk};
use crate::products::oci::OciClient;
use crate::products::{Listings, WithListings};
use crate::rights::Rights;
use crate::secrets::Login;
use crate::server::{Content, Http, Request};
use crate::token::lifetime;

/// Where the API is.
const API: &str = "https://hub.docker.com";
/// The most entries that a page may have.
const PAGE_SIZE: u32 = 100;
/// Bytes that a page may have.
const PAGE_LIMIT: usize = 8 << 20;
/// How long a token of the API lives, where it does not say it itself.
const TOKEN_LIFETIME: Duration = Duration::from_mins(10);

/// What the credentials need.
pub(crate) const RIGHTS: Rights = Rights {
    authenticate: "make a personal access token (Account settings > Personal access tokens, `Read-only`) or an organization \
                   access token, and give USER:TOKEN or ORGANIZATION:TOKEN",
    list_repositories: "the user has to be a member of the namespace to see its private repositories; check the names under \
                        `namespaces`",
    list_tags: "give the user's team the permission `Read-only` on the repository; a token needs `Read-only`, too",
    pull: "give the user's team the permission `Read-only` on the repository; a token needs `Read-only`, too",
};

/// Opens the registry of `opening`.
pub(crate) fn open(opening: &Opening) -> Result<Arc<dyn Registry>, RegistryError> {
    let oci = OciClient::at(opening.registry(opening.login()?)?, opening).with_name(whole_name);
    let url = opening.config.api_url.as_deref().unwrap_or(API);
    let identity: Arc<dyn Identity> = match &opening.found.credentials {
        None => Arc::new(Fixed(None)),
        Some(text) => {
            let login = text.login().map_err(|reason| opening.misconfigured(reason))?;
            let tokens = Tokens { http: opening.http(url, "/v2/")?, login };
            Arc::new(Renewing::new(tokens, opening.ports.clock.clone()))
        }
    };
    let api = opening.endpoint(url, "/v2/", Always(identity))?;
    let listings = HubListings { api, namespaces: opening.config.namespaces.clone() };
    Ok(Arc::new(WithListings { oci, listings }))
}

/// The name with its namespace: official images have none in the names that people write.
fn whole_name(repository: &RepositoryName) -> RepositoryName {
    let (namespace, name) = split(repository);
    format!("{namespace}/{name}").parse().unwrap_or_else(|_| repository.clone())
}

fn split(repository: &RepositoryName) -> (&str, &str) {
    repository.as_str().split_once('/').unwrap_or(("library", repository.as_str()))
}

/// Hands out tokens of the API for user and token.
struct Tokens {
    http: Http,
    login: Login,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
}

#[async_trait]
impl Issuer for Tokens {
    async fn issue(&self, _: &Subject) -> Result<Issued, RegistryError> {
        let (user, secret) = self.login.parts();
        let content = Content::Json(json!({"identifier": user, "secret": secret}));
        let request = self.http.request(http::Method::POST, "/v2/auth/token", "a token of the API")?;
        let request = Request { content: Some(content), ..request };
        let answer = self.http.grant(&request, None).await?;
        // Without the words of the error, which may quote the token.
        let answer: TokenAnswer = serde_json::from_slice(&answer.body)
            .map_err(|_| request.subject.invalid("its answer holds no token"))?;
        let lifetime = lifetime(&answer.access_token).map_or(TOKEN_LIFETIME, Duration::from_secs);
        Ok(Issued { proof: Proof::Bearer(answer.access_token), lifetime })
    }
}

struct HubListings {
    api: Endpoint,
    namespaces: Vec<String>,
}

/// A page of anything.
#[derive(Deserialize)]
struct Page<T> {
    /// How many entries there are on all pages.
    #[serde(default)]
    count: u64,
    next: Option<String>,
    results: Vec<T>,
}

#[derive(Deserialize)]
struct ListedRepository {
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct HubTag {
    name: String,
    digest: Option<String>,
    full_size: Option<u64>,
    last_updated: Option<String>,
    tag_last_pushed: Option<String>,
    tag_last_pulled: Option<String>,
    #[serde(default)]
    images: OneOrMore<HubImage>,
}

/// The documentation has one object where there is a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    More(Vec<T>),
    One(T),
    Null(()),
}

impl<T> Default for OneOrMore<T> {
    fn default() -> Self {
        Self::Null(())
    }
}

impl<T> OneOrMore<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::More(all) => all,
            Self::One(one) => vec![one],
            Self::Null(()) => Vec::new(),
        }
    }
}

#[derive(Deserialize)]
struct HubImage {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

/// The number of a page, and how many entries there are on all pages, as the page before it has told.
#[derive(Clone, Copy)]
struct PageNumber {
    number: u32,
    told: u64,
}

impl PageNumber {
    /// Where `cursor` leads: `NUMBER.TOLD`.
    fn at(cursor: Option<&str>) -> Result<Self, String> {
        let Some((number, told)) = cursor.and_then(|cursor| cursor.split_once('.')) else {
            return Ok(Self { number: pages::number(cursor)?, told: u64::MAX });
        };
        let told = told.parse().map_err(|_| format!("{told:?} is no number of entries"))?;
        Ok(Self { number: pages::number(Some(number))?.max(1), told })
    }

    /// The cursor of the page after this one, which has told of so many entries.
    fn next(self, told: u64) -> String {
        format!("{}.{told}", self.number + 1)
    }
}

impl HubListings {
    async fn page<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        PageNumber { number, told }: PageNumber,
        request: impl FnOnce(&str) -> Result<Request, RegistryError>,
    ) -> Result<(Page<T>, Request), RegistryError> {
        let request = request(&format!("{path}page={number}&page_size={PAGE_SIZE}"))?;
        match self.api.json(&request, PAGE_LIMIT).await {
            // What was on the page before was deleted meanwhile: a page behind the last is no empty one.
            Err(RegistryError::NotFound { .. }) if u64::from(number - 1) * u64::from(PAGE_SIZE) >= told => {
                Ok((Page { count: 0, next: None, results: Vec::new() }, request))
            }
            // It is no end that it said itself that there is more.
            Err(RegistryError::NotFound { .. }) if number > 1 => {
                Err(request.subject.invalid(format!("it has {told} entries and no page {number}")))
            }
            page => page.map(|(page, _)| (page, request)),
        }
    }
}

#[async_trait]
impl Listings for HubListings {
    fn tells(&self) -> ListingTells {
        ListingTells {
            digest: true,
            pushed: true,
            pulled: true,
            size: true,
            platforms: true,
            ..ListingTells::NAMES
        }
    }

    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        let subject = self.api.subject("the list of repositories");
        let walk = Walk::at(cursor).map_err(|reason| subject.invalid(reason))?;
        let number = PageNumber::at(walk.cursor).map_err(|reason| subject.invalid(reason))?;
        let Some(namespace) = self.namespaces.get(walk.place) else {
            return Ok(ListPage { entries: Vec::new(), next: None });
        };
        let path = format!("/v2/namespaces/{namespace}/repositories?ordering=name&");
        let of = format!("the list of repositories of {namespace}");
        let (page, request) = self.page(&path, number, |url| self.api.get(url, of)).await?;
        let names =
            page.results.iter().map(|ListedRepository { namespace, name }| format!("{namespace}/{name}"));
        let next = page.next.map(|_| number.next(page.count));
        let entries = pages::names(&request.subject, names);
        Ok(ListPage { entries, next: walk.turn(next, self.namespaces.len()) })
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        let subject = self.api.subject(format!("tags of {repository}"));
        let number = PageNumber::at(cursor).map_err(|reason| subject.invalid(reason))?;
        let (namespace, name) = split(repository);
        let path = format!("/v2/namespaces/{namespace}/repositories/{}/tags?", name.replace('/', "%2F"));
        let (page, request) = self.page(&path, number, |url| self.api.get(url, subject.what)).await?;
        let next = page.next.map(|_| number.next(page.count));
        let entries = page.results.into_iter().filter_map(|tag| listed(tag, &request.subject)).collect();
        Ok(ListPage { entries, next })
    }
}

fn listed(tag: HubTag, subject: &Subject) -> Option<ListedTag> {
    let pushed_at = rfc3339(tag.tag_last_pushed.as_deref()).or_else(|| rfc3339(tag.last_updated.as_deref()));
    let platforms = tag.images.into_vec().into_iter().filter_map(HubImage::platform).collect();
    Some(ListedTag {
        digest: tag.digest.and_then(|digest| digest.parse().ok()),
        times: ImageTimes { created_at: None, pushed_at, pulled_at: rfc3339(tag.tag_last_pulled.as_deref()) },
        size: tag.full_size,
        platforms,
        ..ListedTag::named(pages::name(subject, &tag.name)?)
    })
}

impl HubImage {
    /// Its platform; `None` for an attestation, which has none.
    fn platform(self) -> Option<Platform> {
        platform(self.os.as_deref(), self.architecture.as_deref(), self.variant.as_deref())
    }
}
