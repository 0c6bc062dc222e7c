//! The slots of a repository in `latest-indexed`, set right after tags have left: the newest image that is left and was
//! scanned takes the place of one that is gone.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::Timestamp;
use tidewatch_core::image::Image;
use tidewatch_core::names::{RepositoryName, StreamName, Tag};
use tidewatch_core::result::ResultState;
use tidewatch_core::stream::{Member, Slot};
use tidewatch_store::records::{Filling, HeldSlot, ImagePlace, StoredResult, TagRecord, TaggedImage};

use crate::ResolveError;
use crate::listing::Listing;

/// By how much what takes a place is newer than what had it: whatever is still written of that has the older time.
const AFTER: Duration = Duration::from_millis(1);

/// An image that may stand in a slot.
struct Candidate {
    image: Image,
    tag: Tag,
    seen_at: Timestamp,
    counted: bool,
}

impl Listing<'_> {
    /// Sets the slots of a repository right, which has these tags left. One is looked at closely when what stands there is behind
    /// none of them any more, when something else has left it before, or when a forgotten tag is chosen again (`is_revived`).
    /// What was pushed since the listing began is newer than all that it has seen. Gives what has stood there.
    pub(crate) async fn settle_slots(
        &self,
        repository: &RepositoryName,
        remaining: &[TagRecord],
        is_revived: bool,
        begun_at: Timestamp,
    ) -> Result<Vec<HeldSlot>, ResolveError> {
        let mut all = Vec::new();
        for slot in self.applied.counting.slots(&self.message.registry, repository) {
            let held = self.held(&slot).await?;
            let Some(held) = held else {
                self.fill(&slot, remaining).await?;
                continue;
            };
            if held.seen_at < begun_at && (is_revived || !self.is_right(&held, &slot, remaining).await?) {
                self.settle_slot(&slot, &held, remaining).await?;
            }
            all.push(held);
        }
        Ok(all)
    }

    async fn held(&self, slot: &Slot) -> Result<Option<HeldSlot>, ResolveError> {
        let latest = StreamName::latest_indexed();
        Ok(self.resolver.records.slot(&self.message.org, &latest, slot).await?)
    }

    /// Fills a slot in which nothing ever stood though images are older than it is: whoever was to fill it when images came to be
    /// counted otherwise may have failed.
    async fn fill(&self, slot: &Slot, remaining: &[TagRecord]) -> Result<(), ResolveError> {
        let counting = &self.applied.counting;
        let older = remaining.iter().filter(|record| counting.is_older(record.seen_at));
        let older: Vec<&TagRecord> = older.collect();
        if let Some((newest, stored)) = self.newest_scanned(slot, &older).await? {
            self.enter(slot, newest, &stored).await?;
        }
        Ok(())
    }

    /// Puts the newest image in the slot that is left and was scanned, or empties it.
    async fn settle_slot(
        &self,
        slot: &Slot,
        held: &HeldSlot,
        remaining: &[TagRecord],
    ) -> Result<(), ResolveError> {
        let (records, message, latest) = (&self.resolver.records, self.message, StreamName::latest_indexed());
        let newest = self.newest_scanned(slot, &remaining.iter().collect::<Vec<_>>()).await?;
        let newest_at = newest.as_ref().map(|(newest, _)| newest.seen_at);
        if held.member.as_ref().is_some_and(|member| self.is_awaited(member, slot, remaining, newest_at)) {
            return Ok(());
        }
        let after = held.seen_at.checked_add(AFTER).unwrap_or(Timestamp::MAX);
        let Some((newest, stored)) = newest else {
            if let Some(member) = &held.member {
                records.leave_slot(&message.org, &latest, slot, &member.image, after).await?;
            }
            return Ok(());
        };
        if held.member.as_ref().is_some_and(|member| member.image == newest.image) {
            return Ok(());
        }
        let newest = Candidate { seen_at: newest.seen_at.max(after), ..newest };
        self.enter(slot, newest, &stored).await
    }

    async fn enter(
        &self,
        slot: &Slot,
        Candidate { image, tag, seen_at, counted }: Candidate,
        stored: &StoredResult,
    ) -> Result<(), ResolveError> {
        let (records, org) = (&self.resolver.records, &self.message.org);
        let place = ImagePlace { image: image.clone(), tag: tag.clone(), seen_at, counted };
        records.put_place(org, &place).await?;
        let Some(in_force) = records.in_force(org, None).await? else { return Ok(()) };
        let mut filling = Filling::new(stored, &in_force, self.resolver.clock.now());
        let member = Member::pending(image, tag, seen_at).in_slot(slot);
        Ok(records.enter_slot(org, &StreamName::latest_indexed(), member, &mut filling).await?)
    }

    fn takes(&self, slot: &Slot, image: &TaggedImage) -> bool {
        self.applied.counting.takes(slot, &image.platform, image.counted)
    }

    /// The newest of the images behind these tags that may stand in the slot and was scanned, by the order of slots: when its
    /// tag was first seen to point to it, when it was made, its digest.
    async fn newest_scanned(
        &self,
        slot: &Slot,
        remaining: &[&TagRecord],
    ) -> Result<Option<(Candidate, StoredResult)>, ResolveError> {
        let mut candidates: Vec<Candidate> = remaining
            .iter()
            .flat_map(|record| {
                record.images.iter().filter(|image| self.takes(slot, image)).map(|image| Candidate {
                    image: self.image(&slot.repository, image),
                    tag: record.tag.clone(),
                    seen_at: record.seen_at,
                    counted: image.counted,
                })
            })
            .collect();
        candidates.sort_by_key(|candidate| Reverse(candidate.seen_at));
        let mut newest: Option<(Candidate, StoredResult)> = None;
        for candidate in candidates {
            // All that follow were seen earlier.
            if newest.as_ref().is_some_and(|(newest, _)| newest.seen_at > candidate.seen_at) {
                break;
            }
            let Some(stored) = self.scanned(&candidate.image).await? else { continue };
            let order = |candidate: &Candidate, stored: &StoredResult| {
                let created = stored.result.created_at.map_or(0, Timestamp::as_second).max(0);
                (candidate.seen_at, created, candidate.image.digest)
            };
            let is_newer = newest
                .as_ref()
                .is_none_or(|(known, of_known)| order(known, of_known) < order(&candidate, &stored));
            if is_newer {
                newest = Some((candidate, stored));
            }
        }
        Ok(newest)
    }

    /// The result of an image, if it is one with which it may stand for its repository.
    async fn scanned(&self, image: &Image) -> Result<Option<StoredResult>, ResolveError> {
        let records = &self.resolver.records;
        let stored = records.result(&self.message.org, &image.digest, &image.platform).await?;
        let is_scanned = |stored: &StoredResult| {
            !matches!(stored.result.state, ResultState::Pending | ResultState::Failed)
        };
        Ok(stored.filter(is_scanned))
    }

    /// Whether what stands in a slot is what its tag points to, or pointed to before it moved to an image that takes the slot
    /// once it is scanned: then it is that of the newest without looking at the others.
    async fn is_right(
        &self,
        held: &HeldSlot,
        slot: &Slot,
        remaining: &[TagRecord],
    ) -> Result<bool, ResolveError> {
        let Some(member) = &held.member else { return Ok(false) };
        let holds = |record: &&TagRecord| {
            let mut images = record.images.iter().filter(|image| self.takes(slot, image));
            images.any(|image| {
                (&image.digest, &image.platform) == (&member.image.digest, &member.image.platform)
            })
        };
        if let Some(seen_at) = remaining.iter().filter(holds).map(|record| record.seen_at).max() {
            // It took the place of another when it was not the newest.
            return Ok(seen_at >= member.seen_at);
        }
        let moved =
            remaining.iter().filter(|record| record.tag == member.tag && record.seen_at > member.seen_at);
        let mut awaited =
            moved.flat_map(|record| record.images.iter()).filter(|image| self.takes(slot, image));
        match awaited.next() {
            Some(image) => Ok(self.scanned(&self.image(&slot.repository, image)).await?.is_none()),
            None => Ok(false),
        }
    }

    /// Whether what stands in a slot has to wait for another image that its tag points to now, and that is not scanned yet: none
    /// that was `newest_at` is newer than both.
    fn is_awaited(
        &self,
        member: &Member,
        slot: &Slot,
        remaining: &[TagRecord],
        newest_at: Option<Timestamp>,
    ) -> bool {
        let is_older = |record: &TagRecord| {
            newest_at.is_none_or(|newest_at| newest_at < record.seen_at && newest_at < member.seen_at)
        };
        let takes = |record: &TagRecord| record.images.iter().any(|image| self.takes(slot, image));
        remaining.iter().any(|record| record.tag == member.tag && takes(record) && is_older(record))
    }
}
