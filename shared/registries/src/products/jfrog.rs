//! `JFrog` Artifactory: a repository is `KEY/IMAGE`, where KEY is a repository of Artifactory. What images there are says the
//! catalog of each; the tags of one come from a single search (AQL) for the files of their manifests.
//!
//! API: <https://jfrog.com/help/r/jfrog-rest-apis>

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use http::StatusCode;
use serde::Deserialize;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{ListPage, ListedTag, ListingTells, RegistryError};

use crate::answer::{Answer, Subject};
use crate::aql::{self, Found, Search};
use crate::auth::{Always, Challenged, Scope};
use crate::endpoint::Endpoint;
use crate::listing;
use crate::opening::Opening;
use crate::pages;
use crate::products::oci::OciClient;
use crate::products::{Listings, WithListings};
use crate::rights::Rights;
use crate::server::{Content, Request};

/// What the path of everything begins with that is asked for.
const PREFIX: &str = "/artifactory/api/";
/// What says whether Artifactory is there.
const PING: &str = "/artifactory/api/system/ping";
/// The query of the first page of a catalog, or of a list of tags.
const FIRST_PAGE: &str = "n=1000";
/// Bytes that a page of names may have.
const PAGE_LIMIT: usize = 16 << 20;
/// Bytes that the answer to a search may have: 10,000 tags with twenty properties each have about 30 MB.
const SEARCH_LIMIT: usize = 64 << 20;

/// What the credentials need.
pub(crate) const RIGHTS: Rights = Rights {
    authenticate: "make an access token for the user (Administration > User Management > Access Tokens, or Edit Profile > \
                   Generate an Identity Token), and give it alone or as USER:TOKEN",
    list_repositories: "give the user's group the permission `Read` on the repositories (Administration > User Management > \
                        Permissions), or name their keys under `namespaces`",
    list_tags: "give the user's group the permission `Read` on the whole repository, without patterns: a search leaves out what \
                it does not allow, and says nothing",
    pull: "give the user's group the permission `Read` on the whole repository",
};

/// Opens the registry of `opening`.
pub(crate) fn open(opening: &Opening) -> Result<Arc<dyn Registry>, RegistryError> {
    let oci = OciClient::at(endpoint(opening)?, opening).with_path(path, PING);
    let listings = JfrogListings {
        api: endpoint(opening)?,
        named: opening.config.namespaces.iter().cloned().collect(),
        found: Mutex::default(),
        is_plain: AtomicBool::new(false),
    };
    Ok(Arc::new(WithListings { oci, listings }))
}

/// Who has credentials shows them with every request: where anonymous access is on, nobody would ask for them, and only what
/// is public would be there. Artifactory takes them, as they are, for images as well.
fn endpoint(opening: &Opening) -> Result<Endpoint, RegistryError> {
    let (identity, address) = (opening.login_or_token()?, opening.config.address());
    match &opening.found.credentials {
        Some(_) => opening.endpoint(&address, PREFIX, Always(identity)),
        None => opening.endpoint(&address, PREFIX, Challenged::new(identity)),
    }
}

/// Where a repository is pulled from.
fn path(repository: &RepositoryName) -> String {
    let (key, image) = repository.as_str().split_once('/').unwrap_or((repository.as_str(), ""));
    format!("{PREFIX}docker/{key}/v2/{image}")
}

/// What became of a search for everything.
enum Full {
    /// It told these tags, which stand in so many files.
    Told(Vec<ListedTag>, usize),
    /// It is not allowed, or not understood.
    Refused,
    /// There is more than the server gives, or than is read, at once.
    TooMuch,
}

struct JfrogListings {
    api: Endpoint,
    /// The keys that the configuration names.
    named: BTreeSet<String>,
    /// The keys that Artifactory told last.
    found: Mutex<Option<BTreeSet<String>>>,
    /// Whether searches are refused that tell more than what the files are.
    is_plain: AtomicBool,
}

#[derive(Deserialize)]
struct ArtifactoryRepository {
    key: String,
    #[serde(default, rename = "type")]
    kind: String,
}

/// A page of a catalog, or of a list of tags.
#[derive(Deserialize)]
struct NamesPage {
    #[serde(alias = "repositories", deserialize_with = "pages::list")]
    tags: Vec<String>,
}

impl JfrogListings {
    /// The keys to read, in their order; those that Artifactory told before, unless they are wanted `anew`.
    async fn keys(&self, anew: bool, subject: &Subject) -> Result<BTreeSet<String>, RegistryError> {
        let known = || self.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let all = match known().filter(|_| !anew) {
            _ if !self.named.is_empty() => self.named.clone(),
            Some(known) => known,
            None => {
                let mut found = self.keys_of("docker", subject).await?;
                found.extend(self.keys_of("oci", subject).await?);
                *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
                found
            }
        };
        let is_name = |key: &String| pages::name::<RepositoryName>(subject, key).is_some();
        Ok(all.into_iter().filter(is_name).collect())
    }

    async fn keys_of(&self, package: &str, subject: &Subject) -> Result<BTreeSet<String>, RegistryError> {
        let path = format!("{PREFIX}repositories?packageType={package}");
        let request = self.api.get(&path, subject.what.clone())?;
        let answer = self.api.fetch(&request, PAGE_LIMIT).await?;
        if answer.status == StatusCode::BAD_REQUEST && package != "docker" {
            // An older Artifactory does not know the type.
            return Ok(BTreeSet::new());
        }
        let answer = self.api.success(answer, &request)?;
        let found: Vec<ArtifactoryRepository> = serde_json::from_slice(&answer.body)
            .map_err(|error| subject.invalid(format!("it is not as documented: {error}")))?;
        // What a virtual repository lists is that of others, and would be read twice.
        let real = found.into_iter().filter(|repository| !repository.kind.eq_ignore_ascii_case("virtual"));
        Ok(real.map(|repository| repository.key).collect())
    }

    /// A page of names, and the query of the next.
    async fn names(
        &self,
        path: &str,
        query: Option<&str>,
        scope: Scope,
        subject: &Subject,
    ) -> Result<(Vec<String>, Option<String>), RegistryError> {
        let query = query.unwrap_or(FIRST_PAGE);
        let request = self.api.get(&format!("{path}?{query}"), subject.what.clone())?;
        let (page, headers) = self.api.json::<NamesPage>(&Request { scope, ..request }, PAGE_LIMIT).await?;
        let next = listing::next(&headers).map(|link| following(link, query)).transpose();
        Ok((page.tags, next.map_err(|reason| subject.invalid(reason))?))
    }

    /// The tags by their names alone, as the registry lists them for anybody.
    async fn named_tags(
        &self,
        repository: &RepositoryName,
        query: Option<&str>,
        subject: &Subject,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        let path = format!("{}/tags/list", path(repository));
        let scope = Scope::Pull(repository.clone());
        let (names, next) = self.names(&path, query, scope, subject).await?;
        let entries = pages::names(subject, names).into_iter().map(ListedTag::named).collect();
        Ok(ListPage { entries, next: next.map(|query| format!("?{query}")) })
    }

    async fn search(&self, query: String, subject: &Subject) -> Result<(Answer, Request), RegistryError> {
        let path = format!("{PREFIX}search/aql");
        let request = self.api.post(&path, Content::Text(query), subject.what.clone())?;
        Ok((self.api.fetch(&request, SEARCH_LIMIT).await?, request))
    }

    /// Everything of all tags of `image`.
    async fn full(&self, key: &str, image: &str, subject: &Subject) -> Result<Full, RegistryError> {
        let (answer, request) = match self.search(Search::Full.query(key, image), subject).await {
            Err(RegistryError::Invalid { .. }) => return Ok(Full::TooMuch),
            found => found?,
        };
        if matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN) {
            return Ok(Full::Refused);
        }
        let answer = self.api.success(answer, &request)?;
        let found = Found::read(&answer.body).map_err(|reason| subject.invalid(reason))?;
        if found.is_cut(0) {
            return Ok(Full::TooMuch);
        }
        let count = found.count();
        Ok(Full::Told(found.tags(key, image, subject), count))
    }

    /// A page of what the files alone tell, and how many files stand on it.
    async fn plain(
        &self,
        key: &str,
        image: &str,
        offset: usize,
        subject: &Subject,
    ) -> Result<(ListPage<ListedTag>, usize), RegistryError> {
        let (answer, request) = self.search(Search::Plain(offset).query(key, image), subject).await?;
        let answer = self.api.success(answer, &request)?;
        let found = Found::read(&answer.body).map_err(|reason| subject.invalid(reason))?;
        let count = found.count();
        let has_more = count >= aql::PAGE || (count > 0 && found.is_cut(offset));
        let next = has_more.then(|| (offset + count).to_string());
        Ok((ListPage { entries: found.tags(key, image, subject), next }, count))
    }
}

#[async_trait]
impl Listings for JfrogListings {
    fn tells(&self) -> ListingTells {
        let pulled = !self.is_plain.load(Ordering::Relaxed);
        ListingTells { digest: true, pushed: true, pulled, ..ListingTells::NAMES }
    }

    /// One repository of Artifactory after the other: `KEY:` begins one, `KEY:QUERY` goes on within it.
    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        let subject = self.api.subject("the list of repositories");
        let keys = self.keys(cursor.is_none(), &subject).await?;
        let place = cursor.map(|cursor| {
            cursor.split_once(':').ok_or_else(|| subject.invalid(format!("{cursor:?} is no page of it")))
        });
        let (key, query) = match (place.transpose()?, keys.first()) {
            (Some(place), _) => place,
            (None, Some(first)) => (first.as_str(), ""),
            (None, None) => return Ok(ListPage { entries: Vec::new(), next: None }),
        };
        let subject = self.api.subject(format!("the list of repositories of {key}"));
        let path = format!("{PREFIX}docker/{key}/v2/_catalog");
        let query = Some(query).filter(|query| !query.is_empty());
        let (images, next) = self.names(&path, query, Scope::Catalog, &subject).await?;
        let entries = pages::names(&subject, images.iter().map(|image| format!("{key}/{image}")));
        let next = match next {
            Some(query) => Some(format!("{key}:{query}")),
            None => keys.iter().find(|other| other.as_str() > key).map(|key| format!("{key}:")),
        };
        Ok(ListPage { entries, next })
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        let subject = self.api.subject(format!("tags of {repository}"));
        let Some((key, image)) = repository.as_str().split_once('/') else {
            return Err(subject
                .invalid("its name does not begin with the key of a repository of Artifactory: KEY/IMAGE"));
        };
        if let Some(query) = cursor.and_then(|cursor| cursor.strip_prefix('?')) {
            return self.named_tags(repository, Some(query), &subject).await;
        }
        let offset = cursor.map_or(Ok(0), str::parse);
        let offset: usize = offset.map_err(|_| subject.invalid(format!("{cursor:?} is no page of it")))?;
        let full = if cursor.is_some() || self.is_plain.load(Ordering::Relaxed) {
            Full::TooMuch
        } else {
            self.full(key, image, &subject).await?
        };
        let is_refused = matches!(full, Full::Refused);
        let (page, count) = if let Full::Told(entries, count) = full {
            (ListPage { entries, next: None }, count)
        } else {
            self.plain(key, image, offset, &subject).await?
        };
        // What refuses everything is not refused for what it asks for.
        self.is_plain.fetch_or(is_refused, Ordering::Relaxed);
        // A search finds nothing in what is not there, and in what the credentials may not read: the registry says which.
        if count == 0 && cursor.is_none() {
            return self.named_tags(repository, None, &subject).await;
        }
        Ok(page)
    }
}

/// The query of the next page. Behind a proxy the link can name a host and a path that nobody reaches from outside, so that
/// nothing else of it is used.
fn following(link: &str, query: &str) -> Result<String, String> {
    match link.split_once('?') {
        None => Err(format!("its next page {link:?} has no query")),
        Some((_, next)) if next == query => Err("its next page is itself".to_owned()),
        Some((_, next)) => Ok(next.to_owned()),
    }
}
