//! The slots of streams, as they are read: the members in them, and what those have left.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::ports::table::{Condition, Item, Key, Query};
use tidewatch_core::stream::{Member, Slot};

use super::{RecordError, Records, decode, keys};

/// What stands in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSlot {
    /// The image; none when the last one has left.
    pub member: Option<Member>,
    /// The time by which it is decided whether another one is newer: [`Member::seen_at`], or when the last one has left.
    pub seen_at: Timestamp,
}

/// What a slot holds.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Member(Box<Member>),
    /// Whoever was in it has left.
    Empty {
        left_at: Timestamp,
    },
}

/// Slots of a shard that are of no use any more.
#[derive(Clone, Debug, Default)]
pub struct FormerSlots(Vec<Key>);

impl Records {
    /// The members of a shard.
    pub async fn members(
        &self,
        org: &OrgName,
        stream: &StreamName,
        shard: u16,
    ) -> Result<Vec<Member>, RecordError> {
        read_members(&self.slots_of(org, stream, shard).await?)
    }

    /// The members of a shard, and the slots of it that are of no use any more: those of `latest-indexed` of a counting before
    /// that of version `since` ([`tidewatch_core::stream::Counting`]). Nobody reads them, and nobody ever will.
    pub async fn members_and_former(
        &self,
        org: &OrgName,
        stream: &StreamName,
        shard: u16,
        since: i64,
    ) -> Result<(Vec<Member>, FormerSlots), RecordError> {
        let items = self.slots_of(org, stream, shard).await?;
        let is_latest = *stream == StreamName::latest_indexed();
        let is_former = |item: &Item| is_latest && keys::slot_since(&item.key) < since;
        let (former, items): (Vec<Item>, Vec<Item>) = items.into_iter().partition(is_former);
        let members = read_members(&items)?;
        Ok((members, FormerSlots(former.into_iter().map(|item| item.key).collect())))
    }

    async fn slots_of(
        &self,
        org: &OrgName,
        stream: &StreamName,
        shard: u16,
    ) -> Result<Vec<Item>, RecordError> {
        self.all(Query::prefix(keys::shard_partition(org, stream, shard), keys::MEMBER)).await
    }

    /// Removes slots that are of no use any more. Who is late with an older configuration may write one again; the mark that
    /// follows that has it found.
    pub async fn remove_former_slots(&self, slots: FormerSlots) -> Result<(), RecordError> {
        for key in slots.0 {
            self.table.delete(&key, Condition::Always).await?;
        }
        Ok(())
    }

    /// The member in a slot.
    pub async fn member(
        &self,
        org: &OrgName,
        stream: &StreamName,
        slot: &Slot,
    ) -> Result<Option<Member>, RecordError> {
        Ok(self.slot(org, stream, slot).await?.and_then(|held| held.member))
    }

    /// What stands in a slot; `None` when nothing ever did.
    pub async fn slot(
        &self,
        org: &OrgName,
        stream: &StreamName,
        slot: &Slot,
    ) -> Result<Option<HeldSlot>, RecordError> {
        let item = self.table.get(&keys::slot(org, stream, slot)).await?;
        item.as_ref().map(read_slot).transpose()
    }

    /// The members in these slots, none of which repeats, in their order; `None` where there is none.
    pub async fn members_of(
        &self,
        org: &OrgName,
        stream: &StreamName,
        slots: &[Slot],
    ) -> Result<Vec<Option<Member>>, RecordError> {
        let items = self.items(slots.iter().map(|slot| keys::slot(org, stream, slot)).collect()).await?;
        let member = |item: Option<Item>| item.as_ref().map_or(Ok(None), read_member);
        items.into_iter().map(member).collect()
    }
}

impl From<Content> for HeldSlot {
    fn from(content: Content) -> Self {
        match content {
            Content::Member(member) => Self { seen_at: member.seen_at, member: Some(*member) },
            Content::Empty { left_at } => Self { member: None, seen_at: left_at },
        }
    }
}

fn read_slot(item: &Item) -> Result<HeldSlot, RecordError> {
    Ok(decode::<Content>(item)?.into())
}

fn read_member(item: &Item) -> Result<Option<Member>, RecordError> {
    Ok(read_slot(item)?.member)
}

fn read_members(items: &[Item]) -> Result<Vec<Member>, RecordError> {
    items.iter().filter_map(|item| read_member(item).transpose()).collect()
}
