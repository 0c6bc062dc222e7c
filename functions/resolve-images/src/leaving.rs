//! The third part of a listing of the tags of a repository: what the registry does not have any more, and what no rule
//! chooses any more, leaves. Only a complete listing has one: a tag that two of them in a row do not find has vanished.
//!
//! The slots of the repository are set right before anything is noted, so that a crash in between does it again.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use tidewatch_core::config::Leaving;
use tidewatch_core::image::Image;
use tidewatch_core::names::{RepositoryName, Tag};
use tidewatch_core::rule::Decision;
use tidewatch_store::records::{HeldSlot, StagedTag, TagRecord};

use crate::ResolveError;
use crate::listing::Listing;
use crate::staging::TAGS_AT_ONCE;

/// What a complete listing has seen.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// The tags whose names the rule chooses.
    pub(crate) tags: &'a [StagedTag],
    /// What it decides about each.
    pub(crate) decisions: &'a [Decision],
    /// The other tags that were recorded before.
    pub(crate) unchosen: &'a [Tag],
}

/// What becomes of the recorded tags of a repository.
#[derive(Default)]
struct Leave {
    /// Those that stay, as they are to be recorded.
    remaining: Vec<TagRecord>,
    /// Those that are to be recorded otherwise, as they are and as they are to be.
    changed: Vec<(TagRecord, TagRecord)>,
    /// Those that leave the slots of the repository: they have vanished, or are forgotten.
    gone: Vec<TagRecord>,
    /// Those of which nothing is scanned any more, though they stay.
    idle: Vec<TagRecord>,
}

impl Listing<'_> {
    /// Lets all go that has vanished, or that this rule was the last one to choose.
    pub(crate) async fn let_go(
        &self,
        repository: &RepositoryName,
        seen: Seen<'_>,
        begun_at: Timestamp,
    ) -> Result<(), ResolveError> {
        let (records, message) = (&self.resolver.records, self.message);
        let known = records.tags(&message.org, &message.registry, repository).await?;
        let leave = self.leave(repository, seen, known, begun_at);
        let is_revived = seen.tags.iter().zip(seen.decisions).any(|(tag, decision)| {
            decision.is_selected() && tag.record.as_ref().is_some_and(|record| record.forgotten)
        });
        let held = self.settle_slots(repository, &leave.remaining, is_revived, begun_at).await?;
        self.take_back(repository, &leave, &held).await?;
        self.note(repository, &leave).await?;
        if message.unlisted && records.tags(&message.org, &message.registry, repository).await?.is_empty() {
            records.remove_repository(&message.org, &message.registry, repository).await?;
        }
        Ok(())
    }

    /// Takes the work of images back that nobody wants any more, and the places of those that are not there any more; but not of
    /// an image that another tag holds. `held` is what has stood in the slots of the repository.
    async fn take_back(
        &self,
        repository: &RepositoryName,
        leave: &Leave,
        held: &[HeldSlot],
    ) -> Result<(), ResolveError> {
        let (records, org) = (&self.resolver.records, &self.message.org);
        let (config, registry) = (&self.applied.config, &self.message.registry);
        let is_active = |record: &&TagRecord| !record.is_idle(config, registry, repository);
        let staying: BTreeSet<Image> =
            self.images_seen(repository, leave.remaining.iter()).map(|(image, _)| image).collect();
        let active: BTreeSet<Image> = self
            .images_seen(repository, leave.remaining.iter().filter(is_active))
            .map(|(image, _)| image)
            .collect();
        let places = self.images_seen(repository, leave.gone.iter());
        let places = places.filter(|(image, _)| !staying.contains(image)).map(|(image, seen_at)| {
            // One that had taken the place of another has the time of that.
            let mut held = held.iter();
            let promoted = held.find(|held| held.member.as_ref().is_some_and(|held| held.image == image));
            let seen_at = promoted.map_or(seen_at, |held| held.seen_at.max(seen_at));
            (image, seen_at, true)
        });
        let idle = self.images_seen(repository, leave.idle.iter());
        let idle = idle.filter(|(image, _)| !active.contains(image));
        let unwanted: Vec<(Image, Timestamp, bool)> =
            places.chain(idle.map(|(image, seen_at)| (image, seen_at, false))).collect();
        futures::stream::iter(unwanted)
            .map(Ok::<_, ResolveError>)
            .try_for_each_concurrent(TAGS_AT_ONCE, |(image, seen_at, is_gone)| async move {
                records.withdraw(org, &image, seen_at).await?;
                if is_gone {
                    records.remove_place(org, &image, seen_at).await?;
                }
                Ok(())
            })
            .await
    }

    /// What becomes of what is `known`.
    fn leave(
        &self,
        repository: &RepositoryName,
        seen: Seen<'_>,
        known: Vec<TagRecord>,
        begun_at: Timestamp,
    ) -> Leave {
        let decided = seen.tags.iter().map(|tag| &tag.tag).zip(seen.decisions.iter().map(Some));
        let unchosen = seen.unchosen.iter().map(|tag| (tag, None));
        let verdicts: BTreeMap<&Tag, Option<&Decision>> = decided.chain(unchosen).collect();
        let (mut leave, now) = (Leave::default(), self.resolver.clock.now());
        for record in known {
            match verdicts.get(&record.tag) {
                // One that was found, and whose turn has not come, has not been recorded.
                Some(Some(decision)) if decision.is_selected() && record.missing_at.is_some() => {
                    let found = TagRecord { missing_at: None, ..record.clone() };
                    leave.remaining.push(found.clone());
                    leave.changed.push((record, found));
                }
                Some(Some(decision)) if decision.is_selected() => leave.remaining.push(record),
                // It was pushed since the listing began, and is not what was seen, or decided about.
                _ if record.seen_at >= begun_at => leave.remaining.push(record),
                Some(decision) => self.drop_from_rule(repository, record, *decision, &mut leave),
                None => match record.missing_at {
                    Some(missing_at) if missing_at <= begun_at => leave.gone.push(record),
                    // Noted by this listing, or by one at the same time.
                    Some(_) => leave.remaining.push(record),
                    None => {
                        let missing = TagRecord { missing_at: Some(now), ..record.clone() };
                        leave.remaining.push(missing.clone());
                        leave.changed.push((record, missing));
                    }
                },
            }
        }
        leave.remaining.retain(|record| !record.forgotten);
        leave
    }

    /// The rule does not choose it, for what `decision` says, or by its name.
    fn drop_from_rule(
        &self,
        repository: &RepositoryName,
        record: TagRecord,
        decision: Option<&Decision>,
        leave: &mut Leave,
    ) {
        let (config, registry) = (&self.applied.config, &self.message.registry);
        let mut changed = TagRecord { missing_at: None, ..record.clone() };
        let was_chosen = changed.chosen_by.as_mut().is_some_and(|rules| rules.remove(&self.rule.id));
        let is_idle = changed.is_idle(config, registry, repository);
        let then = match decision {
            Some(Decision::Unused { then, .. }) => *then,
            _ => self.rule.unselected,
        };
        changed.forgotten |= was_chosen && is_idle && then == Leaving::Forget;
        if changed.forgotten && !record.forgotten {
            leave.gone.push(record.clone());
        } else {
            leave.remaining.push(changed.clone());
            if is_idle && was_chosen {
                leave.idle.push(record.clone());
            }
        }
        if changed != record {
            leave.changed.push((record, changed));
        }
    }

    /// Notes it. What somebody has changed in the meantime is left to the next listing.
    async fn note(&self, repository: &RepositoryName, leave: &Leave) -> Result<(), ResolveError> {
        let (records, message) = (&self.resolver.records, self.message);
        let (org, registry) = (&message.org, &message.registry);
        let noted: BTreeSet<&Tag> = leave.changed.iter().map(|(known, _)| &known.tag).collect();
        let changes = leave.changed.clone();
        futures::stream::iter(changes)
            .map(Ok::<_, ResolveError>)
            .try_for_each_concurrent(TAGS_AT_ONCE, |(known, changed)| async move {
                records.change_tag(org, registry, repository, (&known, &changed)).await?;
                Ok(())
            })
            .await?;
        let vanished = leave.gone.iter().filter(|record| !noted.contains(&record.tag)).cloned();
        futures::stream::iter(vanished.collect::<Vec<_>>())
            .map(Ok::<_, ResolveError>)
            .try_for_each_concurrent(TAGS_AT_ONCE, |record| async move {
                records.remove_tag(org, registry, repository, &record).await?;
                Ok(())
            })
            .await?;
        if !leave.gone.is_empty() {
            tracing::info!(
                org.name = %org, registry.id = %registry, %repository, tags.count = leave.gone.len(), "tags have left"
            );
        }
        Ok(())
    }

    /// The images behind some tags, each with when it was seen there.
    fn images_seen<'r>(
        &self,
        repository: &RepositoryName,
        records: impl Iterator<Item = &'r TagRecord>,
    ) -> impl Iterator<Item = (Image, Timestamp)> {
        records.flat_map(move |record| {
            record.images.iter().map(move |image| (self.image(repository, image), record.seen_at))
        })
    }
}
