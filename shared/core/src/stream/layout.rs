//! How the members of a stream are spread, so that a roll-up after one change reads little however large the stream is.
//!
//! Members lie in shards, and shards in groups. Who changes a member marks its shard and its group; a roll-up reads the
//! marks of the groups, those of the shards of a marked group, and the members of a marked shard.

use std::ops::Range;

use crate::Digest;
use crate::names::{RegistryId, RepositoryName, StreamName};

/// How many shards a group has.
pub const SHARDS_PER_GROUP: u16 = 32;

/// How many groups `latest-indexed` has: at 1,000 members a shard, it is good for a million repositories.
const GROUPS_OF_LATEST: u16 = 32;

/// Into how many groups and shards a stream is split: for ever, because it decides where a member lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    groups: u16,
}

impl Layout {
    /// That of a stream. An environment has one group: at 1,000 members a shard, it is good for 32,000 images, and its
    /// shards grow beyond that.
    pub fn of(stream: &StreamName) -> Self {
        Self { groups: if *stream == StreamName::latest_indexed() { GROUPS_OF_LATEST } else { 1 } }
    }

    /// The numbers of all groups.
    pub const fn groups(self) -> Range<u16> {
        0..self.groups
    }

    /// The numbers of all shards.
    pub const fn shards(self) -> Range<u16> {
        0..self.groups * SHARDS_PER_GROUP
    }

    /// The shard that holds the slot of a repository.
    pub fn shard_of(self, registry: &RegistryId, repository: &RepositoryName) -> u16 {
        let shards = u64::from(self.groups * SHARDS_PER_GROUP);
        let shard = Digest::of(format!("{registry}/{repository}").as_bytes()).spread() % shards;
        u16::try_from(shard).unwrap_or_default()
    }
}

/// The group that a shard is in.
pub const fn group_of(shard: u16) -> u16 {
    shard / SHARDS_PER_GROUP
}

/// The shards of a group.
pub const fn shards_of(group: u16) -> Range<u16> {
    group * SHARDS_PER_GROUP..(group + 1) * SHARDS_PER_GROUP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_spread_over_all_shards() {
        let registry: RegistryId = "hub".parse().unwrap();
        let layout = Layout::of(&StreamName::latest_indexed());
        let mut shards = vec![0; layout.shards().len()];
        for number in 0..102_400 {
            let repository: RepositoryName = format!("team/app-{number}").parse().unwrap();
            shards[usize::from(layout.shard_of(&registry, &repository))] += 1;
        }
        assert!(shards.iter().all(|members| (50..200).contains(members)), "{shards:?}");
    }

    #[test]
    fn every_shard_is_in_one_group() {
        for layout in [Layout::of(&StreamName::latest_indexed()), Layout::of(&"production".parse().unwrap())]
        {
            let shards: Vec<u16> = layout.groups().flat_map(shards_of).collect();
            assert_eq!(shards, layout.shards().collect::<Vec<_>>());
            assert!(layout.groups().all(|group| shards_of(group).all(|shard| group_of(shard) == group)));
        }
    }
}
