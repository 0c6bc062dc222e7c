//! Sets of paths by their hashes: what a layer has at all its paths, and what packages own, in eight bytes a path. A layer
//! may have a million of them, of which a merge asks only whether they are there.
//!
//! The hash is XXH3 (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>) of each part of the path, seeded by
//! the hash of what is before it, so that all directories above a path are hashed on the way to it. Two of a million paths
//! collide once in 37 million layers; who builds an image can make them collide, but could as well have left out the file.

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use twox_hash::XxHash3_64;

/// The hash of a path. The stored form of layers depends on it: it must not change within a reader version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PathHash(u64);

impl PathHash {
    /// The hash of the root, which is the empty path.
    pub(crate) const ROOT: Self = Self(0);

    /// The hash of a cleaned path.
    pub(crate) fn of(path: &str) -> Self {
        Self::ancestors(path).last().unwrap_or(Self::ROOT)
    }

    /// The hash of `name` in the directory that this is the hash of.
    pub(crate) fn join(self, name: &str) -> Self {
        Self(XxHash3_64::oneshot_with_seed(self.0, name.as_bytes()))
    }

    /// The hashes of the root, of each directory above `path` in order, and of `path` itself.
    pub(crate) fn ancestors(path: &str) -> impl Iterator<Item = Self> + '_ {
        let parts = path.split('/').filter(|part| !part.is_empty());
        let below = parts.scan(Self::ROOT, |hash, part| {
            *hash = hash.join(part);
            Some(*hash)
        });
        std::iter::once(Self::ROOT).chain(below)
    }

    /// The number itself.
    pub(crate) const fn as_u64(self) -> u64 {
        self.0
    }
}

/// A set of paths: their hashes, sorted. Stored as Base64 of eight little-endian bytes each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathSet(Vec<u64>);

impl PathSet {
    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many paths there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether `path` is in it; a cleaned one, as it stands in an inventory.
    pub fn contains(&self, path: &str) -> bool {
        self.has(PathHash::of(path))
    }

    pub(crate) fn has(&self, hash: PathHash) -> bool {
        self.0.binary_search(&hash.0).is_ok()
    }

    pub(crate) fn hashes(&self) -> impl Iterator<Item = PathHash> + '_ {
        self.0.iter().copied().map(PathHash)
    }
}

impl FromIterator<PathHash> for PathSet {
    fn from_iter<I: IntoIterator<Item = PathHash>>(hashes: I) -> Self {
        let mut hashes: Vec<u64> = hashes.into_iter().map(PathHash::as_u64).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes.shrink_to_fit();
        Self(hashes)
    }
}

impl Serialize for PathSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        serializer.serialize_str(&BASE64.encode(&bytes))
    }
}

impl<'de> Deserialize<'de> for PathSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(de::Error::custom)?;
        let (hashes, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(de::Error::custom("a set of paths has eight bytes for each"));
        }
        Ok(hashes.iter().map(|hash| PathHash(u64::from_le_bytes(*hash))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_hashed_part_by_part_and_slashes_do_not_count() {
        let joined = PathHash::ROOT.join("usr").join("lib");
        assert_eq!(PathHash::of("usr/lib"), joined);
        assert_eq!(PathHash::of("/usr//lib/"), joined);
        assert_eq!(PathHash::of(""), PathHash::ROOT);
        assert_ne!(PathHash::of("usrlib"), joined);
        let ancestors: Vec<PathHash> = PathHash::ancestors("usr/lib").collect();
        assert_eq!(ancestors, [PathHash::ROOT, PathHash::of("usr"), joined]);
    }

    #[test]
    fn the_hash_of_a_path_stays_what_it_is() {
        assert_eq!(format!("{:016x}", PathHash::of("usr/lib/os-release").as_u64()), "9184bb97dc1428e1");
    }

    #[test]
    fn a_set_is_stored_and_read_back() {
        let set: PathSet = ["b", "a", "b"].into_iter().map(PathHash::of).collect();
        assert_eq!(set.len(), 2);
        assert!(set.contains("a") && !set.contains("c"));
        let stored = serde_json::to_string(&set).unwrap();
        assert_eq!(serde_json::from_str::<PathSet>(&stored).unwrap(), set);
        assert!(serde_json::from_str::<PathSet>("\"AAAA\"").is_err());
    }
}
