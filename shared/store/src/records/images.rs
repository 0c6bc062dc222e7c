//! Images: what is known of their manifests, and which repositories hold them.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::image::{Image, Platform};
use tidewatch_core::manifest::LayerDescriptor;
use tidewatch_core::metadata::{ImageMetadata, ManifestMetadata};
use tidewatch_core::names::{OrgName, Tag};
use tidewatch_core::ports::table::{Condition, Query};

use super::{RecordError, Records, corrupt, decode, encode, keys, millis, unless_condition_failed};

/// What a rescan needs of an image's manifest and configuration, so that it asks no registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageManifest {
    /// The layers, base first.
    pub layers: Vec<LayerDescriptor>,
    /// When the image was made, by its configuration.
    pub created_at: Option<Timestamp>,
    /// What else they say; `None` in what earlier versions have stored, which did not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<ManifestMetadata>,
}

/// A repository that holds an image, and how it was found there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagePlace {
    /// The image, with its registry and repository.
    pub image: Image,
    /// The tag by which it was found.
    pub tag: Tag,
    /// When that tag was first seen to point to it.
    pub seen_at: Timestamp,
    /// Whether the gauges count this platform of the image.
    pub counted: bool,
}

impl ImagePlace {
    /// The place as it was seen last, counted if either is.
    fn merged(&self, other: &Self) -> Self {
        let last = if self.seen_at > other.seen_at { self } else { other };
        Self { counted: self.counted || other.counted, ..last.clone() }
    }
}

impl Records {
    /// What is known of the manifest `digest`.
    pub async fn image_manifest(
        &self,
        org: &OrgName,
        digest: &Digest,
    ) -> Result<Option<ImageManifest>, RecordError> {
        self.object(&keys::object::image_manifest(org, digest)).await
    }

    /// Keeps what is known of the manifest `digest`.
    pub async fn put_image_manifest(
        &self,
        org: &OrgName,
        digest: &Digest,
        manifest: &ImageManifest,
    ) -> Result<(), RecordError> {
        self.put_object(&keys::object::image_manifest(org, digest), manifest).await
    }

    /// Stores what is known of an image beside its packages, by its hash, unless that is `known` already. `None` for nothing.
    pub async fn put_image_metadata(
        &self,
        org: &OrgName,
        metadata: &ImageMetadata,
        known: Option<Digest>,
    ) -> Result<Option<Digest>, RecordError> {
        if *metadata == ImageMetadata::default() {
            return Ok(None);
        }
        let content = serde_json::to_vec(metadata).map_err(|error| corrupt("metadata".to_owned(), error))?;
        let hash = Digest::of(&content);
        if known != Some(hash) {
            self.put_content(&keys::object::image_metadata(org, &hash), Bytes::from(content)).await?;
        }
        Ok(Some(hash))
    }

    /// What is known of an image beside its packages, by the hash that its result holds; `None` when it is not there.
    pub async fn image_metadata(
        &self,
        org: &OrgName,
        hash: Option<Digest>,
    ) -> Result<Option<ImageMetadata>, RecordError> {
        match hash {
            Some(hash) => self.object(&keys::object::image_metadata(org, &hash)).await,
            None => Ok(Some(ImageMetadata::default())),
        }
    }

    /// Records where an image is: whoever stores a result finds by this every slot that the result is for. Where it was
    /// seen there later already, that stays. A place that is counted stays so: one digest can stand behind several
    /// tags, and which of them is scanned first must not matter.
    pub async fn put_place(&self, org: &OrgName, place: &ImagePlace) -> Result<(), RecordError> {
        let key = keys::image_place(org, &place.image);
        loop {
            let item = self.table.get(&key).await?;
            let unchanged = match item.as_ref().and_then(|item| item.text("data")) {
                None => Condition::ItemAbsent,
                Some(data) => Condition::Equal("data".to_owned(), data.into()),
            };
            let stored: Option<ImagePlace> = item.as_ref().map(decode).transpose()?;
            let merged = stored.as_ref().map_or_else(|| place.clone(), |stored| stored.merged(place));
            if stored.as_ref() == Some(&merged) {
                return Ok(());
            }
            let item = encode(key.clone(), &merged)?.with("seen_at", millis(merged.seen_at));
            if unless_condition_failed(self.table.put(item, unchanged).await)?.is_some() {
                return Ok(());
            }
        }
    }

    /// Removes the place of an image, unless it was seen there after `seen_by`, or is in an environment there.
    pub async fn remove_place(
        &self,
        org: &OrgName,
        image: &Image,
        seen_by: Timestamp,
    ) -> Result<(), RecordError> {
        if self.is_in_environment(org, image).await? {
            return Ok(());
        }
        let seen = Condition::LessOrEqual("seen_at".to_owned(), millis(seen_by).into());
        unless_condition_failed(self.table.delete(&keys::image_place(org, image), seen).await).map(drop)
    }

    /// Every repository that is known to hold an image.
    pub async fn places(
        &self,
        org: &OrgName,
        digest: &Digest,
        platform: &Platform,
    ) -> Result<Vec<ImagePlace>, RecordError> {
        let items =
            self.all(Query::prefix(keys::image_partition(org, digest, platform), keys::PLACE)).await?;
        items.iter().map(decode).collect()
    }

    /// How an image was found in its repository; `None` where it was not.
    pub async fn place(&self, org: &OrgName, image: &Image) -> Result<Option<ImagePlace>, RecordError> {
        self.record(&keys::image_place(org, image)).await
    }

    /// An object that holds JSON.
    pub(super) async fn object<T: serde::de::DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<T>, RecordError> {
        let decode =
            |bytes: Bytes| serde_json::from_slice(&bytes).map_err(|error| corrupt(key.to_owned(), error));
        self.objects.get(key).await?.map(decode).transpose()
    }

    /// Stores an object that holds JSON.
    pub(super) async fn put_object<T: Serialize + Sync>(
        &self,
        key: &str,
        value: &T,
    ) -> Result<(), RecordError> {
        let content = serde_json::to_vec(value).map_err(|error| corrupt(key.to_owned(), error))?;
        Ok(self.objects.put(key, Bytes::from(content)).await?)
    }
}
