//! Images that wait to be posted, or to be settled: one row for each, spread over a few partitions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::basis::Footing;
use tidewatch_core::image::ImageId;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::{Condition, Item, Query};

use super::super::{RecordError, Records, corrupt, decode, encode, keys, unless_condition_failed};

/// An image whose result rests on something new since it was posted, if it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unposted {
    /// The image.
    #[serde(flatten)]
    pub image: ImageId,
    /// The revision of the result with which this was noted, or of an earlier one that rested on the same.
    pub revision: i64,
    /// Content hash of the inventory of that result.
    pub inventory: Digest,
    /// What it is settled by: its findings and answers are those that this gives.
    pub footing: Footing,
    /// Whether a segment holds the image with this inventory already.
    pub is_posted: bool,
    /// Whether it cannot be matched from what is stored, and is left to its next scan.
    pub is_left: bool,
    /// When this was noted, or the result was made with which it was.
    pub noted_at: Timestamp,
}

/// An unposted image as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUnposted {
    /// The row.
    pub row: Unposted,
    data: String,
}

impl Unposted {
    pub(crate) fn item(&self, org: &OrgName) -> Result<Item, RecordError> {
        encode(keys::unposted(org, &self.image), self)
    }
}

impl Records {
    /// The row of an image, if it has one.
    pub async fn unposted_image(
        &self,
        org: &OrgName,
        image: &ImageId,
    ) -> Result<Option<StoredUnposted>, RecordError> {
        self.table.get(&keys::unposted(org, image)).await?.as_ref().map(read).transpose()
    }

    /// Up to `most` unposted images, of all partitions; each by itself, so that one that cannot be read does not hide the
    /// others.
    pub async fn unposted(
        &self,
        org: &OrgName,
        most: usize,
    ) -> Result<Vec<Result<StoredUnposted, RecordError>>, RecordError> {
        let mut found = Vec::new();
        for shard in 0..keys::UNPOSTED_SHARDS {
            self.unposted_of(org, shard, most, &mut found).await?;
        }
        Ok(found)
    }

    /// Up to `most` unposted images of one partition, which `spread` chooses: a sample.
    pub async fn unposted_sample(
        &self,
        org: &OrgName,
        spread: u64,
        most: usize,
    ) -> Result<Vec<Result<StoredUnposted, RecordError>>, RecordError> {
        let mut found = Vec::new();
        self.unposted_of(org, spread % keys::UNPOSTED_SHARDS, most, &mut found).await?;
        Ok(found)
    }

    async fn unposted_of(
        &self,
        org: &OrgName,
        shard: u64,
        most: usize,
        found: &mut Vec<Result<StoredUnposted, RecordError>>,
    ) -> Result<(), RecordError> {
        let mut query = Query::prefix(keys::unposted_partition(org, shard), "");
        while found.len() < most {
            query.limit = (most - found.len()).min(1000);
            let page = self.table.query(query.clone()).await?;
            found.extend(page.items.iter().map(read));
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        Ok(())
    }

    /// Notes that an image is unposted, if it is not noted yet.
    pub async fn note_unposted(&self, org: &OrgName, row: &Unposted) -> Result<(), RecordError> {
        unless_condition_failed(self.table.put(row.item(org)?, Condition::ItemAbsent).await).map(drop)
    }

    /// Writes the row of an image anew, if it is as it was `read`. `false` when it is not.
    pub async fn change_unposted(
        &self,
        org: &OrgName,
        row: &Unposted,
        read: &StoredUnposted,
    ) -> Result<bool, RecordError> {
        let put = self.table.put(row.item(org)?, read.unchanged());
        Ok(unless_condition_failed(put.await)?.is_some())
    }

    /// Removes the row of an image, if it is as it was `read`. `false` when it is not: then it stays.
    pub async fn remove_unposted(&self, org: &OrgName, read: &StoredUnposted) -> Result<bool, RecordError> {
        let key = keys::unposted(org, &read.row.image);
        Ok(unless_condition_failed(self.table.delete(&key, read.unchanged()).await)?.is_some())
    }
}

impl StoredUnposted {
    fn unchanged(&self) -> Condition {
        Condition::Equal("data".to_owned(), self.data.as_str().into())
    }
}

fn read(item: &Item) -> Result<StoredUnposted, RecordError> {
    let row = decode(item)?;
    let data = item.text("data").map(str::to_owned);
    let data = data.ok_or_else(|| corrupt(item.key.sort.clone(), "there is no `data`"))?;
    Ok(StoredUnposted { row, data })
}
