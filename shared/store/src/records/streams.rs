//! Streams: one slot per repository, totals per shard, and the marks between them.
//!
//! The roll-up protocol: a writer writes its rows, then marks the shard (adds 1 to `dirty_seq`, also when the rows
//! already had the wanted values), then acknowledges its message. A roll-up reads `dirty_seq` = s, then the rows, then
//! writes totals with `computed_seq` = s, if nobody has written totals since it read them. Nothing is ever cleared:
//! a shard is dirty while `dirty_seq` > `computed_seq`, or once its `next_change_at` has passed, or when its totals are of
//! another configuration than the one in force: who changes that has nothing to mark.

use jiff::Timestamp;
use tidewatch_core::image::Image;
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, StreamName};
use tidewatch_core::ports::table::{Condition, Item, Query, Update};
use tidewatch_core::stream::{Member, SHARDS, Totals, shard_of};

use super::{
    ITEM_VERSION, RecordError, Records, check_version, corrupt, decode, encode, keys, unless_condition_failed,
};

/// A shard as its totals item has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardState {
    /// The last mark of a writer.
    pub dirty_seq: i64,
    /// The mark up to which the totals count.
    pub computed_seq: i64,
    /// How often totals were written.
    pub revision: i64,
    /// The version of the configuration that the totals were computed under; 0 before the first.
    pub config_version: i64,
    /// The totals.
    pub totals: Totals,
}

impl ShardState {
    /// Whether the totals may not be those of the members any more at `now`, under this version of the configuration.
    pub fn is_dirty(&self, now: Timestamp, config_version: i64) -> bool {
        self.dirty_seq > self.computed_seq
            || self.config_version != config_version
            || self.totals.next_change_at.is_some_and(|change| change <= now)
    }
}

impl Records {
    /// Puts `member`, with the result of this `revision`, into the slot of its repository, unless that holds a newer one.
    /// This is the row of the protocol: [`Records::mark_member`] must follow, whatever this one did.
    pub async fn put_member(
        &self,
        org: &OrgName,
        stream: &StreamName,
        member: &Member,
        revision: i64,
    ) -> Result<(), RecordError> {
        let version = member.version(revision);
        let not_newer = Condition::Any(vec![
            Condition::Absent("version".to_owned()),
            Condition::LessOrEqual("version".to_owned(), version.as_str().into()),
        ]);
        let Image { registry, repository, .. } = &member.image;
        let key = keys::member(org, stream, registry, repository);
        let item = encode(key, member)?.with("version", version.as_str());
        unless_condition_failed(self.table.put(item, not_newer).await)?;
        Ok(())
    }

    /// Marks the shard of `member` as dirty.
    pub async fn mark_member(
        &self,
        org: &OrgName,
        stream: &StreamName,
        member: &Member,
    ) -> Result<(), RecordError> {
        let shard = shard_of(&member.image.registry, &member.image.repository);
        let mark = Update::default().set("v", ITEM_VERSION).add("dirty_seq", 1);
        self.table.update(&keys::shard_totals(org, stream, shard), mark, Condition::Always).await?;
        Ok(())
    }

    /// Every shard of a stream, by number; those never written to are as by default.
    pub async fn shards(&self, org: &OrgName, stream: &StreamName) -> Result<Vec<ShardState>, RecordError> {
        let keys: Vec<_> = (0..SHARDS).map(|shard| keys::shard_totals(org, stream, shard)).collect();
        let items = self.table.get_batch(&keys).await?;
        keys.iter()
            .map(|key| {
                let item = items.iter().find(|item| item.key == *key);
                item.map_or_else(|| Ok(ShardState::default()), read_shard)
            })
            .collect()
    }

    /// One shard of a stream.
    pub async fn shard(
        &self,
        org: &OrgName,
        stream: &StreamName,
        shard: u16,
    ) -> Result<ShardState, RecordError> {
        let item = self.table.get(&keys::shard_totals(org, stream, shard)).await?;
        item.map_or_else(|| Ok(ShardState::default()), |item| read_shard(&item))
    }

    /// The members of a shard.
    pub async fn members(
        &self,
        org: &OrgName,
        stream: &StreamName,
        shard: u16,
    ) -> Result<Vec<Member>, RecordError> {
        let items = self.all(Query::prefix(keys::shard_partition(org, stream, shard), keys::MEMBER)).await?;
        items.iter().map(decode).collect()
    }

    /// The member in the slot of a repository.
    pub async fn member(
        &self,
        org: &OrgName,
        stream: &StreamName,
        registry: &RegistryId,
        repository: &RepositoryName,
    ) -> Result<Option<Member>, RecordError> {
        self.record(&keys::member(org, stream, registry, repository)).await
    }

    /// Writes the totals of a shard that were computed after `read` was read, from its members, under this version of
    /// the configuration. `false` when another roll-up has written totals since.
    pub async fn put_totals(
        &self,
        org: &OrgName,
        stream: &StreamName,
        shard: u16,
        read: &ShardState,
        config_version: i64,
        totals: &Totals,
    ) -> Result<bool, RecordError> {
        let key = keys::shard_totals(org, stream, shard);
        let unchanged = match read.revision {
            0 => Condition::Absent("revision".to_owned()),
            revision => Condition::Equal("revision".to_owned(), revision.into()),
        };
        let data = serde_json::to_string(totals).map_err(|error| corrupt(key.partition.clone(), error))?;
        let update = Update::default()
            .set("v", ITEM_VERSION)
            .set("data", data)
            .set("computed_seq", read.dirty_seq)
            .set("config_version", config_version)
            .add("revision", 1);
        Ok(unless_condition_failed(self.table.update(&key, update, unchanged).await)?.is_some())
    }
}

fn read_shard(item: &Item) -> Result<ShardState, RecordError> {
    check_version(item)?;
    let number = |name| item.number(name).unwrap_or(0);
    let totals = if item.text("data").is_some() { decode(item)? } else { Totals::default() };
    Ok(ShardState {
        dirty_seq: number("dirty_seq"),
        computed_seq: number("computed_seq"),
        revision: number("revision"),
        config_version: number("config_version"),
        totals,
    })
}
