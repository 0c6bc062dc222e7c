//! Posts the images that wait for it: puts them into segments, and small segments together.
//!
//! A row is removed only after postings were stored over those that were read before it. So whoever changes by what images
//! are settled has seen the image, in its row or in a segment. What is left half-way is done by the next compaction.

use std::collections::HashSet;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use tidewatch_advisories::keys_of;
use tidewatch_core::basis::{Basis, MATCHING};
use tidewatch_core::image::ImageId;
use tidewatch_core::names::OrgName;
use tidewatch_core::retry::Retry;
use tidewatch_core::work::{RematchMessage, RematchTask};
use tidewatch_core::{Retryable as _, Timestamp};
use tidewatch_store::records::{
    PostedImage, Postings, RecordError, Segment, SegmentBuilder, SegmentEntry, StoredUnposted, Unposted,
};

use crate::changes::readable;
use crate::{RematchError, RematchImages};

/// The most rows that one compaction looks at.
const MOST_ROWS: usize = 50_000;

/// The most segments of the usual size: their list must fit into an item.
const MOST_SEGMENTS: u64 = 500;

/// How many rows or objects are read or written at the same time.
const AT_ONCE: usize = 16;

/// After what time a segment is looked through again for images that have gone, or are posted elsewhere.
const CHECK_PERIOD: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long an image may be unsettled before it is sent for: a scan looks again itself.
const SETTLING: Duration = Duration::from_secs(300);

/// The rows that are taken.
#[derive(Default)]
struct Taken {
    /// To be put into a segment.
    new: Vec<StoredUnposted>,
    /// In a segment already.
    posted: Vec<StoredUnposted>,
    /// Neither, now.
    unsettled: Vec<Unposted>,
    /// Whether there are more.
    more: bool,
}

impl RematchImages {
    /// Posts the images that wait for it, as far as they are settled by what all others are, and sends for those that have
    /// been unsettled for a while. Another message goes on where there is more to do.
    pub(crate) async fn compact(&self, org: &OrgName) -> Result<(), RematchError> {
        // The postings are read before the rows, and stored after that.
        let Some(read) = self.records.postings(org).await? else { return Ok(()) };
        let Some(covered) = &read.postings.covered else { return Ok(()) };
        let target = self.segment_size(&read.postings);
        let rows = self.records.unposted(org, MOST_ROWS).await?;
        let is_cut = rows.len() == MOST_ROWS;
        let taken = take(readable(org, rows), target, |row| row.footing.is_of(covered));
        let (segments, new) = match self.segments(org, &read.postings, target, taken.new).await {
            Err(RematchError::Segment { hash, source }) => {
                return self.forget_segment(org, Some(&read), &hash, source).await;
            }
            segments => segments?,
        };
        let has_taken = !new.is_empty() || !taken.posted.is_empty();
        if has_taken || segments != read.postings.segments {
            let postings = Postings { segments, ..read.postings.clone() };
            if !self.records.put_postings(org, &postings, Some(&read)).await? {
                // Somebody else was at work: the next one goes on from there.
                return Ok(());
            }
            let count = new.len() + taken.posted.len();
            self.remove(org, new.into_iter().chain(taken.posted)).await?;
            tracing::debug!(org.name = %org, images.posted = count, "images posted");
        }
        self.settle_old(org, covered, taken.unsettled).await?;
        if has_taken && (taken.more || is_cut) {
            self.send(&[RematchMessage::new(org.clone(), Some(RematchTask::Compact {}))]).await?;
        }
        Ok(())
    }

    async fn remove(
        &self,
        org: &OrgName,
        rows: impl Iterator<Item = StoredUnposted>,
    ) -> Result<(), RecordError> {
        let mut removed = futures::stream::iter(rows)
            .map(|row| async move { self.records.remove_unposted(org, &row).await })
            .buffer_unordered(AT_ONCE);
        // One that was written anew meanwhile stays.
        while removed.try_next().await?.is_some() {}
        Ok(())
    }

    /// Sends for images that are not settled, while nothing else will: a change that was undone within a moment sends for
    /// nobody, and a message may have been lost.
    async fn settle_old(
        &self,
        org: &OrgName,
        covered: &Basis,
        unsettled: Vec<Unposted>,
    ) -> Result<(), RematchError> {
        let now = self.clock.now();
        let Some(in_force) = self.records.in_force(org, None).await? else { return Ok(()) };
        if unsettled.is_empty() || in_force.basis(now) != *covered {
            return Ok(());
        }
        let is_old = |row: &Unposted| elapsed(row.noted_at, now) >= SETTLING;
        let old = unsettled.into_iter().filter(is_old).map(|row| row.image).collect();
        self.settle(org, covered, old).await
    }

    /// The segments when the images of `rows` are in them, and those of the rows whose images are.
    async fn segments(
        &self,
        org: &OrgName,
        postings: &Postings,
        target: u64,
        rows: Vec<StoredUnposted>,
    ) -> Result<(Vec<SegmentEntry>, Vec<StoredUnposted>), RematchError> {
        let mut segments = postings.segments.clone();
        let now = self.clock.now();
        if let Some(position) = to_check(&segments, now) {
            let entry = segments.remove(position);
            segments.extend(self.check(org, entry).await?);
        }
        if rows.is_empty() {
            return Ok((segments, rows));
        }
        let mut builder = SegmentBuilder::new();
        let mut seen = HashSet::new();
        let rows = self.add_rows(org, rows, &mut builder, &mut seen).await?;
        // The smallest, as long as one segment is enough.
        segments.sort_by_key(|entry| entry.images);
        let mut size = builder.len() as u64;
        while let Some(entry) = segments.first() {
            if entry.matching != MATCHING || size + entry.images > target {
                break;
            }
            size += entry.images;
            let entry = segments.remove(0);
            let segment = self.segment(org, &entry).await?;
            let kept = self.kept(org, &entry, &segment).await?;
            builder.add_segment(&segment, |posted| {
                kept.contains(&posted.image) && seen.insert(posted.image.clone())
            });
        }
        if !builder.is_empty() {
            segments.push(self.store(org, &builder.build()).await?);
        }
        Ok((segments, rows))
    }

    /// Adds the images of `rows`, and gives the rows back whose inventory is there.
    async fn add_rows(
        &self,
        org: &OrgName,
        rows: Vec<StoredUnposted>,
        builder: &mut SegmentBuilder,
        seen: &mut HashSet<ImageId>,
    ) -> Result<Vec<StoredUnposted>, RematchError> {
        let mut inventories = futures::stream::iter(rows)
            .map(|row| async move {
                let inventory = match self.records.inventory(org, &row.row.inventory).await {
                    Err(error) if error.retry() == Retry::Never => None,
                    inventory => inventory?,
                };
                let keys =
                    inventory.map(|inventory| keys_of(inventory.distribution.as_ref(), &inventory.packages));
                Ok::<_, RematchError>((row, keys))
            })
            .buffer_unordered(AT_ONCE);
        let mut added = Vec::new();
        while let Some((row, keys)) = inventories.try_next().await? {
            let Unposted { image, inventory, .. } = row.row.clone();
            if let Some(keys) = keys {
                seen.insert(image.clone());
                builder.add(PostedImage { image, inventory }, keys);
                added.push(row);
            } else {
                // What it holds cannot be told: it stays a row until it is scanned.
                let left = Unposted { is_left: true, ..row.row.clone() };
                self.records.change_unposted(org, &left, &row).await?;
            }
        }
        Ok(added)
    }

    /// A segment without the images that have gone, or are posted elsewhere; none when no image is left.
    async fn check(&self, org: &OrgName, entry: SegmentEntry) -> Result<Option<SegmentEntry>, RematchError> {
        let segment = self.segment(org, &entry).await?;
        let kept = self.kept(org, &entry, &segment).await?;
        if kept.len() as u64 == entry.images {
            return Ok(Some(SegmentEntry { checked_at: self.clock.now(), ..entry }));
        }
        let mut builder = SegmentBuilder::new();
        builder.add_segment(&segment, |posted| kept.contains(&posted.image));
        if builder.is_empty() {
            return Ok(None);
        }
        let stored = self.store(org, &builder.build()).await?;
        Ok(Some(SegmentEntry { matching: entry.matching, ..stored }))
    }

    /// The images of a segment whose results are of the inventories that it has the keys of. That of any other is posted
    /// elsewhere, or has a row.
    async fn kept(
        &self,
        org: &OrgName,
        entry: &SegmentEntry,
        segment: &Segment,
    ) -> Result<HashSet<ImageId>, RematchError> {
        let images: Vec<ImageId> = segment.images().iter().map(|posted| posted.image.clone()).collect();
        let results = self.records.results(org, &images).await?;
        let is_kept = |posted: &PostedImage, stored: Option<&tidewatch_core::result::ImageResult>| {
            stored.is_some_and(|result| {
                result.inventory == Some(posted.inventory) && result.matching == entry.matching
            })
        };
        let mut kept = HashSet::new();
        for (posted, stored) in segment.images().iter().zip(results) {
            let keep = match &stored {
                Ok(stored) => is_kept(posted, stored.as_ref().map(|stored| &stored.result)),
                // Nothing is known of it.
                Err(_) => true,
            };
            if keep {
                kept.insert(posted.image.clone());
            }
        }
        Ok(kept)
    }

    /// How many images a segment is to have.
    fn segment_size(&self, postings: &Postings) -> u64 {
        let images: u64 = postings.segments.iter().map(|entry| entry.images).sum();
        self.settings.images_per_segment.max(images / MOST_SEGMENTS)
    }

    async fn store(&self, org: &OrgName, segment: &Segment) -> Result<SegmentEntry, RecordError> {
        let hash = self.records.put_segment(org, segment).await?;
        let images = segment.images().len() as u64;
        Ok(SegmentEntry { hash, images, matching: MATCHING, checked_at: self.clock.now() })
    }
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// The segment to look through: one whose keys are of another version, or the one that was not for the longest time.
fn to_check(segments: &[SegmentEntry], now: Timestamp) -> Option<usize> {
    let other = segments.iter().position(|entry| entry.matching != MATCHING);
    other.or_else(|| {
        let (oldest, entry) = segments.iter().enumerate().min_by_key(|(_, entry)| entry.checked_at)?;
        (elapsed(entry.checked_at, now) >= CHECK_PERIOD).then_some(oldest)
    })
}

/// Sorts rows by what is to be done with them; of those that are to be put into a segment, at most `most`.
fn take(
    rows: impl Iterator<Item = StoredUnposted>,
    most: u64,
    is_settled: impl Fn(&Unposted) -> bool,
) -> Taken {
    let mut taken = Taken::default();
    for stored in rows.filter(|stored| !stored.row.is_left) {
        match stored.row {
            _ if !is_settled(&stored.row) => taken.unsettled.push(stored.row),
            Unposted { is_posted: true, .. } => taken.posted.push(stored),
            _ if taken.new.len() as u64 >= most => taken.more = true,
            _ => taken.new.push(stored),
        }
    }
    taken
}
