//! Environments: which there are, their entries, and the slots of the images that entries are pinned to.
//!
//! An entry is the truth about what is wanted; the slot in the stream follows it. An image knows the environments that it
//! is in, so that whoever stores a result finds those slots too.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::config::Config;
use tidewatch_core::environment::{EnvironmentEntry, EnvironmentTarget, Pinned};
use tidewatch_core::image::{Image, ImageId};
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, StreamName, Tag};
use tidewatch_core::ports::table::{Condition, Item, Query};
use tidewatch_core::stream::{Member, Slot, SlotKind};

use super::{RecordError, Records, decode, encode, keys, millis, unless_condition_failed};

/// The environments that the command has made, with the number of the list: it grows with every change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MadeEnvironments {
    /// Their names.
    pub names: BTreeSet<StreamName>,
    /// How often the list was changed.
    pub revision: i64,
}

/// The streams of an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Streams {
    /// Their names: `latest-indexed`, then the environments, sorted.
    pub names: Vec<StreamName>,
    /// How often the command has changed the list.
    pub revision: i64,
}

/// An environment that an image is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentPlace {
    /// The entry that is pinned to the image.
    pub target: EnvironmentTarget,
    /// The image, with its registry and repository.
    pub image: Image,
    /// The tag under which it is shown.
    pub tag: Tag,
    /// When it was pinned.
    pub at: Timestamp,
    /// Whether it stands beside other images of its repository.
    pub kept: bool,
}

impl Records {
    /// The streams under `config`: `latest-indexed`, the environments that it names, and those that the command has made.
    pub async fn streams(&self, org: &OrgName, config: &Config) -> Result<Streams, RecordError> {
        let made = self.made_environments(org).await?;
        let mut names = made.names;
        names.extend(config.environments.iter().map(|environment| environment.id.clone()));
        let latest = StreamName::latest_indexed();
        names.remove(&latest);
        Ok(Streams { names: std::iter::once(latest).chain(names).collect(), revision: made.revision })
    }

    /// The environments that the command has made.
    pub async fn made_environments(&self, org: &OrgName) -> Result<MadeEnvironments, RecordError> {
        let item = self.table.get(&keys::environments(org)).await?;
        let Some(item) = item else { return Ok(MadeEnvironments::default()) };
        Ok(MadeEnvironments { names: decode(&item)?, revision: item.number("revision").unwrap_or(0) })
    }

    /// Notes that the command has made an environment, or (`is_there` false) has taken it away.
    pub async fn note_environment(
        &self,
        org: &OrgName,
        name: &StreamName,
        is_there: bool,
    ) -> Result<(), RecordError> {
        loop {
            let MadeEnvironments { mut names, revision } = self.made_environments(org).await?;
            let is_new = if is_there { names.insert(name.clone()) } else { names.remove(name) };
            if !is_new {
                return Ok(());
            }
            let unchanged = match revision {
                0 => Condition::ItemAbsent,
                revision => Condition::Equal("revision".to_owned(), revision.into()),
            };
            let item = encode(keys::environments(org), &names)?.with("revision", revision + 1);
            if unless_condition_failed(self.table.put(item, unchanged).await)?.is_some() {
                return Ok(());
            }
        }
    }

    /// Which environments of the file entries were last written for, by a fingerprint.
    pub async fn file_environments(
        &self,
        org: &OrgName,
    ) -> Result<Option<(Digest, BTreeSet<StreamName>)>, RecordError> {
        self.record(&keys::environments_of_file(org)).await
    }

    /// Notes for which environments of the file entries were written.
    pub async fn note_file_environments(
        &self,
        org: &OrgName,
        fingerprint: &Digest,
        names: &BTreeSet<StreamName>,
    ) -> Result<(), RecordError> {
        let item = encode(keys::environments_of_file(org), &(fingerprint, names))?;
        Ok(self.table.put(item, Condition::Always).await?)
    }

    /// The entries of an environment, by their names.
    pub async fn environment_entries(
        &self,
        org: &OrgName,
        stream: &StreamName,
    ) -> Result<Vec<EnvironmentEntry>, RecordError> {
        let items = self.all(Query::prefix(keys::entries(org, stream), "")).await?;
        items.iter().map(decode).collect()
    }

    /// An entry.
    pub async fn environment_entry(
        &self,
        org: &OrgName,
        target: &EnvironmentTarget,
    ) -> Result<Option<EnvironmentEntry>, RecordError> {
        self.record(&keys::entry(org, target)).await
    }

    /// Puts an entry that is to be resolved, in the place of one with its name. `false` when that one was put there later.
    /// One that follows its tag is found by the tag from then on.
    pub async fn put_entry(
        &self,
        org: &OrgName,
        stream: &StreamName,
        entry: &EnvironmentEntry,
    ) -> Result<bool, RecordError> {
        let target = EnvironmentTarget { stream: stream.clone(), entry: entry.id() };
        if entry.follows
            && let Some(tag) = &entry.reference.tag
        {
            let key = keys::follower(org, &entry.reference, tag, &target);
            self.table.put(encode(key, &target)?, Condition::Always).await?;
        }
        let not_newer = Condition::Any(vec![
            Condition::ItemAbsent,
            Condition::LessOrEqual("added_at".to_owned(), millis(entry.added_at).into()),
        ]);
        let item = entry_item(org, &target, entry)?;
        Ok(unless_condition_failed(self.table.put(item, not_newer).await)?.is_some())
    }

    /// Puts `changed` in the place of an entry that is still as `read`; `false` when it is not.
    pub async fn change_entry(
        &self,
        org: &OrgName,
        target: &EnvironmentTarget,
        read: &EnvironmentEntry,
        changed: &EnvironmentEntry,
    ) -> Result<bool, RecordError> {
        let as_read = entry_item(org, target, read)?;
        let data = as_read.text("data").unwrap_or_default();
        let unchanged = Condition::Equal("data".to_owned(), data.into());
        let item = entry_item(org, target, changed)?;
        Ok(unless_condition_failed(self.table.put(item, unchanged).await)?.is_some())
    }

    /// Pins an entry, which was as `read`, to an image: the entry first, so that nothing stands in a slot without one;
    /// then the image is told, and the slot gets what is known of it. `false` when the entry is not as read.
    pub async fn pin_entry(
        &self,
        org: &OrgName,
        target: &EnvironmentTarget,
        read: &EnvironmentEntry,
        (image, resolved, at): (Image, Digest, Timestamp),
    ) -> Result<bool, RecordError> {
        let at = after(read, at);
        let former = read.image().filter(|former| former.id() != image.id());
        let pinned = Pinned { reference: read.reference.clone(), image: image.clone(), resolved, at };
        let changed = EnvironmentEntry {
            leaving: former.cloned(),
            pinned: Some(pinned),
            problem: None,
            ..read.clone()
        };
        if !self.change_entry(org, target, read, &changed).await? {
            return Ok(false);
        }
        let place = EnvironmentPlace { target: target.clone(), image, tag: read.tag(), at, kept: read.kept };
        self.enter_environment(org, &place).await?;
        self.let_former_leave(org, target, &changed, at).await?;
        Ok(true)
    }

    /// Lets the image leave that the entry, which is as `read`, was pinned to before, as of `at`, and gives the entry as it
    /// is then. Whoever has pinned the entry anew may have died before that.
    pub async fn let_former_leave(
        &self,
        org: &OrgName,
        target: &EnvironmentTarget,
        read: &EnvironmentEntry,
        at: Timestamp,
    ) -> Result<EnvironmentEntry, RecordError> {
        let Some(former) = &read.leaving else { return Ok(read.clone()) };
        // It may have come back since.
        if read.image().is_none_or(|image| image.id() != former.id()) {
            self.leave_environment(org, target, former, read.kept.then_some(at)).await?;
        }
        let changed = EnvironmentEntry { leaving: None, ..read.clone() };
        // Who has changed the entry in between has read that it is still to leave.
        self.change_entry(org, target, read, &changed).await?;
        Ok(changed)
    }

    /// Takes an image out of an environment where an entry has put it, and out of its slot as of `left_at`, unless another
    /// entry has put it into the same slot.
    async fn leave_environment(
        &self,
        org: &OrgName,
        target: &EnvironmentTarget,
        image: &Image,
        left_at: Option<Timestamp>,
    ) -> Result<(), RecordError> {
        // First the place: of two entries that are taken away at the same time, the later one finds no other.
        self.table.delete(&keys::image_environment(org, image, target), Condition::Always).await?;
        let Some(left_at) = left_at else { return Ok(()) };
        let is_beside = |place: &EnvironmentPlace| {
            place.kept && place.target.stream == target.stream && place.image == *image
        };
        if let Some(place) = self.environments_of(org, &image.id()).await?.into_iter().find(is_beside) {
            // Its own time may be before that of the slot, which nothing older than that replaces.
            let place = EnvironmentPlace { at: place.at.max(left_at), ..place };
            return self.enter_environment(org, &place).await;
        }
        let slot = Slot { kind: SlotKind::Kept(image.digest), ..slot_of(image) };
        self.leave_slot(org, &target.stream, &slot, image, left_at).await
    }

    /// Tells the image of an environment that it is in, and puts what is known of it as a whole into the slot. Again it
    /// changes nothing. Where something is limited to some places, somebody has to judge it there after that.
    pub async fn enter_environment(
        &self,
        org: &OrgName,
        place: &EnvironmentPlace,
    ) -> Result<(), RecordError> {
        // First the place, so that whoever stores a newer result from now on writes this slot too.
        let key = keys::image_environment(org, &place.image, &place.target);
        let known: Option<EnvironmentPlace> = self.record(&key).await?;
        let at = known.map_or(place.at, |known| known.at.max(place.at));
        let place = &EnvironmentPlace { at, ..place.clone() };
        self.table.put(encode(key, place)?, Condition::Always).await?;
        let stored = self.result(org, &place.image.digest, &place.image.platform).await?;
        let mut member = place.member();
        let mut revision = 0;
        if let Some(stored) = stored {
            member.take(&stored.result);
            revision = stored.revision;
        }
        self.put_member(org, &place.target.stream, &member, revision).await?;
        self.mark_member(org, &place.target.stream, &member).await
    }

    /// Takes an entry away, which was as `read`: its slot is emptied first. [`RecordError::Changed`] when it is not as read
    /// any more.
    pub async fn remove_entry(
        &self,
        org: &OrgName,
        target: &EnvironmentTarget,
        read: &EnvironmentEntry,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let now = after(read, now);
        for image in read.image().into_iter().chain(&read.leaving) {
            self.leave_environment(org, target, image, read.kept.then_some(now)).await?;
            if !read.kept {
                self.leave_slot(org, &target.stream, &slot_of(image), image, now).await?;
            }
        }
        if let Some(tag) = &read.reference.tag {
            let key = keys::follower(org, &read.reference, tag, target);
            self.table.delete(&key, Condition::Always).await?;
        }
        let as_read = entry_item(org, target, read)?;
        let data = as_read.text("data").unwrap_or_default();
        let unchanged =
            Condition::Any(vec![Condition::ItemAbsent, Condition::Equal("data".to_owned(), data.into())]);
        let deleted = self.table.delete(&keys::entry(org, target), unchanged).await;
        unless_condition_failed(deleted)?.ok_or_else(|| RecordError::Changed {
            what: format!("the entry {} of {}", target.entry.as_str(), target.stream),
        })
    }

    /// Every environment that an image is in.
    pub async fn environments_of(
        &self,
        org: &OrgName,
        image: &ImageId,
    ) -> Result<Vec<EnvironmentPlace>, RecordError> {
        let partition = keys::image_partition(org, &image.digest, &image.platform);
        let items = self.all(Query::prefix(partition, keys::IN)).await?;
        items.iter().map(decode).collect()
    }

    /// The entries that follow a tag.
    pub async fn followers(
        &self,
        org: &OrgName,
        registry: &RegistryId,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Vec<EnvironmentTarget>, RecordError> {
        let partition = keys::repository(org, registry, repository);
        let items = self.all(Query::prefix(partition, keys::followers(tag))).await?;
        items.iter().map(decode).collect()
    }
}

impl EnvironmentPlace {
    /// The member that stands in the slot, of whose image nothing is known yet.
    pub fn member(&self) -> Member {
        let Self { image, tag, at, kept, .. } = self.clone();
        Member { kept, ..Member::pending(image, tag, at) }
    }
}

/// The slot of an image that replaces what is there of its repository.
fn slot_of(image: &Image) -> Slot {
    Slot::of_repository(image.registry.clone(), image.repository.clone())
}

/// `at`, or the first moment after an entry was pinned: by the clock of another function, that may not have come yet.
fn after(entry: &EnvironmentEntry, at: Timestamp) -> Timestamp {
    let next = entry.pinned.as_ref().and_then(|pinned| pinned.at.checked_add(Duration::from_millis(1)).ok());
    next.map_or(at, |next| next.max(at))
}

fn entry_item(
    org: &OrgName,
    target: &EnvironmentTarget,
    entry: &EnvironmentEntry,
) -> Result<Item, RecordError> {
    Ok(encode(keys::entry(org, target), entry)?.with("added_at", millis(entry.added_at)))
}
