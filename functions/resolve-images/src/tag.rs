//! One tag: what it points to now, which images are behind it, and which of them need work. The same for a listing and
//! for a push.

use jiff::{SignedDuration, Timestamp};
use tidewatch_core::Digest;
use tidewatch_core::basis::{Basis, READER_VERSION};
use tidewatch_core::config::Rescan;
use tidewatch_core::image::{Image, ImageId, ManifestReference, Platform};
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, RuleId, Tag};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::RegistryError;
use tidewatch_core::result::ImageResult;
use tidewatch_core::work::{Priority, RunId, Work};
use tidewatch_store::records::{AppliedConfig, RecordError, Records, StoredResult, TagRecord, TaggedImage};

use crate::{Found, find_images};

/// Resolves tags of one repository.
pub(crate) struct Tags<'a> {
    pub(crate) records: &'a Records,
    pub(crate) registry: &'a dyn Registry,
    pub(crate) org: &'a OrgName,
    pub(crate) id: &'a RegistryId,
    pub(crate) repository: &'a RepositoryName,
    pub(crate) applied: &'a AppliedConfig,
    /// What is in force.
    pub(crate) basis: &'a Basis,
    /// When tags that are new, or have moved, count as seen.
    pub(crate) seen_at: Timestamp,
    /// The rules that choose them.
    pub(crate) rules: &'a [RuleId],
    /// When what was scanned is scanned again.
    pub(crate) rescan: Rescan,
    /// Whether they were pushed then: one that has not moved counts as seen then as well.
    pub(crate) pushed: bool,
}

/// What a tag points to.
pub(crate) struct Resolved {
    pub(crate) record: TagRecord,
    /// Whether it is not as it was recorded.
    pub(crate) changed: bool,
}

impl Tags<'_> {
    /// What a tag points to now. It costs one HEAD request when that is as it was recorded.
    pub(crate) async fn resolve(
        &self,
        tag: Tag,
        known: Option<&TagRecord>,
    ) -> Result<Resolved, RegistryError> {
        let digest = self.registry.resolve(self.repository, &tag).await?;
        self.resolve_to(tag, (digest, None), known).await
    }

    /// The same of a tag that points to `digest`, which was pushed at `pushed_at`, where the registry tells that. It costs
    /// nothing when that is as it was recorded.
    pub(crate) async fn resolve_to(
        &self,
        tag: Tag,
        (digest, pushed_at): (Digest, Option<Timestamp>),
        known: Option<&TagRecord>,
    ) -> Result<Resolved, RegistryError> {
        let config = &self.applied.config;
        let unmoved = known.filter(|known| known.digest == digest);
        let seen_at = unmoved
            .map_or_else(|| self.moved_at(known, pushed_at), |known| self.unmoved_at(known, pushed_at));
        if let Some(known) = unmoved.filter(|known| known.platforms == config.platforms) {
            let changed = seen_at != known.seen_at;
            return Ok(Resolved { record: TagRecord { seen_at, ..known.clone() }, changed });
        }
        let reference = ManifestReference::Digest(digest);
        let found = find_images(self.registry, self.id, self.repository, &reference, config).await?;
        Ok(self.changed(tag, digest, known, (found, seen_at)))
    }

    /// The same of a tag of which the registry has told that there are images of these platforms, and of no others: `None`
    /// when one of them is wanted, nothing was told, or it is as it was recorded.
    pub(crate) fn without_wanted_platform(
        &self,
        tag: &Tag,
        (digest, pushed_at): (Digest, Option<Timestamp>),
        known: Option<&TagRecord>,
        platforms: &[Platform],
    ) -> Option<Resolved> {
        let wanted = &self.applied.config.platforms;
        let is_known = known.is_some_and(|known| known.digest == digest);
        // Some registries tell no variants.
        let may_be = |told: &Platform, wanted: &Platform| {
            (&told.os, &told.architecture) == (&wanted.os, &wanted.architecture)
                && (told.variant.is_none() || told.variant == wanted.variant)
        };
        let is_wanted = |told: &Platform| wanted.iter().any(|wanted| may_be(told, wanted));
        if platforms.is_empty() || is_known || platforms.iter().any(is_wanted) {
            return None;
        }
        let found = Found::without_wanted(platforms.iter());
        Some(self.changed(tag.clone(), digest, known, (found, self.moved_at(known, pushed_at))))
    }

    /// A tag that is not as it was recorded.
    fn changed(
        &self,
        tag: Tag,
        digest: Digest,
        known: Option<&TagRecord>,
        (found, seen_at): (Found, Timestamp),
    ) -> Resolved {
        let Found { images, skipped } = found;
        let platforms = self.applied.config.platforms.clone();
        let chosen_by = known.and_then(|known| known.chosen_by.clone());
        let (missing_at, forgotten) = (None, false);
        let record =
            TagRecord { tag, digest, images, skipped, platforms, seen_at, chosen_by, missing_at, forgotten };
        Resolved { record, changed: true }
    }

    /// A tag that points to something new counts as seen when that was pushed, where the registry tells that. It moved after
    /// it was seen to point to `known`, also when we have heard of the push before that.
    fn moved_at(&self, known: Option<&TagRecord>, pushed_at: Option<Timestamp>) -> Timestamp {
        let seen_at = pushed_at.map_or(self.seen_at, |pushed_at| pushed_at.min(self.seen_at));
        let after = |known: &TagRecord| known.seen_at.checked_add(SignedDuration::from_millis(1));
        let after = known.map_or(seen_at, |known| after(known).unwrap_or(Timestamp::MAX));
        after.max(seen_at)
    }

    /// A push of what the tag points to already is newer than what was seen of it before. A hint that comes late stamps a
    /// digest that was pushed after it; the hint of that push finds the tag unmoved, and sets its time right. Delivered
    /// again it is not newer, and changes nothing.
    ///
    /// The same of a push that a listing tells of: a tag can have moved away and back since it was seen.
    fn unmoved_at(&self, known: &TagRecord, pushed_at: Option<Timestamp>) -> Timestamp {
        let pushed_at =
            if self.pushed { Some(self.seen_at) } else { pushed_at.map(|at| at.min(self.seen_at)) };
        pushed_at.map_or(known.seen_at, |pushed_at| known.seen_at.max(pushed_at))
    }

    /// Records what a tag points to, where that is not as it was recorded, or is not known to be chosen.
    pub(crate) async fn record(&self, resolved: &Resolved) -> Result<(), RecordError> {
        let chosen = resolved.record.clone().chosen(self.rules);
        if resolved.changed {
            return self.records.put_tag(self.org, self.id, self.repository, &chosen).await;
        }
        if chosen == resolved.record {
            return Ok(());
        }
        // Another rule may have noted that it chooses it, too.
        let place = (self.org, self.id, self.repository);
        while let Some(latest) = self.records.tag(place.0, place.1, place.2, &chosen.tag).await? {
            let changed = latest.clone().chosen(self.rules);
            if latest.digest != chosen.digest
                || changed == latest
                || self.records.change_tag(place.0, place.1, place.2, (&latest, &changed)).await?
            {
                break;
            }
        }
        Ok(())
    }

    /// Whether a result was made by earlier readers, and is so old that the rule wants the image read again.
    fn is_to_be_read_again(&self, result: &ImageResult) -> bool {
        let Rescan::Every(period) = self.rescan else { return false };
        let due_at = result.scanned_at.checked_add(period.duration()).unwrap_or(Timestamp::MAX);
        result.reader_version < READER_VERSION && due_at <= self.seen_at
    }

    /// The work of an image behind a tag: when the tag is new, has moved or was pushed again, or its result is none or out
    /// of date. Of a tag that is not as it was recorded no result is read.
    pub(crate) async fn work(
        &self,
        resolved: &Resolved,
        image: &TaggedImage,
        run: Option<&RunId>,
    ) -> Result<Option<Work>, RecordError> {
        let stored = if resolved.changed {
            None
        } else {
            self.records.result(self.org, &image.digest, &image.platform).await?
        };
        self.work_after(resolved, image, run, stored.as_ref()).await
    }

    /// The same of an image with this result, which does not matter where the tag is not as it was recorded.
    pub(crate) async fn work_after(
        &self,
        Resolved { record, changed }: &Resolved,
        image: &TaggedImage,
        run: Option<&RunId>,
        stored: Option<&StoredResult>,
    ) -> Result<Option<Work>, RecordError> {
        let read_again = stored.is_some_and(|stored| self.is_to_be_read_again(&stored.result));
        let priority = match stored.filter(|_| !changed) {
            None => Priority::New,
            Some(stored) if stored.result.report.is_some() && self.rescan == Rescan::Never => {
                return Ok(None);
            }
            Some(stored) => {
                let id = ImageId { digest: image.digest, platform: image.platform.clone() };
                let is_current = self.records.is_current(self.org, &id, &stored.result, self.basis).await?;
                if is_current && !read_again {
                    return Ok(None);
                }
                Priority::Stale
            }
        };
        Ok(Some(Work {
            image: Image {
                registry: self.id.clone(),
                repository: self.repository.clone(),
                digest: image.digest,
                platform: image.platform.clone(),
            },
            tag: record.tag.clone(),
            seen_at: record.seen_at,
            counted: image.counted,
            priority,
            read_again,
            run: run.cloned(),
            attestations: image.attestations.clone(),
        }))
    }
}
