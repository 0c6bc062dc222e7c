//! Listings of the tags of a repository that have not taken effect: objects, because they can be long. And when images were
//! made that were looked at for their age alone, so that no registry is asked that twice.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, Tag};
use tidewatch_core::rule::ImageTimes;
use tidewatch_core::work::RunId;

use super::{RecordError, Records, TagRecord, corrupt, keys};

/// A tag of a listing whose name its rule chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedTag {
    /// The tag.
    pub tag: Tag,
    /// What it pointed to.
    pub digest: Digest,
    /// When something happened to that, where the rule looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<ImageTimes>,
    /// As it is to be recorded when the rule chooses it; none where only its age was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<TagRecord>,
    /// Whether that is not as it was recorded.
    pub is_changed: bool,
    /// What it was recorded to point to before that, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<(Digest, Timestamp)>,
}

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedPart {
    /// The tags whose names the rule chooses.
    pub tags: Vec<StagedTag>,
    /// Of the tags that were recorded before, the others that the registry still has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchosen: Vec<Tag>,
    /// The positions of those of all its tags that need work, in the order in which a run takes them that takes only so many;
    /// in the last part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<usize>,
}

impl StagedPart {
    /// Takes off what comes after so many tags of either kind.
    #[must_use]
    pub fn split_off(&mut self, (tags, unchosen): (usize, usize)) -> Self {
        let (tags, unchosen) = (self.tags.split_off(tags), self.unchosen.split_off(unchosen));
        Self { tags, unchosen, order: Vec::new() }
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.unchosen.is_empty()
    }
}

/// When images were made, by what tags point to; none where their configurations do not say it.
pub type CreatedTimes = BTreeMap<Digest, Option<Timestamp>>;

/// One listing of a run: of the tags of a repository.
#[derive(Clone, Copy, Debug)]
pub struct StagedListing<'a> {
    /// The organisation.
    pub org: &'a OrgName,
    /// The run.
    pub run: &'a RunId,
    /// The registry.
    pub registry: &'a RegistryId,
    /// The repository.
    pub repository: &'a RepositoryName,
}

impl Records {
    /// Keeps a part of what was listed, and gives its name.
    pub async fn put_staged_tags(
        &self,
        listing: StagedListing<'_>,
        tags: &StagedPart,
    ) -> Result<Digest, RecordError> {
        let StagedListing { org, run, registry, repository } = listing;
        let content = serde_json::to_vec(tags).map_err(|error| corrupt("staged tags".to_owned(), error))?;
        let part = Digest::of(&content);
        let key = keys::object::staged_tags(org, run, registry, repository, &part);
        self.objects.put(&key, Bytes::from(content)).await?;
        Ok(part)
    }

    /// What is in these parts, one after the other. A part that is missing is an error: the listing has to begin anew.
    pub async fn staged_tags(
        &self,
        listing: StagedListing<'_>,
        parts: &[Digest],
    ) -> Result<StagedPart, RecordError> {
        let StagedListing { org, run, registry, repository } = listing;
        let mut all = StagedPart::default();
        for part in parts {
            let key = keys::object::staged_tags(org, run, registry, repository, part);
            let read: Option<StagedPart> = self.object(&key).await?;
            let StagedPart { tags, unchosen, order } = read.ok_or_else(|| corrupt(key, "it is not there"))?;
            all.order.extend(order);
            all.tags.extend(tags);
            all.unchosen.extend(unchosen);
        }
        Ok(all)
    }

    /// Removes these parts of a listing, which need not be there.
    pub async fn remove_staged_tags(
        &self,
        listing: StagedListing<'_>,
        parts: &[Digest],
    ) -> Result<(), RecordError> {
        let StagedListing { org, run, registry, repository } = listing;
        for part in parts {
            let key = keys::object::staged_tags(org, run, registry, repository, part);
            self.objects.delete(&key).await?;
        }
        Ok(())
    }

    /// Keeps the names of repositories that a listing of a registry is done with, and gives the name of that.
    pub async fn put_staged_repositories(
        &self,
        org: &OrgName,
        run: &RunId,
        registry: &RegistryId,
        repositories: &[RepositoryName],
    ) -> Result<Digest, RecordError> {
        let content = serde_json::to_vec(repositories)
            .map_err(|error| corrupt("staged repositories".to_owned(), error))?;
        let part = Digest::of(&content);
        let key = keys::object::staged_repositories(org, run, registry, &part);
        self.objects.put(&key, Bytes::from(content)).await?;
        Ok(part)
    }

    /// What is in these parts. A part that is missing is an error: the listing has to begin anew.
    pub async fn staged_repositories(
        &self,
        org: &OrgName,
        run: &RunId,
        registry: &RegistryId,
        parts: &[Digest],
    ) -> Result<BTreeSet<RepositoryName>, RecordError> {
        let mut repositories = BTreeSet::new();
        for part in parts {
            let key = keys::object::staged_repositories(org, run, registry, part);
            let read: Option<Vec<RepositoryName>> = self.object(&key).await?;
            repositories.extend(read.ok_or_else(|| corrupt(key, "it is not there"))?);
        }
        Ok(repositories)
    }

    /// Removes these parts of a listing of a registry, which need not be there.
    pub async fn remove_staged_repositories(
        &self,
        org: &OrgName,
        run: &RunId,
        registry: &RegistryId,
        parts: &[Digest],
    ) -> Result<(), RecordError> {
        for part in parts {
            self.objects.delete(&keys::object::staged_repositories(org, run, registry, part)).await?;
        }
        Ok(())
    }

    /// When images of a repository were made, as far as the listings of a rule have looked at that.
    pub async fn created_times(&self, listing: StagedListing<'_>) -> Result<CreatedTimes, RecordError> {
        let StagedListing { org, run, registry, repository } = listing;
        let times = self.object(&keys::object::created_times(org, &run.rule, registry, repository)).await?;
        Ok(times.unwrap_or_default())
    }

    /// Keeps when images of a repository were made, for the rule of a listing.
    pub async fn put_created_times(
        &self,
        listing: StagedListing<'_>,
        times: &CreatedTimes,
    ) -> Result<(), RecordError> {
        let StagedListing { org, run, registry, repository } = listing;
        self.put_object(&keys::object::created_times(org, &run.rule, registry, repository), times).await
    }
}
