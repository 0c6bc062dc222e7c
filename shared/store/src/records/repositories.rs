//! Repositories and their tags as they were last listed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::image::{ImageId, Platform};
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, Tag};
use tidewatch_core::ports::table::{Condition, Cursor, Item, Query};

use super::{
    ITEM_VERSION, RecordError, Records, corrupt, decode, encode, keys, millis, unless_condition_failed,
};

/// A tag and what it points to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagRecord {
    /// The tag.
    pub tag: Tag,
    /// The digest that it points to: of an index or of an image.
    pub digest: Digest,
    /// The images behind it that are to be scanned; none for what is no image.
    pub images: Vec<TaggedImage>,
    /// Why there are no images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// The platforms that were asked for.
    #[serde(default)]
    pub platforms: Vec<Platform>,
    /// When the tag was first seen to point there.
    pub seen_at: Timestamp,
}

/// One image behind a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaggedImage {
    /// Digest of the image's manifest.
    pub digest: Digest,
    /// Its platform.
    pub platform: Platform,
    /// Whether the gauges count this platform.
    pub counted: bool,
    /// The manifests beside it that hold attestations about it; `None` in what earlier versions have stored, which did not
    /// look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestations: Option<Vec<Digest>>,
}

impl TaggedImage {
    /// The image, wherever it is.
    pub fn id(&self) -> ImageId {
        ImageId { digest: self.digest, platform: self.platform.clone() }
    }
}

/// Some tags of a repository.
#[derive(Debug)]
pub struct TagPage {
    /// The tags. One that cannot be read does not hide the others.
    pub tags: Vec<Result<TagRecord, RecordError>>,
    /// The tag after which to go on; `None` at the end.
    pub next: Option<Tag>,
}

/// Some repositories.
#[derive(Debug)]
pub struct RepositoryPage {
    /// The repositories, each with its registry.
    pub repositories: Vec<(RegistryId, RepositoryName)>,
    /// The text `REGISTRY/REPOSITORY` after which to go on; `None` at the end.
    pub next: Option<String>,
}

impl Records {
    /// Notes that these repositories of a registry exist; it writes those that are not known yet.
    pub async fn put_repositories(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        repositories: &[RepositoryName],
    ) -> Result<(), RecordError> {
        let keys = repositories.iter().map(|repository| keys::known_repository(org, registry, repository));
        let known = self.items(keys.collect()).await?;
        let new = repositories.iter().zip(known).filter(|(_, known)| known.is_none());
        for (repository, _) in new {
            self.put_repository(org, registry, repository).await?;
        }
        Ok(())
    }

    /// Notes that a repository exists.
    pub async fn put_repository(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        repository: &RepositoryName,
    ) -> Result<(), RecordError> {
        let key = keys::known_repository(org, registry, repository);
        Ok(self.table.put(Item::new(key).with("v", ITEM_VERSION), Condition::Always).await?)
    }

    /// The repositories that were ever listed, sorted.
    pub async fn repositories(
        &self,
        org: &OrgName,
    ) -> Result<Vec<(RegistryId, RepositoryName)>, RecordError> {
        let items = self.all(Query::prefix(keys::repositories(org), "")).await?;
        items.into_iter().map(|item| read_place(&item.key.sort)).collect()
    }

    /// Up to `most` of the repositories that were ever listed, sorted by `REGISTRY/REPOSITORY`: those after that text
    /// `after`. With the text after which to go on; `None` at the end.
    pub async fn repositories_page(
        &self,
        org: &OrgName,
        after: Option<&str>,
        most: usize,
    ) -> Result<RepositoryPage, RecordError> {
        let mut query = Query::prefix(keys::repositories(org), "").limit(most.max(1));
        query.after = after.map(|after| Cursor(after.to_owned()));
        let page = self.table.query(query).await?;
        let repositories =
            page.items.iter().map(|item| read_place(&item.key.sort)).collect::<Result<_, _>>()?;
        Ok(RepositoryPage { repositories, next: page.next.map(|cursor| cursor.0) })
    }

    /// The tags of a repository as they were last listed, sorted by tag.
    pub async fn tags(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        repository: &RepositoryName,
    ) -> Result<Vec<TagRecord>, RecordError> {
        let items = self.all(Query::prefix(keys::repository(org, registry, repository), keys::TAG)).await?;
        items.iter().map(decode).collect()
    }

    /// What is recorded of one tag.
    pub async fn tag(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<TagRecord>, RecordError> {
        self.record(&keys::tag(org, registry, repository, tag)).await
    }

    /// Up to `most` tags of a repository as they were last listed, sorted by tag: those after `after`.
    pub async fn tags_page(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        repository: &RepositoryName,
        after: Option<&Tag>,
        most: usize,
    ) -> Result<TagPage, RecordError> {
        let mut query =
            Query::prefix(keys::repository(org, registry, repository), keys::TAG).limit(most.max(1));
        query.after = after.map(|tag| Cursor(keys::tag(org, registry, repository, tag).sort));
        let page = self.table.query(query).await?;
        let next = page.next.map(|cursor| read_tag(&cursor.0)).transpose()?;
        Ok(TagPage { tags: page.items.iter().map(decode).collect(), next })
    }

    /// Records what a tag points to, unless it was seen to point elsewhere later: a listing and a push can resolve it at
    /// the same time.
    pub async fn put_tag(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        repository: &RepositoryName,
        tag: &TagRecord,
    ) -> Result<(), RecordError> {
        let seen_at = millis(tag.seen_at);
        let item = encode(keys::tag(org, registry, repository, &tag.tag), tag)?.with("seen_at", seen_at);
        let not_newer = Condition::Any(vec![
            Condition::Absent("seen_at".to_owned()),
            Condition::LessOrEqual("seen_at".to_owned(), seen_at.into()),
        ]);
        unless_condition_failed(self.table.put(item, not_newer).await).map(drop)
    }
}

fn read_tag(sort: &str) -> Result<Tag, RecordError> {
    let tag = sort.strip_prefix(keys::TAG).and_then(|tag| tag.parse().ok());
    tag.ok_or_else(|| corrupt(sort.to_owned(), "it names no tag"))
}

fn read_place(place: &str) -> Result<(RegistryId, RepositoryName), RecordError> {
    let bad = |reason: &str| corrupt(place.to_owned(), reason);
    let (registry, repository) = place.split_once('/').ok_or_else(|| bad("there is no repository"))?;
    let registry = registry.parse().map_err(|_| bad("the registry is none"))?;
    Ok((registry, repository.parse().map_err(|_| bad("the repository is none"))?))
}
