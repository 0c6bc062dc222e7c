//! The registry within `OpenShift` 4: a repository is an image stream, `NAMESPACE/NAME`. The Kubernetes API lists streams with
//! all of their tags, and the registry takes the same token, without being asked for another.
//!
//! API: <https://docs.redhat.com/en/documentation/openshift_container_platform/4.17/html/image_apis/imagestream-image-openshift-io-v1>,
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks>

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use serde::Deserialize;
use tidewatch_core::Timestamp;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::registry::{ListPage, ListedTag, ListingTells, RegistryError, TagState};
use tidewatch_core::ports::{Clock, Registry};
use tidewatch_core::rule::ImageTimes;
use url::form_urlencoded::byte_serialize;

use crate::answer::Subject;
use crate::auth::Always;
use crate::endpoint::Endpoint;
use crate::identity::{Fixed, Identity, Proof};
use crate::listed_time::rfc3339;
use crate::opening::Opening;
use crate::pages::{self, Walk};
use crate::products::oci::OciClient;
use crate::products::{Listings, WithListings};
use crate::rights::Rights;

/// What the path of everything begins with that is asked of the Kubernetes API.
const PREFIX: &str = "/apis/image.openshift.io/v1/";
/// Streams to ask for on a page.
const PAGE_SIZE: u16 = 500;
/// Bytes that a page may have: streams come with all tags, and with what each has pointed to.
const PAGE_LIMIT: usize = 64 << 20;
/// Tags of listed streams that are kept until they are asked for, at most: some 5 MB.
const KEPT: usize = 20_000;
/// How long they are kept.
const KEPT_FOR: Duration = Duration::from_mins(5);

/// What the credentials need.
pub(crate) const RIGHTS: Rights = Rights {
    authenticate: "make a token of a service account: `oc create token tidewatch -n tidewatch --duration=8760h`, or a secret of \
                   the type kubernetes.io/service-account-token",
    list_repositories: "`oc adm policy add-cluster-role-to-user registry-viewer -z tidewatch -n tidewatch`, or in each project \
                        that stands under `namespaces`: `oc policy add-role-to-user registry-viewer \
                        system:serviceaccount:tidewatch:tidewatch -n PROJECT`",
    list_tags: "`oc policy add-role-to-user registry-viewer system:serviceaccount:tidewatch:tidewatch -n PROJECT`",
    pull: "`oc policy add-role-to-user system:image-puller system:serviceaccount:tidewatch:tidewatch -n PROJECT` \
           (registry-viewer allows it, too)",
};

/// Opens the registry of `opening`.
pub(crate) fn open(opening: &Opening) -> Result<Arc<dyn Registry>, RegistryError> {
    let identity: Arc<dyn Identity> = Arc::new(Fixed(token(opening)?));
    let address = opening.config.address();
    // The token is shown at once. The token server of the registry would give back the same one, or, for one that is
    // refused, the token `anonymous` with the status of a success.
    let registry = opening.endpoint(&address, "/v2/", Always(Arc::clone(&identity)))?;
    let api = opening.config.api_url.as_deref().unwrap_or_default().trim_end_matches('/');
    let listings = StreamListings {
        api: opening.endpoint(api, PREFIX, Always(identity))?,
        host: host(address.split_once("://").map_or("", |(_, host)| host)).to_owned(),
        namespaces: opening.config.namespaces.clone(),
        kept: Kept { clock: opening.ports.clock.clone(), streams: Mutex::default() },
    };
    Ok(Arc::new(WithListings { oci: OciClient::at(registry, opening), listings }))
}

/// The token of the configuration, which may have a user before it: what is before the last colon is not looked at, because
/// service accounts have colons in their names, and tokens none.
fn token(opening: &Opening) -> Result<Option<Proof>, RegistryError> {
    let Some(text) = &opening.found.credentials else { return Ok(None) };
    let wrong = || opening.misconfigured("the credentials are not of the form TOKEN or USER:TOKEN");
    let token = match text.login_or_token().map_err(|_| wrong())? {
        Proof::Password(login) => login.parts().1.rsplit(':').next().unwrap_or_default().to_owned(),
        Proof::Bearer(token) | Proof::Refresh(token) => token,
    };
    let is_token = !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic());
    if is_token { Ok(Some(Proof::Bearer(token))) } else { Err(wrong()) }
}

struct StreamListings {
    api: Endpoint,
    /// Host and port of the registry, as the configuration has them.
    host: String,
    namespaces: Vec<String>,
    kept: Kept,
}

#[derive(Deserialize)]
struct StreamList {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(deserialize_with = "pages::list")]
    items: Vec<Stream>,
}

#[derive(Default, Deserialize)]
struct ListMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// The answer for a place in a list that is too old. It names the same place in the list as it is now.
#[derive(Deserialize)]
struct Expired {
    #[serde(default)]
    metadata: ListMetadata,
}

#[derive(Deserialize)]
struct Stream {
    #[serde(default)]
    metadata: StreamMetadata,
    #[serde(default)]
    status: StreamStatus,
}

#[derive(Default, Deserialize)]
struct StreamMetadata {
    namespace: Option<String>,
    name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamStatus {
    docker_image_repository: Option<String>,
    public_docker_image_repository: Option<String>,
    tags: Option<Vec<StreamTag>>,
}

#[derive(Deserialize)]
struct StreamTag {
    #[serde(default)]
    tag: String,
    /// What it points to, and after that what it has pointed to.
    items: Option<Vec<TagEvent>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TagEvent {
    created: Option<String>,
    image: Option<String>,
    docker_image_reference: Option<String>,
}

impl StreamListings {
    /// A page of the streams below `path`, from `token` on.
    async fn page(
        &self,
        path: &str,
        token: Option<&str>,
        subject: &Subject,
    ) -> Result<StreamList, RegistryError> {
        let mut token = token.map(str::to_owned);
        let mut is_renewed = false;
        loop {
            let next = token
                .iter()
                .flat_map(|token| ["&continue="].into_iter().chain(byte_serialize(token.as_bytes())));
            let query: String = next.collect();
            let request = self.api.get(&format!("{path}?limit={PAGE_SIZE}{query}"), subject.what.clone())?;
            let answer = self.api.fetch(&request, PAGE_LIMIT).await?;
            if answer.status != StatusCode::GONE {
                let answer = self.api.success(answer, &request)?;
                return serde_json::from_slice(&answer.body)
                    .map_err(|error| subject.invalid(format!("it is not as documented: {error}")));
            }
            let expired: Option<Expired> = serde_json::from_slice(&answer.body).ok();
            token = expired.and_then(|expired| expired.metadata.next).filter(|next| !next.is_empty());
            if token.is_none() || is_renewed {
                return Err(
                    subject.invalid("the place where it goes on has expired: list it from its beginning")
                );
            }
            is_renewed = true;
        }
    }

    /// The tags of a stream, each as it is now.
    fn tags_of(&self, status: StreamStatus, subject: &Subject) -> Vec<ListedTag> {
        let own = [&status.docker_image_repository, &status.public_docker_image_repository];
        let own: Vec<String> = own.into_iter().flatten().map(|own| host(own).to_owned()).collect();
        let is_own = |reference: &str| {
            let host = host(reference);
            host == self.host || own.iter().any(|own| own == host)
        };
        let tags = status.tags.unwrap_or_default().into_iter();
        // One that was never pushed to, or failed to be imported, points to nothing.
        let current = tags.filter_map(|tag| Some((tag.tag, tag.items?.into_iter().next()?)));
        let listed = current.filter_map(|(tag, event)| {
            let is_here = event.docker_image_reference.as_deref().is_none_or(is_own);
            let pushed_at = rfc3339(event.created.as_deref());
            Some(ListedTag {
                digest: event.image.and_then(|image| image.parse().ok()),
                times: ImageTimes { pushed_at, ..ImageTimes::default() },
                state: if is_here { TagState::Available } else { TagState::Elsewhere },
                ..ListedTag::named(pages::name(subject, &tag)?)
            })
        });
        listed.collect()
    }
}

/// Host and port of `HOST[:PORT]/REPOSITORY`; a text without a slash is given back whole, and is the name of no host.
fn host(reference: &str) -> &str {
    reference.split_once('/').map_or(reference, |(host, _)| host)
}

/// What listings of streams have told of their tags, until it is asked for or too old.
struct Kept {
    clock: Arc<dyn Clock>,
    streams: Mutex<KeptStreams>,
}

#[derive(Default)]
struct KeptStreams {
    by_name: HashMap<RepositoryName, (Timestamp, Vec<ListedTag>)>,
    /// How many tags there are, and streams: one without tags takes room as well.
    size: usize,
}

impl KeptStreams {
    fn remove(&mut self, name: &RepositoryName) -> Option<(Timestamp, Vec<ListedTag>)> {
        let removed = self.by_name.remove(name)?;
        self.size -= removed.1.len() + 1;
        Some(removed)
    }

    fn remove_expired(&mut self, now: Timestamp) {
        self.by_name.retain(|_, (until, _)| now < *until);
        self.size = self.by_name.values().map(|(_, tags)| tags.len() + 1).sum();
    }
}

impl Kept {
    fn with<T>(&self, work: impl FnOnce(&mut KeptStreams, Timestamp) -> T) -> T {
        work(&mut self.streams.lock().unwrap_or_else(PoisonError::into_inner), self.clock.now())
    }

    /// Keeps the tags of `name`, where there is room.
    fn keep(&self, name: &RepositoryName, tags: Vec<ListedTag>) {
        self.with(|streams, now| {
            streams.remove(name);
            let size = tags.len() + 1;
            if streams.size + size > KEPT {
                streams.remove_expired(now);
            }
            if streams.size + size <= KEPT {
                streams.size += size;
                let until = now.saturating_add(KEPT_FOR).unwrap_or(Timestamp::MAX);
                streams.by_name.insert(name.clone(), (until, tags));
            }
        });
    }

    /// The tags of `name`, once: who asks again gets new ones.
    fn take(&self, name: &RepositoryName) -> Option<Vec<ListedTag>> {
        self.with(|streams, now| streams.remove(name).filter(|(until, _)| now < *until).map(|(_, tags)| tags))
    }
}

#[async_trait]
impl Listings for StreamListings {
    fn tells(&self) -> ListingTells {
        ListingTells { digest: true, pushed: true, ..ListingTells::NAMES }
    }

    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        let subject = self.api.subject("the list of repositories");
        let walk = Walk::at(cursor).map_err(|reason| subject.invalid(reason))?;
        let (path, subject) = match self.namespaces.get(walk.place) {
            Some(namespace) => (
                format!("{PREFIX}namespaces/{namespace}/imagestreams"),
                self.api.subject(format!("the list of repositories of {namespace}")),
            ),
            None if self.namespaces.is_empty() => (format!("{PREFIX}imagestreams"), subject),
            None => return Ok(ListPage { entries: Vec::new(), next: None }),
        };
        let list = self.page(&path, walk.cursor, &subject).await?;
        let mut entries = Vec::new();
        for stream in list.items {
            let StreamMetadata { namespace, name } = stream.metadata;
            let name = format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default());
            let Some(name) = pages::name(&subject, &name) else { continue };
            let of_tags = self.api.subject(format!("tags of {name}"));
            self.kept.keep(&name, self.tags_of(stream.status, &of_tags));
            entries.push(name);
        }
        let next = list.metadata.next.filter(|next| !next.is_empty());
        if next.is_some() && next.as_deref() == walk.cursor {
            return Err(subject.invalid("its next page is itself"));
        }
        Ok(ListPage { entries, next: walk.turn(next, self.namespaces.len()) })
    }

    /// What the last listing of streams told, where it is kept; else the stream is asked for.
    async fn tags(
        &self,
        repository: &RepositoryName,
        _: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        if let Some(entries) = self.kept.take(repository) {
            return Ok(ListPage { entries, next: None });
        }
        let subject = self.api.subject(format!("tags of {repository}"));
        let parts = repository.as_str().split_once('/').filter(|(_, name)| !name.contains('/'));
        let (namespace, name) =
            parts.ok_or_else(|| subject.invalid("an image stream is called NAMESPACE/NAME"))?;
        let path = format!("{PREFIX}namespaces/{namespace}/imagestreams/{name}");
        let request = self.api.get(&path, subject.what.clone())?;
        let (stream, _): (Stream, _) = self.api.json(&request, PAGE_LIMIT).await?;
        Ok(ListPage { entries: self.tags_of(stream.status, &subject), next: None })
    }
}
