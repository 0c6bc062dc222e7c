//! The tags of one image path, as Google's registries list them: each manifest with its tags, times and size, and the paths
//! below this one. Where only names are told, they are listed alone.
//!
//! Reference: <https://github.com/google/go-containerregistry/blob/main/pkg/v1/google/list.go>

use std::collections::HashSet;

use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value};
use tidewatch_core::manifest::media_type;
use tidewatch_core::names::RepositoryName;
use tidewatch_core::ports::registry::{ListPage, ListedTag, RegistryError, TagState};
use tidewatch_core::rule::ImageTimes;

use crate::answer::Subject;
use crate::auth::Scope;
use crate::endpoint::Endpoint;
use crate::listed_time::milliseconds;
use crate::server::Request;
use crate::{listing, pages};

/// Tags to ask for on a page: the most that there may be.
const PAGE_SIZE: u16 = 10_000;
/// Bytes that a page may have. It holds the manifests without tags as well.
const PAGE_LIMIT: usize = 32 << 20;

/// A page of the tags of `path`; `cursor` is the `next` of the page before.
pub(crate) async fn page(
    registry: &Endpoint,
    path: &RepositoryName,
    cursor: Option<&str>,
) -> Result<ListPage<ListedTag>, RegistryError> {
    let (page, headers, request) = path_page(registry, path, cursor).await?;
    let next = listing::next(&headers).map(|link| listing::follow(registry, &request.url, link));
    let next = next.transpose().map_err(|reason| request.subject.invalid(reason))?;
    Ok(ListPage { entries: page.listed(&request.subject)?, next })
}

/// What the listing of one path says of the paths below it.
pub(super) struct PathListing {
    pub(super) children: Vec<String>,
    pub(super) holds_images: bool,
}

impl PathListing {
    /// That of `path`. All children stand on the first page.
    pub(super) async fn first(registry: &Endpoint, path: &RepositoryName) -> Result<Self, RegistryError> {
        let (page, ..) = path_page(registry, path, None).await?;
        let is_empty = page.manifest.is_none_or(|manifests| manifests.is_empty());
        let holds_images = !is_empty || page.tags.is_some_and(|tags| !tags.is_empty());
        Ok(Self { children: page.child.unwrap_or_default(), holds_images })
    }
}

/// A page of a listing of tags, with what Google adds to it.
#[derive(Deserialize)]
struct TagsPage {
    child: Option<Vec<String>>,
    /// By digest.
    manifest: Option<Map<String, Value>>,
    tags: Option<Vec<String>>,
}

/// Numbers are texts there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GoogleManifest {
    #[serde(default)]
    digest: String,
    image_size_bytes: Option<String>,
    media_type: Option<String>,
    time_created_ms: Option<String>,
    time_uploaded_ms: Option<String>,
    tag: Option<Vec<String>>,
}

async fn path_page(
    registry: &Endpoint,
    path: &RepositoryName,
    cursor: Option<&str>,
) -> Result<(TagsPage, HeaderMap, Request), RegistryError> {
    let first = format!("/v2/{path}/tags/list?n={PAGE_SIZE}");
    let request = registry.get(cursor.unwrap_or(&first), format!("tags of {path}"))?;
    let request = Request { scope: Scope::Pull(path.clone()), ..request };
    let (page, headers): (TagsPage, _) = registry.json(&request, PAGE_LIMIT).await?;
    if page.child.is_none() && page.manifest.is_none() && page.tags.is_none() {
        return Err(request
            .subject
            .invalid("it is no listing: neither tags nor what is below it stand there"));
    }
    Ok((page, headers, request))
}

impl TagsPage {
    /// Its tags, by the upload of what they point to; those of which only the name is told come last.
    fn listed(self, subject: &Subject) -> Result<Vec<ListedTag>, RegistryError> {
        let manifests = self.manifest.unwrap_or_default().into_iter().map(|(digest, mut manifest)| {
            if let Value::Object(manifest) = &mut manifest {
                manifest.insert("digest".to_owned(), Value::String(digest));
            }
            manifest
        });
        let mut manifests: Vec<GoogleManifest> = pages::entries(subject, manifests.collect())?;
        manifests.sort_by_key(|manifest| milliseconds(manifest.time_uploaded_ms.as_deref()));
        let mut listed: Vec<ListedTag> =
            manifests.into_iter().flat_map(|manifest| manifest.listed(subject)).collect();
        let told: HashSet<_> = listed.iter().map(|listed| listed.tag.as_str().to_owned()).collect();
        let untold = self.tags.unwrap_or_default().into_iter().filter(|tag| !told.contains(tag));
        listed.extend(pages::names(subject, untold).into_iter().map(ListedTag::named));
        Ok(listed)
    }
}

impl GoogleManifest {
    fn listed(self, subject: &Subject) -> Vec<ListedTag> {
        let state = if self.is_image() { TagState::Available } else { TagState::NotAnImage };
        let digest = self.digest.parse().ok();
        let times = ImageTimes {
            created_at: milliseconds(self.time_created_ms.as_deref()),
            pushed_at: milliseconds(self.time_uploaded_ms.as_deref()),
            pulled_at: None,
        };
        let size = self.image_size_bytes.and_then(|size| size.parse().ok());
        let tags = pages::names(subject, self.tag.unwrap_or_default());
        tags.into_iter()
            .map(|tag| ListedTag { digest, times, size, state, ..ListedTag::named(tag) })
            .collect()
    }

    /// Whether it may be an image: it is no manifest of anything else.
    fn is_image(&self) -> bool {
        self.media_type.as_deref().is_none_or(|name| {
            name.is_empty()
                || media_type::is_index(name)
                || media_type::is_image_manifest(name)
                || media_type::is_schema_1(name)
        })
    }
}
