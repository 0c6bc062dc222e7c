//! Which images `latest-indexed` counts, and in which slots they stand: the one place that knows of `count_platforms`.
//!
//! Each change of how images are counted has slots of its own, named by the version of the configuration that has brought
//! it. They are filled while those of before stand; nothing that was written for another counting is ever counted, whoever
//! is late with it, and none of it hinders what is written now. So a slot of an earlier counting can be removed at any time,
//! by anybody.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Member, Slot, SlotForm, SlotKind};
use crate::Timestamp;
use crate::config::{Config, CountPlatforms};
use crate::image::{Image, Platform};
use crate::names::{RegistryId, RepositoryName, StreamName};

/// How the images of `latest-indexed` are counted, and since when. The default is that of an organisation that has never
/// changed it: one platform of each image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counting {
    /// The version of the configuration that has brought it; 0 for the first one, of one platform.
    since: i64,
    /// When that was put in force.
    since_at: Timestamp,
    /// The platforms that are counted each by itself; `None` where one platform of each image is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platforms: Option<BTreeSet<Platform>>,
}

impl Counting {
    /// What it is once `config` is put in force at `now`, as this version, where it was `self` before. It stays where the same
    /// is counted as before. With `count_platforms: all`, other `platforms` are another counting: what is written of a
    /// platform while it is not among them would be out of date when it comes back.
    #[must_use]
    pub fn after(self, config: &Config, version: i64, now: Timestamp) -> Self {
        let platforms = match config.count_platforms {
            CountPlatforms::One => None,
            CountPlatforms::All => Some(config.platforms.iter().cloned().collect()),
        };
        if platforms == self.platforms {
            return self;
        }
        Self { since: version, since_at: now, platforms }
    }

    /// Whether nobody has ever changed it.
    pub const fn is_first(&self) -> bool {
        self.since == 0
    }

    /// The version of the configuration that has brought it; 0 for the first one. It names the counting: another one has
    /// another.
    pub const fn since(&self) -> i64 {
        self.since
    }

    /// Whether what was known at `at` was known before this counting: what has left since then may have left without a trace
    /// in its slots.
    pub fn is_older(&self, at: Timestamp) -> bool {
        !self.is_first() && at < self.since_at
    }

    /// Whether an image behind a tag is one of those that count. `stands_for_image`: whether the gauges count this platform
    /// where they count one.
    pub fn counts_image(&self, platform: &Platform, stands_for_image: bool) -> bool {
        self.platforms.as_ref().map_or(stands_for_image, |platforms| platforms.contains(platform))
    }

    /// The slot of an image in `latest-indexed`; none when it does not count there. It was seen behind a tag at `seen_at`; that
    /// of one that only an environment knows is [`Timestamp::UNIX_EPOCH`]. `stands_for_image`: as in [`Self::counts_image`].
    pub fn slot_of(&self, image: &Image, stands_for_image: bool, seen_at: Timestamp) -> Option<Slot> {
        let is_behind_a_tag = stands_for_image || seen_at > Timestamp::UNIX_EPOCH;
        if !is_behind_a_tag || !self.counts_image(&image.platform, stands_for_image) {
            return None;
        }
        let (since, platform) = (self.since, image.platform.clone());
        let kind = match &self.platforms {
            None => SlotKind::Repository { since },
            Some(_) => SlotKind::Platform { since, platform },
        };
        Some(Slot { registry: image.registry.clone(), repository: image.repository.clone(), kind })
    }

    /// The slots of a repository in `latest-indexed`, sorted.
    pub fn slots(&self, registry: &RegistryId, repository: &RepositoryName) -> Vec<Slot> {
        let since = self.since;
        let slot = |kind| Slot { registry: registry.clone(), repository: repository.clone(), kind };
        match &self.platforms {
            None => vec![slot(SlotKind::Repository { since })],
            Some(platforms) => {
                let kind = |platform: &Platform| SlotKind::Platform { since, platform: platform.clone() };
                platforms.iter().map(kind).map(slot).collect()
            }
        }
    }

    /// Whether an image behind a tag of its repository may stand in `slot`, which is one of [`Self::slots`].
    pub fn takes(&self, slot: &Slot, platform: &Platform, stands_for_image: bool) -> bool {
        let is_of_slot = match &slot.kind {
            SlotKind::Platform { platform: of_slot, .. } => of_slot == platform,
            SlotKind::Repository { .. } => true,
            SlotKind::Kept(_) => false,
        };
        is_of_slot && self.counts_image(platform, stands_for_image)
    }

    /// Whether a member stands in a slot of `stream` that counts. Environments count whoever stands there.
    pub fn counts(&self, stream: &StreamName, member: &Member) -> bool {
        let form = SlotForm { since: self.since, per_platform: self.platforms.is_some() };
        *stream != StreamName::latest_indexed() || member.form == form
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Digest;
    use crate::names::Tag;

    fn config(count: &str, platforms: &[&str]) -> Config {
        serde_json::from_value(json!({"org": "acme", "count_platforms": count, "platforms": platforms}))
            .unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn image(platform: &str) -> Image {
        let platform: Platform = platform.parse().unwrap();
        let digest = Digest::of(platform.to_string().as_bytes());
        Image { registry: "hub".parse().unwrap(), repository: "team/web".parse().unwrap(), digest, platform }
    }

    const BOTH: [&str; 2] = ["linux/amd64", "linux/arm64"];

    fn all() -> Counting {
        Counting::default().after(&config("all", &BOTH), 3, at(30))
    }

    #[test]
    fn a_counting_stays_until_something_else_is_counted() {
        let first = Counting::default();
        assert_eq!(first.clone().after(&config("one", &BOTH), 2, at(20)), first);
        assert_eq!(first.after(&config("one", &["linux/arm64"]), 2, at(20)), Counting::default());
        let reversed: Vec<&str> = BOTH.iter().rev().copied().collect();
        assert_eq!(all().after(&config("all", &reversed), 4, at(40)), all(), "their order does not matter");
        let others = all().after(&config("all", &BOTH[..1]), 4, at(40));
        let back = all().after(&config("one", &BOTH), 5, at(50));
        assert_eq!((all().since(), others.since(), back.since()), (3, 4, 5));
        assert!(!back.is_first(), "slots of before the first change are out of date");
    }

    #[test]
    fn one_platform_of_an_image_counts_or_each() {
        let first = Counting::default();
        let slot = first.slot_of(&image("linux/amd64"), true, at(1)).unwrap();
        assert_eq!(slot, Slot::of_repository("hub".parse().unwrap(), "team/web".parse().unwrap()));
        assert_eq!(first.slot_of(&image("linux/arm64"), false, at(1)), None);
        for (platform, stands_for_image) in [("linux/amd64", true), ("linux/arm64", false)] {
            let image = image(platform);
            let slot = all().slot_of(&image, stands_for_image, at(1)).unwrap();
            let kind = SlotKind::Platform { since: 3, platform: image.platform.clone() };
            assert_eq!(slot.kind, kind);
            assert!(all().takes(&slot, &image.platform, stands_for_image));
        }
        assert_eq!(all().slot_of(&image("linux/s390x"), true, at(1)), None, "it is not wanted any more");
    }

    #[test]
    fn what_only_an_environment_knows_stands_for_no_repository() {
        for counting in [Counting::default(), all()] {
            assert_eq!(counting.slot_of(&image("linux/amd64"), false, Timestamp::UNIX_EPOCH), None);
        }
    }

    #[test]
    fn every_slot_of_an_image_is_one_of_its_repository() {
        for counting in [Counting::default(), all(), all().after(&config("one", &BOTH), 9, at(90))] {
            let image = image("linux/arm64");
            let slots = counting.slots(&image.registry, &image.repository);
            let slot = counting.slot_of(&image, true, at(1)).unwrap();
            let taking = slots.iter().filter(|slot| counting.takes(slot, &image.platform, true));
            assert_eq!(taking.collect::<Vec<_>>(), [&slot]);
            assert!(slots.is_sorted());
        }
    }

    #[test]
    fn a_member_counts_only_in_the_slots_of_the_counting_in_force() {
        let latest = StreamName::latest_indexed();
        let member = |counting: &Counting| {
            let slot = counting.slot_of(&image("linux/amd64"), true, at(1)).unwrap();
            Member::pending(image("linux/amd64"), Tag::latest(), at(1)).in_slot(&slot)
        };
        let countings = [Counting::default(), all(), all().after(&config("one", &BOTH), 9, at(90))];
        for (number, counting) in countings.iter().enumerate() {
            for (other, of_member) in countings.iter().map(&member).enumerate() {
                assert_eq!(counting.counts(&latest, &of_member), number == other);
                assert!(counting.counts(&"production".parse().unwrap(), &of_member));
            }
        }
    }
}
