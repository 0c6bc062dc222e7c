//! What results rest on, by hashes: the code that matches, the indexes that packages are matched against, and the policies
//! that images are judged by. Whether a result is as good as a new one is told by comparing these.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// The number of how packages are matched. Raise it when the same packages and indexes can give something else: another
/// family, other names under which packages are looked up, other rules. Then every image is matched again.
pub const MATCHING: u32 = 1;

/// The number of how layers are read. Raise it when the same layer can give another inventory. Results of earlier readers stay
/// valid, and are marked; a layer that the present readers have read is never read again.
pub const READER_VERSION: u32 = 3;

/// Everything in force that results depend on, by hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// [`MATCHING`].
    pub matching: u32,
    /// Family to content hash of its index.
    pub indexes: BTreeMap<String, Digest>,
    /// [`crate::judgement::Judging::fingerprint`] of what images are judged by.
    pub judging: Digest,
    /// Whether anything of that is limited to some repositories or streams.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_limited: bool,
    /// [`crate::stream::Counting::since`] of how images are counted, which `judging` counts as well.
    #[serde(default, skip_serializing_if = "is_first")]
    pub counted_since: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_first(counted_since: &i64) -> bool {
    *counted_since == 0
}

impl Basis {
    /// Names it: the same for equal ones only.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// What the result of one image rests on: the part of a [`Basis`] that it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footing {
    /// [`MATCHING`].
    pub matching: u32,
    /// Family to content hash of its index, none where that was missing.
    pub indexes: BTreeMap<String, Option<Digest>>,
    /// [`crate::judgement::Judging::fingerprint`] of what images are judged by.
    pub judging: Digest,
}

impl Footing {
    /// Whether it is a part of `basis`: what rests on it is as if it were computed by `basis`.
    pub fn is_of(&self, basis: &Basis) -> bool {
        self.matching == basis.matching && self.judging == basis.judging && self.matches_by(basis)
    }

    /// Whether its indexes are those of `basis`.
    pub fn matches_by(&self, basis: &Basis) -> bool {
        self.indexes.iter().all(|(family, hash)| basis.indexes.get(family) == hash.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basis(indexes: &[(&str, &str)], judging: &str) -> Basis {
        let indexes =
            indexes.iter().map(|(family, content)| ((*family).to_owned(), Digest::of(content.as_bytes())));
        Basis {
            matching: MATCHING,
            indexes: indexes.collect(),
            judging: Digest::of(judging.as_bytes()),
            is_limited: false,
            counted_since: 0,
        }
    }

    fn footing(indexes: &[(&str, Option<&str>)], judging: &str) -> Footing {
        let hash = |content: &str| Digest::of(content.as_bytes());
        let indexes = indexes.iter().map(|(family, content)| ((*family).to_owned(), content.map(hash)));
        Footing { matching: MATCHING, indexes: indexes.collect(), judging: hash(judging) }
    }

    #[test]
    fn only_the_families_that_an_image_needs_count() {
        let image = footing(&[("debian", Some("1")), ("npm", None)], "p");
        assert!(image.is_of(&basis(&[("alpine", "7"), ("debian", "1")], "p")));
        assert!(!image.is_of(&basis(&[("debian", "2")], "p")), "another index");
        assert!(!image.is_of(&basis(&[("debian", "1"), ("npm", "1")], "p")), "one that was missing");
        assert!(!image.is_of(&basis(&[], "p")), "one that has gone");
        assert!(footing(&[], "p").is_of(&basis(&[("debian", "1")], "p")), "an image without packages");
    }

    #[test]
    fn other_policies_and_another_way_of_matching_count() {
        let image = footing(&[("debian", Some("1"))], "p");
        let other = basis(&[("debian", "1")], "q");
        assert_eq!((image.is_of(&other), image.matches_by(&other)), (false, true));
        assert!(!Footing { matching: MATCHING + 1, ..image }.is_of(&basis(&[("debian", "1")], "p")));
    }
}
