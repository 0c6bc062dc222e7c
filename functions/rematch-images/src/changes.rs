//! Which images a change of what is in force is about: found through the postings, and sent for.

use std::collections::{BTreeSet, HashSet};

use futures::{StreamExt as _, TryStreamExt as _};
use tidewatch_advisories::{Family, changed_keys, family_key};
use tidewatch_assessment::AssessmentError;
use tidewatch_core::basis::{Basis, MATCHING};
use tidewatch_core::image::ImageId;
use tidewatch_core::names::OrgName;
use tidewatch_core::work::{RematchMessage, RematchRepository, RematchTask};
use tidewatch_core::{Digest, Timestamp};
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{
    CurrentAdvisories, Postings, RecordError, Segment, SegmentEntry, StoredPostings, StoredUnposted, Switch,
    Unposted,
};

use crate::{RematchError, RematchImages};

/// How many messages are sent at a time.
const BATCH: usize = 100;

/// How many segments are read at a time.
const SEGMENTS_AT_ONCE: usize = 8;

/// Which images are sent for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    /// All that are posted, and all repositories: nothing is known of what is not posted.
    Everything,
    /// All that are posted or unposted.
    All,
    /// Those that have one of these keys, sorted, or are unposted.
    With(Vec<u64>),
}

/// Messages on their way, some images at a time.
struct Outgoing<'a> {
    worker: &'a RematchImages,
    org: &'a OrgName,
    now: Timestamp,
    sent_for: Digest,
    task: fn(Vec<ImageId>) -> RematchTask,
    images: Vec<ImageId>,
    sent: usize,
    /// How many messages of a switch were sent, where it is one.
    parts: Option<u32>,
    slots: bool,
}

/// What messages are sent for.
#[derive(Clone, Copy)]
struct Sending<'a> {
    basis: &'a Basis,
    now: Timestamp,
    /// How many messages of a switch were sent so far, where it is one.
    parts: Option<u32>,
    /// Whether slots are written also where results stay.
    slots: bool,
}

/// What was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    images: usize,
    /// How many messages of a switch were sent so far, where it is one.
    parts: Option<u32>,
}

impl Outgoing<'_> {
    /// Sends the last ones.
    async fn end(mut self) -> Result<Sent, RematchError> {
        self.flush().await?;
        Ok(Sent { images: self.sent, parts: self.parts })
    }

    async fn add(&mut self, images: impl IntoIterator<Item = ImageId>) -> Result<(), RematchError> {
        let most = self.images_per_message() * BATCH;
        self.images.extend(images);
        while self.images.len() >= most {
            let rest = self.images.split_off(most);
            self.flush().await?;
            self.images = rest;
        }
        Ok(())
    }

    fn images_per_message(&self) -> usize {
        self.worker.settings.images_per_message.max(1)
    }

    async fn flush(&mut self) -> Result<(), RematchError> {
        // One that was read anew may still be posted as it was before, too.
        self.images.sort_unstable();
        self.images.dedup();
        let mut messages = Vec::new();
        for images in self.images.chunks(self.images_per_message()) {
            messages.push(RematchMessage {
                sent_at: Some(self.now),
                part: self.parts,
                sent_for: Some(self.sent_for),
                all_slots: self.slots,
                ..RematchMessage::new(self.org.clone(), Some((self.task)(images.to_vec())))
            });
            self.parts = self.parts.map(|parts| parts + 1);
        }
        self.sent += self.images.len();
        self.images.clear();
        for batch in messages.chunks(BATCH) {
            self.worker.send(batch).await?;
        }
        Ok(())
    }
}

impl RematchImages {
    /// Sends for the images that the change is about from what all images are settled by to what is in force, and notes
    /// that they are settled by that. A crash before that sends again.
    ///
    /// What it reads, it reads in this order: the postings, what is in force, the unposted images, the segments. It notes
    /// over the postings that it has read. docs/ARCHITECTURE.md, "Rematching", says why that misses no image.
    pub(crate) async fn send_changes(&self, org: &OrgName) -> Result<(), RematchError> {
        let read = self.records.postings(org).await?;
        let Some(in_force) = self.records.in_force(org, None).await? else { return Ok(()) };
        let now = self.clock.now();
        let basis = in_force.basis(now);
        let postings = read.as_ref().map(|read| read.postings.clone()).unwrap_or_default();
        if !postings.are_due(&basis, now) {
            return Ok(());
        }
        let wanted = self.wanted(&postings, &basis, &in_force.advisories, now).await?;
        let is_switch = postings.covered.as_ref().is_none_or(|covered| covered.judging != basis.judging);
        let slots = can_slots_differ(postings.covered.as_ref(), &basis)
            || (wanted == Wanted::All && basis.is_limited);
        let sending = Sending { basis: &basis, now, parts: is_switch.then_some(0), slots };
        let (noted, unposted) = self.send_unposted(org, sending).await?;
        let sending = Sending { parts: unposted.parts, ..sending };
        let sent = self.send_posted(org, &postings.segments, &wanted, &noted, sending).await;
        let posted = match sent {
            Err(RematchError::Segment { hash, source }) => {
                return self.forget_segment(org, read.as_ref(), &hash, source).await;
            }
            sent => sent?,
        };
        if let Some(parts) = posted.parts {
            let switch = Switch { judging: basis.judging, sent_at: now, parts };
            self.records.put_switch(org, &switch).await?;
        }
        let mut repositories = 0;
        if wanted == Wanted::Everything {
            repositories = self.send_repositories(org, now, slots).await?;
        }
        let all_sent_at = if matches!(wanted, Wanted::With(_)) { postings.all_sent_at } else { Some(now) };
        let noted = Postings { covered: Some(basis), all_sent_at, ..postings };
        if !self.records.put_postings(org, &noted, read.as_ref()).await? {
            // Images may have been posted since they were looked for.
            return Err(RecordError::Changed { what: format!("the postings of {org}") }.into());
        }
        tracing::info!(
            org.name = %org, images.posted = posted.images, images.unposted = unposted.images,
            repositories.sent = repositories,
            "images sent to be matched again"
        );
        Ok(())
    }

    async fn wanted(
        &self,
        postings: &Postings,
        basis: &Basis,
        current: &CurrentAdvisories,
        now: Timestamp,
    ) -> Result<Wanted, RematchError> {
        let Some(covered) = &postings.covered else { return Ok(Wanted::Everything) };
        if postings.all_are_due(basis, now) {
            return Ok(Wanted::All);
        }
        let families: BTreeSet<&String> = covered.indexes.keys().chain(basis.indexes.keys()).collect();
        let mut keys = BTreeSet::new();
        for id in families {
            let (old, new) = (covered.indexes.get(id), basis.indexes.get(id));
            if old == new {
                continue;
            }
            // A family that this version does not know: no image has needed it.
            let Some(family) = Family::of_id(id) else { continue };
            let before = match old {
                Some(old) => self.advisories.open_former(&self.records, family.id, old).await?,
                None => None,
            };
            match self.advisories.open_family(&self.records, family.id, current).await? {
                Some(index) => {
                    let changed =
                        tokio::task::spawn_blocking(move || changed_keys(family.id, before.as_ref(), &index));
                    let changed = changed.await.map_err(|_| AssessmentError::Thread)?;
                    keys.extend(changed.map_err(AssessmentError::from)?);
                }
                None => {
                    keys.insert(family_key(family.id));
                }
            }
        }
        Ok(Wanted::With(keys.into_iter().collect()))
    }

    /// Sends for the unposted images that are not settled by what is in force: they may hold anything. Gives all that are
    /// unposted, and what was sent.
    async fn send_unposted(
        &self,
        org: &OrgName,
        sending: Sending<'_>,
    ) -> Result<(HashSet<ImageId>, Sent), RematchError> {
        let rows = self.records.unposted(org, usize::MAX).await?;
        let (mut noted, mut unsettled) = (HashSet::new(), Vec::new());
        for Unposted { image, footing, is_left, .. } in readable(org, rows).map(|stored| stored.row) {
            if !is_left && !footing.is_of(sending.basis) {
                unsettled.push(image.clone());
            }
            noted.insert(image);
        }
        let mut outgoing = self.outgoing(org, RematchTask::Unposted, sending);
        outgoing.add(unsettled).await?;
        Ok((noted, outgoing.end().await?))
    }

    /// Sends the images of these rows to be settled by `basis`.
    pub(crate) async fn settle(
        &self,
        org: &OrgName,
        basis: &Basis,
        images: Vec<ImageId>,
    ) -> Result<(), RematchError> {
        // They were judged by something that nobody else has sent for.
        let sending = Sending { basis, now: self.clock.now(), parts: None, slots: true };
        let mut outgoing = self.outgoing(org, RematchTask::Unposted, sending);
        outgoing.add(images).await?;
        outgoing.flush().await
    }

    /// Sends for the `wanted` ones of the posted images, but for those that are `noted` as unposted.
    async fn send_posted(
        &self,
        org: &OrgName,
        segments: &[SegmentEntry],
        wanted: &Wanted,
        noted: &HashSet<ImageId>,
        sending: Sending<'_>,
    ) -> Result<Sent, RematchError> {
        let mut outgoing = self.outgoing(org, RematchTask::Images, sending);
        let mut segments = futures::stream::iter(segments.to_vec())
            .map(|entry| async move {
                let segment = self.segment(org, &entry).await?;
                Ok::<_, RematchError>((entry, segment))
            })
            .buffered(SEGMENTS_AT_ONCE);
        while let Some((entry, segment)) = segments.try_next().await? {
            let found: Vec<&ImageId> = match wanted {
                Wanted::With(keys) if entry.matching == MATCHING => segment.images_with(keys).collect(),
                _ => segment.images().iter().map(|posted| &posted.image).collect(),
            };
            outgoing.add(found.into_iter().filter(|image| !noted.contains(*image)).cloned()).await?;
        }
        outgoing.end().await
    }

    /// Sends one message for each repository that was ever listed.
    async fn send_repositories(
        &self,
        org: &OrgName,
        now: Timestamp,
        slots: bool,
    ) -> Result<usize, RematchError> {
        let repositories = self.records.repositories(org).await?;
        for batch in repositories.chunks(BATCH) {
            let messages: Vec<RematchMessage> = batch
                .iter()
                .map(|(registry, repository)| {
                    let (registry, repository) = (registry.clone(), repository.clone());
                    let target = RematchRepository { registry, repository, after: None };
                    let task = Some(RematchTask::Repository(target));
                    RematchMessage {
                        sent_at: Some(now),
                        all_slots: slots,
                        ..RematchMessage::new(org.clone(), task)
                    }
                })
                .collect();
            self.send(&messages).await?;
        }
        Ok(repositories.len())
    }

    /// A segment; [`RematchError::Segment`] when it is lost.
    pub(crate) async fn segment(&self, org: &OrgName, entry: &SegmentEntry) -> Result<Segment, RematchError> {
        self.records.segment(org, &entry.hash).await.map_err(|source| match source {
            RecordError::Corrupt { .. } => RematchError::Segment { hash: entry.hash, source },
            source => source.into(),
        })
    }

    /// A segment that is lost says nothing about its images any more: everything is sent for anew, by repository.
    pub(crate) async fn forget_segment(
        &self,
        org: &OrgName,
        read: Option<&StoredPostings>,
        hash: &Digest,
        error: RecordError,
    ) -> Result<(), RematchError> {
        let description = describe(&error);
        tracing::error!(org.name = %org, error = description, "a segment of the postings is lost");
        if let Some(read) = read {
            let mut postings = Postings { covered: None, ..read.postings.clone() };
            postings.segments.retain(|entry| entry.hash != *hash);
            self.records.put_postings(org, &postings, Some(read)).await?;
        }
        Err(RecordError::Changed { what: format!("the postings of {org}") }.into())
    }

    fn outgoing<'a>(
        &'a self,
        org: &'a OrgName,
        task: fn(Vec<ImageId>) -> RematchTask,
        Sending { basis, now, parts, slots }: Sending<'_>,
    ) -> Outgoing<'a> {
        let sent_for = basis.fingerprint();
        Outgoing { worker: self, org, now, sent_for, task, images: Vec::new(), sent: 0, parts, slots }
    }
}

/// Whether slots can be others than before though the results are as they were: images are counted otherwise; or they were
/// judged, or are, by something that is limited to some places, and not by the same. Without `covered` it is not known by what.
fn can_slots_differ(covered: Option<&Basis>, basis: &Basis) -> bool {
    covered.is_none_or(|covered| {
        let is_changed = (covered.judging, covered.is_limited) != (basis.judging, basis.is_limited);
        covered.counted_since != basis.counted_since
            || (is_changed && (covered.is_limited || basis.is_limited))
    })
}

/// Those of `rows` that can be read.
pub(crate) fn readable(
    org: &OrgName,
    rows: Vec<Result<StoredUnposted, RecordError>>,
) -> impl Iterator<Item = StoredUnposted> {
    let count = rows.len();
    let (rows, errors): (Vec<_>, Vec<_>) = rows.into_iter().partition(Result::is_ok);
    if let Some(Err(first)) = errors.first() {
        let error = describe(first);
        tracing::error!(
            org.name = %org, images.unreadable = errors.len(), images.unposted = count, error,
            "unposted images cannot be read"
        );
    }
    rows.into_iter().flatten()
}
