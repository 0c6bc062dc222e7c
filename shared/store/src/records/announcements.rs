//! Images that are newly affected by vulnerabilities, until that is told. A row is written in the transaction of the result
//! that found it, with what has ever been announced of the image, so that nothing is announced twice and nothing is missed
//! by whoever dies in between.
//!
//! Rows are spread over a few partitions, and one sender at a time works on each.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::basis::Basis;
use tidewatch_core::finding::Finding;
use tidewatch_core::image::ImageId;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::{Condition, Item, Query, Update, Write};

use super::{
    DAY, ITEM_VERSION, RecordError, Records, decode, encode, keys, millis, time_to_live,
    unless_condition_failed,
};

/// Into how many partitions the announcements of an organisation are spread.
pub const ANNOUNCEMENT_SHARDS: u64 = 4;

/// How long an announcement waits at most: what is older is no news, and is not told any more.
const LIFE: Duration = Duration::from_secs(7 * DAY.as_secs());

/// The most bytes that ids of vulnerabilities have in an item, of which a table takes 400 KiB: a result must not fail to be
/// stored because of what is told of it.
const MOST_BYTES: usize = 300 * 1024;

/// An image that is newly affected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The image.
    #[serde(flatten)]
    pub image: ImageId,
    /// Revision of the result that found it.
    pub revision: i64,
    /// The vulnerabilities that are still to be told, worst first.
    pub vulnerabilities: Vec<String>,
    /// When that result was made.
    pub noted_at: Timestamp,
}

impl Announcement {
    /// Whether it is so long ago at `now` that it is not told any more.
    pub fn is_old(&self, now: Timestamp) -> bool {
        self.noted_at.checked_add(LIFE).is_ok_and(|end| end <= now)
    }
}

/// An announcement as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnnouncement {
    /// The announcement.
    pub announcement: Announcement,
    data: String,
}

/// What is written with a result that was computed from `before`, beside itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alongside<'a> {
    /// What all images of the organisation are settled by, where that is known: a result by that, of an inventory that is
    /// posted, leaves nothing to be done, and nothing is noted.
    pub covered: Option<&'a Basis>,
    /// The vulnerabilities that newly affect the image, worst first. Those that were announced before are left out.
    pub newly_affecting: &'a [String],
    /// All that affects the image.
    pub findings: &'a [Finding],
}

impl Records {
    /// What is to be written with a result of `image`, so that what newly affects it is announced; nothing when it has been.
    /// It counts only in the transaction of a result that was computed from what is stored now.
    pub(super) async fn announcing(
        &self,
        org: &OrgName,
        image: &ImageId,
        (revision, noted_at): (i64, Timestamp),
        alongside: Alongside<'_>,
    ) -> Result<Vec<Write>, RecordError> {
        if alongside.newly_affecting.is_empty() {
            return Ok(Vec::new());
        }
        let key = keys::announced(org, image);
        let mut announced: BTreeSet<String> = self.record(&key).await?.unwrap_or_default();
        let newly = alongside.newly_affecting.iter();
        let newly: Vec<String> = newly.filter(|id| !announced.contains(*id)).cloned().collect();
        let count = newly.len();
        let newly: Vec<String> = within_an_item(newly).collect();
        if newly.is_empty() {
            return Ok(Vec::new());
        }
        if newly.len() < count {
            let left_out = count - newly.len();
            tracing::error!(org.name = %org, image = %image, vulnerabilities.count = left_out, "too much is newly found to be told");
        }
        let known = bytes(&announced) + bytes(&newly);
        if known > MOST_BYTES {
            // What does not affect the image any more is forgotten first.
            let findings = alongside.findings.iter();
            let affecting: BTreeSet<&String> = findings.map(|finding| &finding.vulnerability).collect();
            announced.retain(|id| affecting.contains(id));
        }
        let announced: BTreeSet<String> = within_an_item(newly.iter().cloned().chain(announced)).collect();
        let row = Announcement { image: image.clone(), revision, vulnerabilities: newly, noted_at };
        let item = encode(keys::announcement(org, image, revision), &row)?;
        let item = item.with("ttl", time_to_live(noted_at, LIFE));
        let announced = encode(key, &announced)?;
        Ok(vec![Write::Put(item, Condition::Always), Write::Put(announced, Condition::Always)])
    }

    /// Up to `most` announcements of a shard, below [`ANNOUNCEMENT_SHARDS`]; each by itself, so that one that cannot be read
    /// does not hide the others.
    pub async fn announcements(
        &self,
        org: &OrgName,
        shard: u64,
        most: usize,
    ) -> Result<Vec<Result<StoredAnnouncement, RecordError>>, RecordError> {
        let query = Query::prefix(keys::announcement_partition(org, shard), keys::ANNOUNCEMENT).limit(most);
        Ok(self.table.query(query).await?.items.iter().map(read).collect())
    }

    /// Whether the caller alone may tell the announcements of a shard until `until`. It is given back by the time alone.
    pub async fn lease_announcements(
        &self,
        org: &OrgName,
        shard: u64,
        (now, until): (Timestamp, Timestamp),
    ) -> Result<bool, RecordError> {
        let free = Condition::Any(vec![
            Condition::Absent("until".to_owned()),
            Condition::LessOrEqual("until".to_owned(), millis(now).into()),
        ]);
        let update = Update::default().set("until", millis(until)).set("v", ITEM_VERSION);
        let leased = self.table.update(&keys::announcement_lease(org, shard), update, free).await;
        Ok(unless_condition_failed(leased)?.is_some())
    }

    /// Gives a shard back that was leased until `until`, before that.
    pub async fn return_announcements(
        &self,
        org: &OrgName,
        shard: u64,
        until: Timestamp,
    ) -> Result<(), RecordError> {
        let ours = Condition::Equal("until".to_owned(), millis(until).into());
        let returned = self.table.delete(&keys::announcement_lease(org, shard), ours).await;
        unless_condition_failed(returned).map(drop)
    }

    /// Notes that this is still to be told of an announcement: with nothing, it is gone. What somebody else has noted since it
    /// was `read` stays.
    pub async fn keep_announcement(
        &self,
        org: &OrgName,
        read: &StoredAnnouncement,
        vulnerabilities: Vec<String>,
    ) -> Result<(), RecordError> {
        let StoredAnnouncement { announcement, data } = read;
        let key = keys::announcement(org, &announcement.image, announcement.revision);
        let as_read = Condition::Equal("data".to_owned(), data.as_str().into());
        let noted = if vulnerabilities.is_empty() {
            self.table.delete(&key, as_read).await
        } else {
            let left = Announcement { vulnerabilities, ..announcement.clone() };
            let item = encode(key, &left)?.with("ttl", time_to_live(announcement.noted_at, LIFE));
            self.table.put(item, as_read).await
        };
        unless_condition_failed(noted).map(drop)
    }
}

/// The first of `ids` that one item can hold.
fn within_an_item(ids: impl IntoIterator<Item = String>) -> impl Iterator<Item = String> {
    let mut room = MOST_BYTES;
    ids.into_iter().map_while(move |id| {
        room = room.checked_sub(size(&id))?;
        Some(id)
    })
}

fn bytes<'a>(ids: impl IntoIterator<Item = &'a String>) -> usize {
    ids.into_iter().map(|id| size(id)).sum()
}

/// What an id takes in a list: itself, two quotes and a comma.
const fn size(id: &str) -> usize {
    id.len() + 3
}

fn read(item: &Item) -> Result<StoredAnnouncement, RecordError> {
    let data = item.text("data").unwrap_or_default().to_owned();
    Ok(StoredAnnouncement { announcement: decode(item)?, data })
}
