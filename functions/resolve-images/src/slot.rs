//! The slot of a repository in `latest-indexed`, set right after tags have left: the newest image that is left and was
//! scanned takes the place of one that is gone.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::Timestamp;
use tidewatch_core::image::Image;
use tidewatch_core::names::{RepositoryName, StreamName, Tag};
use tidewatch_core::result::ResultState;
use tidewatch_core::stream::Member;
use tidewatch_store::records::{Filling, HeldSlot, ImagePlace, StoredResult, TagRecord};

use crate::ResolveError;
use crate::listing::Listing;

/// By how much what takes a place is newer than what had it: whatever is still written of that has the older time.
const AFTER: Duration = Duration::from_millis(1);

/// An image that may stand for its repository.
struct Candidate {
    image: Image,
    tag: Tag,
    seen_at: Timestamp,
}

impl Listing<'_> {
    /// Sets the slot of a repository right, which has these tags left. It is looked at closely when what stands there is behind
    /// none of them any more, when something else has left it before, or when a forgotten tag is chosen again (`is_revived`).
    /// What was pushed since the listing began is newer than all that it has seen. Gives what has stood there.
    pub(crate) async fn settle_slot(
        &self,
        repository: &RepositoryName,
        remaining: &[TagRecord],
        is_revived: bool,
        begun_at: Timestamp,
    ) -> Result<Option<HeldSlot>, ResolveError> {
        let (records, message, latest) = (&self.resolver.records, self.message, StreamName::latest_indexed());
        let (org, registry) = (&message.org, &message.registry);
        let Some(slot) = records.slot(org, &latest, registry, repository).await? else {
            return Ok(None);
        };
        if slot.seen_at >= begun_at || (!is_revived && is_right(&slot, remaining)) {
            return Ok(Some(slot));
        }
        let newest = self.newest_scanned(repository, remaining).await?;
        let after = slot.seen_at.checked_add(AFTER).unwrap_or(Timestamp::MAX);
        let Some((Candidate { image, tag, seen_at }, stored)) = newest else {
            if let Some(member) = &slot.member {
                records.leave_slot(org, &latest, &member.image, false, after).await?;
            }
            return Ok(Some(slot));
        };
        if slot.member.as_ref().is_some_and(|member| member.image == image) {
            return Ok(Some(slot));
        }
        let seen_at = seen_at.max(after);
        let place = ImagePlace { image: image.clone(), tag: tag.clone(), seen_at, counted: true };
        records.put_place(org, &place).await?;
        let Some(in_force) = records.in_force(org, None).await? else { return Ok(Some(slot)) };
        let mut filling = Filling::new(&stored, &in_force, self.resolver.clock.now());
        let member = Member::pending(image, tag, seen_at);
        records.enter_slot(org, &latest, member, &mut filling).await?;
        Ok(Some(slot))
    }

    /// The newest of the images behind these tags that counts and was scanned, by the order of slots: when its tag was first
    /// seen to point to it, when it was made, its digest.
    async fn newest_scanned(
        &self,
        repository: &RepositoryName,
        remaining: &[TagRecord],
    ) -> Result<Option<(Candidate, StoredResult)>, ResolveError> {
        let mut candidates: Vec<Candidate> = remaining
            .iter()
            .flat_map(|record| {
                record.images.iter().filter(|image| image.counted).map(|image| {
                    let (image, tag) = (self.image(repository, image), record.tag.clone());
                    Candidate { image, tag, seen_at: record.seen_at }
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
            let Image { digest, platform, .. } = &candidate.image;
            let stored = self.resolver.records.result(&self.message.org, digest, platform).await?;
            let is_scanned = |stored: &StoredResult| {
                !matches!(stored.result.state, ResultState::Pending | ResultState::Failed)
            };
            let Some(stored) = stored.filter(is_scanned) else { continue };
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
}

/// Whether what stands in a slot is what its tag points to, or pointed to before it moved: then the slot is that of the newest
/// without looking at the others.
fn is_right(slot: &HeldSlot, remaining: &[TagRecord]) -> bool {
    let Some(member) = &slot.member else { return false };
    let holds = |record: &&TagRecord| {
        let is_it = |digest, platform| (digest, platform) == (&member.image.digest, &member.image.platform);
        record.images.iter().any(|image| image.counted && is_it(&image.digest, &image.platform))
    };
    match remaining.iter().filter(holds).map(|record| record.seen_at).max() {
        // It took the place of another when it was not the newest.
        Some(seen_at) => seen_at >= member.seen_at,
        None => remaining.iter().any(|record| record.tag == member.tag),
    }
}
