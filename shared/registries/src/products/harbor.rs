//! Harbor 2: lists by its API, which takes a password with every request, and is read as any registry. Its API tells every time,
//! and every pull of a manifest counts as one, also ours.
//!
//! API: <https://github.com/goharbor/harbor/blob/main/api/v2.0/swagger.yaml>

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use tidewatch_core::Digest;
use tidewatch_core::image::Platform;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{ListPage, ListedTag, ListingTells, RegistryError, TagState};
use tidewatch_core::rule::ImageTimes;

use crate::answer::Subject;
use crate::auth::Always;
use crate::endpoint::Endpoint;
use crate::listed_platform::platform;
use crate::listed_time::rfc3339;
use crate::listing;
use crate::opening::Opening;
use crate::pages::{self, Walk};
use crate::products::oci::OciClient;
use crate::products::{Listings, WithListings};
use crate::rights::Rights;

/// What the path of everything in the API begins with.
const API: &str = "/api/v2.0/";
/// The most entries that a page may have.
const PAGE_SIZE: u32 = 100;
/// Bytes that a page may have.
const PAGE_LIMIT: usize = 16 << 20;
/// The header that says how many entries all pages have together.
const TOTAL: &str = "x-total-count";
/// What is wanted of artifacts: those that have tags, the last pushed first, and nothing that costs more to say. The query `q` is
/// one value.
const ARTIFACTS: &str =
    "with_tag=true&with_label=false&with_scan_overview=false&with_accessory=false&q=tags%3D*&sort=-push_time";

/// What the credentials need.
pub(crate) const RIGHTS: Rights = Rights {
    authenticate: "make a robot account (Administration > Robot Accounts, or Robot Accounts of the project), and give \
                   NAME:SECRET with the whole name that Harbor shows, such as robot$tidewatch or robot$team+tidewatch",
    list_repositories: "give the robot account the permission `List Repository` in the project, and check the names under \
                        `namespaces`: they are those of projects",
    list_tags: "give the robot account the permission `List Artifact` in the project",
    pull: "give the robot account the permission `Pull Repository` in the project",
};

/// Opens the registry of `opening`.
pub(crate) fn open(opening: &Opening) -> Result<Arc<dyn Registry>, RegistryError> {
    let oci = OciClient::at(opening.registry(opening.login()?)?, opening);
    let api = opening.endpoint(&opening.config.address(), API, Always(opening.login()?))?;
    let listings = HarborListings { api, projects: opening.config.namespaces.clone() };
    Ok(Arc::new(WithListings { oci, listings }))
}

struct HarborListings {
    api: Endpoint,
    projects: Vec<String>,
}

#[derive(Deserialize)]
struct ListedRepository {
    name: String,
}

#[derive(Deserialize)]
struct Artifact {
    /// `IMAGE`, `CHART`, `CNAB`, `UNKNOWN` and the like.
    #[serde(rename = "type")]
    kind: Option<String>,
    digest: Option<String>,
    /// Of an index, the sum of what it refers to.
    size: Option<i64>,
    push_time: Option<String>,
    pull_time: Option<String>,
    extra_attrs: Option<Attributes>,
    references: Option<Vec<Reference>>,
    tags: Option<Vec<ArtifactTag>>,
}

/// What the configuration of an image says; an index has none.
#[derive(Deserialize)]
struct Attributes {
    // Of what is no image these can be anything.
    created: Option<Value>,
    os: Option<Value>,
    architecture: Option<Value>,
}

#[derive(Deserialize)]
struct Reference {
    platform: Option<ReferencePlatform>,
}

#[derive(Deserialize)]
struct ReferencePlatform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

#[derive(Deserialize)]
struct ArtifactTag {
    name: String,
    push_time: Option<String>,
    pull_time: Option<String>,
}

impl HarborListings {
    /// The page `number` of what is at `path` and `query`, and the number of the next.
    async fn page<T: for<'de> Deserialize<'de>>(
        &self,
        path_and_query: &str,
        number: u32,
        subject: &Subject,
    ) -> Result<(Vec<T>, Option<u32>), RegistryError> {
        let path_and_query = format!("{API}{path_and_query}page_size={PAGE_SIZE}&page={number}");
        let request = self.api.get(&path_and_query, subject.what.as_str())?;
        let (values, headers): (Option<Vec<Value>>, _) = self.api.json(&request, PAGE_LIMIT).await?;
        let entries = pages::entries(subject, values.unwrap_or_default())?;
        Ok((entries, has_next(&headers, number).then(|| number.saturating_add(1))))
    }
}

/// Whether there is a page after the one with this number: by the link to it, and where no link came through, by the count of all
/// entries.
fn has_next(headers: &HeaderMap, number: u32) -> bool {
    let total = || headers.get(TOTAL)?.to_str().ok()?.trim().parse::<u64>().ok();
    listing::next(headers).is_some()
        || total().is_some_and(|total| total > u64::from(number) * u64::from(PAGE_SIZE))
}

#[async_trait]
impl Listings for HarborListings {
    fn tells(&self) -> ListingTells {
        ListingTells { digest: true, created: true, pushed: true, pulled: true, size: true, platforms: true }
    }

    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        let subject = self.api.subject("the list of repositories");
        let walk = Walk::at(cursor).map_err(|reason| subject.invalid(reason))?;
        let number = pages::number(walk.cursor).map_err(|reason| subject.invalid(reason))?;
        let (path, subject) = match self.projects.get(walk.place) {
            Some(project) => {
                let subject = self.api.subject(format!("the list of repositories of {project}"));
                (format!("projects/{}/repositories?", escaped(project)), subject)
            }
            None if self.projects.is_empty() => ("repositories?".to_owned(), subject),
            None => return Ok(ListPage { entries: Vec::new(), next: None }),
        };
        let (repositories, next) = self.page::<ListedRepository>(&path, number, &subject).await?;
        let entries = pages::names(&subject, repositories.iter().map(|repository| &repository.name));
        let next = next.map(|number| number.to_string());
        Ok(ListPage { entries, next: walk.turn(next, self.projects.len()) })
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        let subject = self.api.subject(format!("tags of {repository}"));
        let number = pages::number(cursor).map_err(|reason| subject.invalid(reason))?;
        // Everything is in a project.
        let (project, name) = repository.as_str().split_once('/').ok_or_else(|| subject.not_found())?;
        // A slash is encoded twice, because Harbor decodes the path before it looks where a name ends.
        let path =
            format!("projects/{project}/repositories/{}/artifacts?{ARTIFACTS}&", name.replace('/', "%252F"));
        let (artifacts, next) = self.page::<Artifact>(&path, number, &subject).await?;
        let entries = artifacts.into_iter().flat_map(|artifact| artifact.into_tags(&subject)).collect();
        Ok(ListPage { entries, next: next.map(|number| number.to_string()) })
    }
}

/// The name of a project as a part of a path.
fn escaped(project: &str) -> String {
    url::form_urlencoded::byte_serialize(project.as_bytes()).collect()
}

impl Artifact {
    /// What is said of it, once for each of its tags. One without tags is not listed.
    fn into_tags(self, subject: &Subject) -> Vec<ListedTag> {
        let is_image = self.kind.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("IMAGE"));
        let state = if is_image { TagState::Available } else { TagState::NotAnImage };
        let digest: Option<Digest> = self.digest.as_deref().and_then(|digest| digest.parse().ok());
        let size = self.size.and_then(|size| u64::try_from(size).ok()).filter(|size| *size > 0);
        let platforms = self.platforms();
        let created = self.extra_attrs.as_ref().and_then(|attributes| attributes.created.as_ref()?.as_str());
        let (created_at, pulled_at) = (rfc3339(created), rfc3339(self.pull_time.as_deref()));
        let listed = |tag: ArtifactTag| {
            let times = ImageTimes {
                created_at,
                pushed_at: rfc3339(tag.push_time.as_deref()).or_else(|| rfc3339(self.push_time.as_deref())),
                // The artifact is also pulled by its digest, or by another tag.
                pulled_at: rfc3339(tag.pull_time.as_deref()).max(pulled_at),
            };
            let named = ListedTag::named(pages::name(subject, &tag.name)?);
            Some(ListedTag { digest, times, size, platforms: platforms.clone(), state, ..named })
        };
        self.tags.unwrap_or_default().into_iter().filter_map(listed).collect()
    }

    /// Those of what an index refers to, else that of the image itself.
    fn platforms(&self) -> Vec<Platform> {
        let references = self.references.as_deref().unwrap_or_default();
        if !references.is_empty() {
            let platforms = references.iter().filter_map(|reference| reference.platform.as_ref());
            return platforms
                .filter_map(|of| {
                    platform(of.os.as_deref(), of.architecture.as_deref(), of.variant.as_deref())
                })
                .collect();
        }
        let attributes = self.extra_attrs.as_ref();
        let own = attributes.and_then(|of| {
            let [os, architecture] = [&of.os, &of.architecture].map(|part| part.as_ref()?.as_str());
            platform(os, architecture, None)
        });
        own.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_next_page_by_the_link_or_by_the_count() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
        };
        let next =
            r#"</api/v2.0/repositories?page=1>; rel="prev" , </api/v2.0/repositories?page=3>; rel="next""#;
        assert!(has_next(&headers(&[("link", next)]), 2));
        let previous = r#"</api/v2.0/repositories?page=1>; rel="prev""#;
        assert!(!has_next(&headers(&[("link", previous), (TOTAL, "200")]), 2));
        assert!(has_next(&headers(&[(TOTAL, "201")]), 2));
        assert!(!has_next(&headers(&[]), 1) && !has_next(&headers(&[(TOTAL, "many")]), 1));
    }
}
