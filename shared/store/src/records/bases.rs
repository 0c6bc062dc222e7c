//! Images that others are built on: which images are built on which, what the tag of each points to now, and which image has
//! which layers.

use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::base::BaseStanding;
use tidewatch_core::image::ImageId;
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, Tag};
use tidewatch_core::ports::table::{Condition, Item, Query};

use super::{ITEM_VERSION, RecordError, Records, decode, encode, keys, unless_condition_failed};

/// Into how many turns the bases of an organisation are spread: one a minute, so that each is asked for four times a day.
pub const BASE_TURNS: u64 = 360;

/// An image by whose layers it was found as the base of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayeredImage {
    /// The registry that holds it.
    pub registry: RegistryId,
    /// The repository.
    pub repository: RepositoryName,
    /// The tag by which it was found.
    pub tag: Tag,
    /// Digest of its manifest.
    pub digest: Digest,
}

impl Records {
    /// Notes that `image` is built on the base of this name. Before it is read what the base's tag points to: who changes that
    /// looks for images afterwards.
    pub async fn put_on_base(&self, org: &OrgName, base: &str, image: &ImageId) -> Result<(), RecordError> {
        let row = encode(keys::on_base(org, base, image), image)?;
        let known = Item::new(keys::base_in_turn(org, base)).with("v", ITEM_VERSION);
        futures::future::try_join(
            self.table.put(row, Condition::Always),
            self.table.put(known, Condition::Always),
        )
        .await?;
        Ok(())
    }

    /// The images that are built on the base of this name.
    pub async fn images_on_base(&self, org: &OrgName, base: &str) -> Result<Vec<ImageId>, RecordError> {
        let rows = self.all(Query::prefix(keys::base_partition(org, base), keys::ON_BASE)).await?;
        rows.iter().map(decode).collect()
    }

    /// The names of the bases whose turn it is, of [`BASE_TURNS`].
    pub async fn bases_in_turn(&self, org: &OrgName, turn: u64) -> Result<Vec<String>, RecordError> {
        let rows = self.all(Query::prefix(keys::bases_partition(org, turn), "")).await?;
        Ok(rows.into_iter().map(|item| item.key.sort).collect())
    }

    /// What the tag of a base points to; `None` when nobody has asked yet.
    pub async fn base_standing(
        &self,
        org: &OrgName,
        base: &str,
    ) -> Result<Option<BaseStanding>, RecordError> {
        self.record(&keys::base(org, base)).await
    }

    /// Stores what the tag of a base points to, unless somebody has asked later. `false` then.
    pub async fn put_base_standing(
        &self,
        org: &OrgName,
        base: &str,
        standing: &BaseStanding,
    ) -> Result<bool, RecordError> {
        let checked_at = standing.checked_at.as_millisecond();
        let item = encode(keys::base(org, base), standing)?.with("version", checked_at);
        let is_newer = Condition::Any(vec![
            Condition::Absent("version".to_owned()),
            Condition::LessOrEqual("version".to_owned(), checked_at.into()),
        ]);
        Ok(unless_condition_failed(self.table.put(item, is_newer).await)?.is_some())
    }

    /// Notes which image has exactly the layers that `chain` names. The first one stays, also when others have them.
    pub async fn put_layered(
        &self,
        org: &OrgName,
        chain: &Digest,
        image: &LayeredImage,
    ) -> Result<(), RecordError> {
        let item = encode(keys::chain(org, chain), image)?.with("repository", name(image).as_str());
        let is_its = Condition::Any(vec![
            Condition::ItemAbsent,
            Condition::Equal("repository".to_owned(), name(image).as_str().into()),
        ]);
        unless_condition_failed(self.table.put(item, is_its).await).map(drop)
    }

    /// The image with the most layers among those that have exactly the layers that one of `chains` names, the shortest first.
    /// Images of the repository itself do not count: they are other versions.
    pub async fn most_layered(
        &self,
        org: &OrgName,
        chains: &[Digest],
        (registry, repository): (&RegistryId, &RepositoryName),
    ) -> Result<Option<LayeredImage>, RecordError> {
        let found = self.items(chains.iter().map(|chain| keys::chain(org, chain)).collect()).await?;
        // A row that cannot be read names no image.
        let mut images = found.iter().rev().flatten().filter_map(|item| decode::<LayeredImage>(item).ok());
        Ok(images.find(|image| (&image.registry, &image.repository) != (registry, repository)))
    }
}

fn name(image: &LayeredImage) -> String {
    format!("{}/{}", image.registry, image.repository)
}
