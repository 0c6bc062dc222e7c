//! Which images hold a package: the postings of an organisation. They serve those who match images again because advisories
//! about a package have changed, and those who ask which images may have a vulnerability.
//!
//! Images are posted in segments of about a thousand, each an object; one item lists the segments, and says by what all
//! posted images are settled. An image whose result rests on something new is unposted at first (see [`Unposted`]), and
//! counts as one that may hold anything.

mod segment;
mod unposted;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::basis::Basis;
use tidewatch_core::image::ImageId;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::table::Condition;

use super::{RecordError, Records, corrupt, decode, encode, keys, unless_condition_failed};

pub use segment::{PostedImage, Segment, SegmentBuilder};
pub use unposted::{StoredUnposted, Unposted};

/// The postings of an organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postings {
    /// What every posted image is settled by: its findings and answers are those that this gives, or a message that names
    /// the image is on its way. None before images were ever sent for.
    pub covered: Option<Basis>,
    /// When all images were last sent to be matched again, whatever they hold.
    pub all_sent_at: Option<Timestamp>,
    /// The segments. A posted image is in at least one of them.
    pub segments: Vec<SegmentEntry>,
}

/// After what time all images are sent to be matched again in any case: that mends what a lost message has left undone.
const ALL_PERIOD: Duration = Duration::from_secs(7 * 24 * 3600);

impl Postings {
    /// Whether images are to be sent for at `now`, when results depend on `basis`.
    pub fn are_due(&self, basis: &Basis, now: Timestamp) -> bool {
        self.covered.as_ref() != Some(basis) || self.all_are_due(basis, now)
    }

    /// Names the change from these postings to `basis`.
    pub fn change(&self, basis: &Basis) -> Digest {
        let change = (&self.covered, &self.all_sent_at, basis);
        Digest::of(&serde_json::to_vec(&change).unwrap_or_default())
    }

    /// Whether all images are, whatever they hold.
    pub fn all_are_due(&self, basis: &Basis, now: Timestamp) -> bool {
        let Some(covered) = &self.covered else { return true };
        let is_recent = |sent: Timestamp| now < sent.checked_add(ALL_PERIOD).unwrap_or(Timestamp::MAX);
        let judged = |basis: &Basis| (basis.matching, basis.judging, basis.is_limited);
        judged(covered) != judged(basis) || !self.all_sent_at.is_some_and(is_recent)
    }
}

/// A segment in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// Its content hash.
    pub hash: Digest,
    /// The number of its images.
    pub images: u64,
    /// [`MATCHING`](tidewatch_core::basis::MATCHING) of the code that made its keys.
    pub matching: u32,
    /// When it was last looked through for images that have gone, or are posted elsewhere.
    pub checked_at: Timestamp,
}

/// Postings as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPostings {
    /// The postings.
    pub postings: Postings,
    /// Counts their changes, from 1.
    pub revision: i64,
}

impl Records {
    /// The postings of an organisation; `None` where there are none yet.
    pub async fn postings(&self, org: &OrgName) -> Result<Option<StoredPostings>, RecordError> {
        let Some(item) = self.table.get(&keys::postings(org)).await? else { return Ok(None) };
        Ok(Some(StoredPostings { postings: decode(&item)?, revision: item.number("revision").unwrap_or(0) }))
    }

    /// Stores postings that were computed from those that were `read` (none, where there were none). `false` when others
    /// have been stored since.
    ///
    /// Every change of what images are settled by, and of the segments, goes through here, so each of them has seen all
    /// that came before it.
    pub async fn put_postings(
        &self,
        org: &OrgName,
        postings: &Postings,
        read: Option<&StoredPostings>,
    ) -> Result<bool, RecordError> {
        let revision = read.map_or(0, |read| read.revision);
        let unchanged = match revision {
            0 => Condition::ItemAbsent,
            revision => Condition::Equal("revision".to_owned(), revision.into()),
        };
        let item = encode(keys::postings(org), postings)?.with("revision", revision + 1);
        Ok(unless_condition_failed(self.table.put(item, unchanged).await)?.is_some())
    }

    /// The images that may have one of `keys`, which are sorted: those that are posted with one, and all that are unposted.
    /// Sorted. Whether an image has what it is asked for, its inventory says.
    pub async fn images_with(&self, org: &OrgName, keys: &[u64]) -> Result<Vec<ImageId>, RecordError> {
        let mut found = BTreeSet::new();
        // Unposted images first: one that is posted meanwhile is in a segment that is read after that.
        for unposted in self.unposted(org, usize::MAX).await? {
            found.insert(unposted?.row.image);
        }
        let postings = self.postings(org).await?.map(|stored| stored.postings).unwrap_or_default();
        for entry in &postings.segments {
            let segment = self.segment(org, &entry.hash).await?;
            found.extend(segment.images_with(keys).cloned());
        }
        Ok(found.into_iter().collect())
    }

    /// Stores a segment, and gives its content hash. It counts once [`Postings`] list it.
    pub async fn put_segment(&self, org: &OrgName, segment: &Segment) -> Result<Digest, RecordError> {
        let content = segment.to_bytes().map_err(|error| corrupt("segment".to_owned(), error))?;
        let hash = Digest::of(&content);
        self.objects.put(&keys::object::segment(org, &hash), Bytes::from(content)).await?;
        Ok(hash)
    }

    /// The segment with this content hash. One that is listed and cannot be read is [`RecordError::Corrupt`].
    pub async fn segment(&self, org: &OrgName, hash: &Digest) -> Result<Segment, RecordError> {
        let key = keys::object::segment(org, hash);
        let content = self.objects.get(&key).await?;
        let segment = content.map(|bytes| Segment::from_bytes(&bytes));
        let segment = segment.unwrap_or_else(|| Err("it is not there".to_owned()));
        segment.map_err(|reason| corrupt(key, reason))
    }
}
