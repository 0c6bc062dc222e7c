//! Repositories and their tags as they were last listed.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::config::{Config, RuleConfig};
use tidewatch_core::image::{ImageId, Platform};
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, RuleId, Tag};
use tidewatch_core::ports::table::{Condition, Cursor, Item, Query};
use tidewatch_core::rule::select;

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
    /// The rules that chose it when they last looked at it; `None` in what earlier versions have stored, which did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_by: Option<BTreeSet<RuleId>>,
    /// When a complete listing noted that the registry does not have it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_at: Option<Timestamp>,
    /// Whether it has left `latest-indexed` because no rule chooses it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgotten: bool,
}

impl TagRecord {
    /// Whether none of the rules of `config` chooses it in this place any more, so that nothing of it is pulled. A rule that
    /// chose it and whose patterns do not match it by now does not count.
    pub fn is_idle(&self, config: &Config, registry: &RegistryId, repository: &RepositoryName) -> bool {
        self.chosen_by.as_ref().is_some_and(|chosen_by| {
            let names = config.repository_names(registry, repository);
            let chooses = |rule: &RuleConfig| {
                chosen_by.contains(&rule.id)
                    && rule.registries.contains(registry)
                    && select(rule, &names, &self.tag).is_selected()
            };
            !config.rules.iter().any(chooses)
        })
    }

    /// The same as `rules` choose it, which a listing or a push has found.
    #[must_use]
    pub fn chosen(self, rules: &[RuleId]) -> Self {
        let mut chosen_by = self.chosen_by.unwrap_or_default();
        chosen_by.extend(rules.iter().cloned());
        Self { chosen_by: Some(chosen_by), missing_at: None, forgotten: false, ..self }
    }
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

    /// Those of one registry.
    pub async fn repositories_of(
        &self,
        org: &OrgName,
        registry: &RegistryId,
    ) -> Result<BTreeSet<RepositoryName>, RecordError> {
        let items = self.all(Query::prefix(keys::repositories(org), format!("{registry}/"))).await?;
        items.into_iter().map(|item| Ok(read_place(&item.key.sort)?.1)).collect()
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

    /// Replaces what is recorded of a tag, `known`, by what else is known of it. `false` when somebody has changed it since it
    /// was read: then nothing is written.
    pub async fn change_tag(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        repository: &RepositoryName,
        (known, changed): (&TagRecord, &TagRecord),
    ) -> Result<bool, RecordError> {
        let key = keys::tag(org, registry, repository, &known.tag);
        let item = encode(key, changed)?.with("seen_at", millis(changed.seen_at));
        let written = self.table.put(item, is_still(known)?).await;
        Ok(unless_condition_failed(written)?.is_some())
    }

    /// Removes what is recorded of a tag, unless somebody has changed that since `known` was read: then gives `false`.
    pub async fn remove_tag(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        repository: &RepositoryName,
        known: &TagRecord,
    ) -> Result<bool, RecordError> {
        let key = keys::tag(org, registry, repository, &known.tag);
        let removed = self.table.delete(&key, is_still(known)?).await;
        Ok(unless_condition_failed(removed)?.is_some())
    }

    /// Removes a repository from those that were listed.
    pub async fn remove_repository(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        repository: &RepositoryName,
    ) -> Result<(), RecordError> {
        let key = keys::known_repository(org, registry, repository);
        Ok(self.table.delete(&key, Condition::Always).await?)
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

/// Holds while what is recorded of a tag is what was read.
fn is_still(known: &TagRecord) -> Result<Condition, RecordError> {
    let data = serde_json::to_string(known).map_err(|error| corrupt(known.tag.to_string(), error))?;
    Ok(Condition::Equal("data".to_owned(), data.into()))
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
