//! Streams: slots of images, totals of shards and groups, and the marks between them.
//!
//! The roll-up protocol: a writer writes its rows, then marks the shard and then its group (adds 1 to `dirty_seq`, also
//! when the rows already had the wanted values), then acknowledges its message. A roll-up reads the `dirty_seq` = s of a
//! group, then those of its shards, then the rows of those that are dirty; it writes the totals of these with the mark that
//! it read, if nobody has written totals since, and then those of the group with s, if its shards have come as far. Nothing
//! is ever cleared: a shard or group is dirty while `dirty_seq` > `computed_seq`, or once its `next_change_at` has passed,
//! or when its totals are of an older configuration than the one in force (who changes that has nothing to mark), or an
//! hour after they were computed. What nobody has marked has no members.

use std::time::Duration;

use jiff::Timestamp;
use tidewatch_core::image::Image;
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, StreamName};
use tidewatch_core::ports::table::{Condition, Item, Key, Update};
use tidewatch_core::stream::{Layout, Member, Slot, SlotVersion, Totals, group_of, shards_of};

use super::members::Content;
use super::{
    ITEM_VERSION, RecordError, Records, check_version, corrupt, decode, encode, keys, millis,
    unless_condition_failed,
};

/// How long totals count before they are computed again without a mark: what any mistake has left behind is found.
const FULL_PASS: Duration = Duration::from_secs(3600);

/// A part of a stream that has totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A group of shards, by its number.
    Group(u16),
    /// A shard of members, by its number.
    Shard(u16),
}

impl Part {
    fn key(self, org: &OrgName, stream: &StreamName) -> Key {
        match self {
            Self::Group(group) => keys::group_totals(org, stream, group),
            Self::Shard(shard) => keys::shard_totals(org, stream, shard),
        }
    }
}

/// A shard or a group as its totals item has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartState {
    /// The last mark of a writer.
    pub dirty_seq: i64,
    /// The mark up to which the totals count.
    pub computed_seq: i64,
    /// How often totals were written.
    pub revision: i64,
    /// How often they were others than before.
    pub changes: i64,
    /// The version of the configuration that the totals were computed under; 0 before the first.
    pub config_version: i64,
    /// When they were computed; `None` before the first.
    pub computed_at: Option<Timestamp>,
    /// The totals.
    pub totals: Totals,
}

impl PartState {
    /// The totals of all of these parts together.
    pub fn sum(parts: &[Self]) -> Totals {
        let mut totals = Totals::default();
        for part in parts {
            totals += &part.totals;
        }
        totals
    }

    /// Whether the totals may not be those of the members any more at `now`, under this version of the configuration.
    /// Those of a later one are another roll-up's, and a part that nobody has marked has no members.
    pub fn is_dirty(&self, now: Timestamp, config_version: i64) -> bool {
        self.has_members()
            && self.config_version <= config_version
            && (self.dirty_seq > self.computed_seq
                || self.config_version < config_version
                || self.totals.next_change_at.is_some_and(|change| change <= now)
                || self.is_old(now))
    }

    /// Whether somebody has marked it.
    pub const fn has_members(&self) -> bool {
        self.dirty_seq > 0
    }

    /// Whether the totals are to be computed again at `now` though nothing has changed.
    pub fn is_old(&self, now: Timestamp) -> bool {
        self.computed_at.is_some_and(|at| at.checked_add(FULL_PASS).is_ok_and(|due| due <= now))
    }
}

/// The totals of a part, as they are to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTotals {
    /// The mark up to which they count.
    pub computed_seq: i64,
    /// The version of the configuration that they were computed under.
    pub config_version: i64,
    /// When they were computed.
    pub computed_at: Timestamp,
    /// The totals.
    pub totals: Totals,
}

impl Records {
    /// Puts `member`, with the result of this `revision`, into its slot, unless that holds a newer one, or
    /// one with that result that was judged there (see [`super::Filling`]).
    /// This is the row of the protocol: [`Records::mark_member`] must follow, whatever this one did.
    pub async fn put_member(
        &self,
        org: &OrgName,
        stream: &StreamName,
        member: &Member,
        revision: i64,
    ) -> Result<(), RecordError> {
        self.put_member_version(org, stream, member, &member.version(revision)).await
    }

    /// Whether the slot of `member` holds a newer version than this one.
    pub(super) async fn holds_newer(
        &self,
        org: &OrgName,
        stream: &StreamName,
        member: &Member,
        version: &SlotVersion,
    ) -> Result<bool, RecordError> {
        let held = self.table.get(&keys::slot(org, stream, &member.slot())).await?;
        Ok(held.is_some_and(|held| held.text("version").is_some_and(|held| held > version.as_str())))
    }

    /// [`Self::put_member`] for a member of this `version`.
    pub(super) async fn put_member_version(
        &self,
        org: &OrgName,
        stream: &StreamName,
        member: &Member,
        version: &SlotVersion,
    ) -> Result<(), RecordError> {
        let key = keys::slot(org, stream, &member.slot());
        self.put_slot(encode(key, member)?, version).await
    }

    /// Empties `slot`, in which `image` stands, as of `left_at`, unless it holds one that was put there later, and marks its
    /// shard.
    pub async fn leave_slot(
        &self,
        org: &OrgName,
        stream: &StreamName,
        slot: &Slot,
        image: &Image,
        left_at: Timestamp,
    ) -> Result<(), RecordError> {
        let item = encode(keys::slot(org, stream, slot), &Content::Empty { left_at })?;
        self.put_slot(item, &SlotVersion::new(left_at, None, &image.digest, 0)).await?;
        self.mark_slot(org, stream, &slot.registry, &slot.repository).await
    }

    async fn put_slot(&self, item: Item, version: &SlotVersion) -> Result<(), RecordError> {
        let not_newer = Condition::Any(vec![
            Condition::Absent("version".to_owned()),
            Condition::LessOrEqual("version".to_owned(), version.as_str().into()),
        ]);
        let item = item.with("version", version.as_str());
        unless_condition_failed(self.table.put(item, not_newer).await)?;
        Ok(())
    }

    /// Marks the shard of `member`, and its group, as dirty.
    pub async fn mark_member(
        &self,
        org: &OrgName,
        stream: &StreamName,
        member: &Member,
    ) -> Result<(), RecordError> {
        let Image { registry, repository, .. } = &member.image;
        self.mark_slot(org, stream, registry, repository).await
    }

    async fn mark_slot(
        &self,
        org: &OrgName,
        stream: &StreamName,
        registry: &RegistryId,
        repository: &RepositoryName,
    ) -> Result<(), RecordError> {
        let shard = Layout::of(stream).shard_of(registry, repository);
        for part in [Part::Shard(shard), Part::Group(group_of(shard))] {
            let mark = Update::default().set("v", ITEM_VERSION).add("dirty_seq", 1);
            self.table.update(&part.key(org, stream), mark, Condition::Always).await?;
        }
        Ok(())
    }

    /// Marks the group of a shard as dirty, whose totals were changed without a roll-up.
    pub async fn mark_group_of(
        &self,
        org: &OrgName,
        stream: &StreamName,
        shard: u16,
    ) -> Result<(), RecordError> {
        let mark = Update::default().set("v", ITEM_VERSION).add("dirty_seq", 1);
        let key = Part::Group(group_of(shard)).key(org, stream);
        self.table.update(&key, mark, Condition::Always).await?;
        Ok(())
    }

    /// Every group of each of these streams, by number; those never written to are as by default.
    pub async fn groups(
        &self,
        org: &OrgName,
        streams: &[StreamName],
    ) -> Result<Vec<Vec<PartState>>, RecordError> {
        let parts = streams.iter().flat_map(|stream| {
            Layout::of(stream).groups().map(move |group| Part::Group(group).key(org, stream))
        });
        let mut states = self.items(parts.collect()).await?.into_iter().map(read_part);
        streams
            .iter()
            .map(|stream| states.by_ref().take(Layout::of(stream).groups().len()).collect())
            .collect()
    }

    /// The shards of a group, each with its number.
    pub async fn shards(
        &self,
        org: &OrgName,
        stream: &StreamName,
        group: u16,
    ) -> Result<Vec<(u16, PartState)>, RecordError> {
        let keys = shards_of(group).map(|shard| Part::Shard(shard).key(org, stream)).collect();
        let states = self.items(keys).await?.into_iter().map(read_part);
        shards_of(group).zip(states).map(|(shard, state)| Ok((shard, state?))).collect()
    }

    /// A shard or a group.
    pub async fn part(
        &self,
        org: &OrgName,
        stream: &StreamName,
        part: Part,
    ) -> Result<PartState, RecordError> {
        read_part(self.table.get(&part.key(org, stream)).await?)
    }

    /// Writes the totals of a part that were computed after `read` was read. `false` when another roll-up has written
    /// totals since.
    pub async fn put_totals(
        &self,
        org: &OrgName,
        stream: &StreamName,
        part: Part,
        read: &PartState,
        new: &NewTotals,
    ) -> Result<bool, RecordError> {
        let key = part.key(org, stream);
        let unchanged = match read.revision {
            0 => Condition::Absent("revision".to_owned()),
            revision => Condition::Equal("revision".to_owned(), revision.into()),
        };
        let data =
            serde_json::to_string(&new.totals).map_err(|error| corrupt(key.partition.clone(), error))?;
        let update = Update::default()
            .set("v", ITEM_VERSION)
            .set("data", data)
            .set("computed_seq", new.computed_seq)
            .set("config_version", new.config_version)
            .set("computed_at", millis(new.computed_at))
            .add("revision", 1)
            .add("changes", i64::from(new.totals != read.totals));
        Ok(unless_condition_failed(self.table.update(&key, update, unchanged).await)?.is_some())
    }
}

fn read_part(item: Option<Item>) -> Result<PartState, RecordError> {
    let Some(item) = item else { return Ok(PartState::default()) };
    check_version(&item)?;
    let number = |name| item.number(name).unwrap_or(0);
    let totals = if item.text("data").is_some() { decode(&item)? } else { Totals::default() };
    Ok(PartState {
        dirty_seq: number("dirty_seq"),
        computed_seq: number("computed_seq"),
        revision: number("revision"),
        changes: number("changes"),
        config_version: number("config_version"),
        computed_at: item.number("computed_at").and_then(|at| Timestamp::from_millisecond(at).ok()),
        totals,
    })
}
