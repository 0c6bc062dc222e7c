//! What is to be done: the messages between the functions, and the work rows behind them.
//!
//! Messages and rows are stored formats: a new version of the code meets those of the old one. Fields are only added,
//! with a default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::Timestamp;
use crate::environment::EnvironmentTarget;
use crate::image::{Image, ImageId};
use crate::names::{OrgName, RegistryId, RepositoryName, RuleId, Tag};
use crate::rule::LeftOut;

/// Which run of which rule wants something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// The rule.
    pub rule: RuleId,
    /// The run; runs of a rule sort by it in the order of their starts.
    pub run: String,
}

/// A message of the queue `listings`: list something of a registry for a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListingMessage {
    /// The organisation.
    pub org: OrgName,
    /// The run that wants it.
    #[serde(flatten)]
    pub run: RunId,
    /// The registry to list.
    pub registry: RegistryId,
    /// The repository whose tags are to be listed; without one, the repositories of the registry are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
    /// Whether the registry does not name that repository any more where it lists its repositories.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unlisted: bool,
    /// How often it has failed before.
    #[serde(default)]
    pub failures: u32,
    /// Where it goes on; at its beginning without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<ListingPosition>,
}

/// How far a listing came in the time that one call of its function has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListingPosition {
    /// The page to ask for, as the registry names it; the first one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The last entry of that page that is done with; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many pages are done with.
    pub pages: usize,
    /// Entries that are done with.
    pub listed: u64,
    /// Those that the rule did not choose, by the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<LeftOut, u64>,
    /// When the listing began; for the tags of a repository, what it decides by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<Timestamp>,
    /// The parts in which tags are staged, by their content hashes: whoever else lists the same stages others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Digest>,
    /// Names the rule that tags are staged for: for another one the listing begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Digest>,
    /// Why the registry's pages were not followed to their end, which they may not have: the listing fails of it, but only at
    /// its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// Whether all tags are staged; then how many of them have taken effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<usize>,
    /// How many of the tags that need work the run takes, where its rule takes only so many images in one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admitted: Option<usize>,
    /// Those that the rule chose.
    pub selected: u64,
    /// Those without an image to scan.
    pub skipped: u64,
    /// Images that got work.
    pub queued: u64,
    /// What was wrong with the answer about one of them: the listing fails of it, but only at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Whether its registry has throttled it: from then on it asks for one thing after the other, so that the few requests
    /// that it gets bring something to its end.
    #[serde(default, skip_serializing_if = "is_false")]
    pub throttled: bool,
}

/// A message of the queue `scans`: scan one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanMessage {
    /// The organisation.
    pub org: OrgName,
    /// What to scan.
    pub work: Work,
}

/// A message of the queue `hints`: a registry says that a tag was pushed. It is a hint only: what the tag points to is
/// asked of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HintMessage {
    /// The organisation.
    pub org: OrgName,
    /// The registry that the hook is for.
    pub registry: RegistryId,
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// When we heard of it.
    pub received_at: Timestamp,
    /// How often resolving it has failed before.
    #[serde(default)]
    pub failures: u32,
    /// The entry of an environment that is to be pinned to what the tag points to; without it, a registry has told of a
    /// push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<EnvironmentTarget>,
    /// What images that are built on the tag call it, when it is asked what it points to because of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

/// A message of the queue `rematches`: match and judge images again, from what is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RematchMessage {
    /// The organisation.
    pub org: OrgName,
    /// What to do; without it, find the images that a change of what is in force is about, and send for them.
    #[serde(flatten)]
    pub task: Option<RematchTask>,
    /// When it was sent; not known of messages of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// Its number among those that were sent at that time because images are to be judged by something else; noted when it
    /// is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// [`crate::basis::Basis::fingerprint`] of what is in force that it was sent for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_for: Option<Digest>,
    /// Whether the slots of the images are written also where their results stay: something has changed that is limited to
    /// some repositories or streams.
    #[serde(default, skip_serializing_if = "is_false")]
    pub all_slots: bool,
}

impl RematchMessage {
    /// One that says no more than what to do.
    pub const fn new(org: OrgName, task: Option<RematchTask>) -> Self {
        Self { org, task, sent_at: None, part: None, sent_for: None, all_slots: false }
    }
}

/// What a message of the queue `rematches` wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RematchTask {
    /// Match these images again.
    Images(Vec<ImageId>),
    /// The same of images that are not posted, or not settled.
    Unposted(Vec<ImageId>),
    /// Match the images of a repository again.
    Repository(RematchRepository),
    /// Put these images into their slots again.
    Slots(Vec<ImageId>),
    /// Judge again the images that are built on this one, `HOST/REPOSITORY:TAG`: its tag points to something else.
    Base(String),
    /// The same of some of them.
    OnBase(OnBase),
    /// Post the images that wait for it.
    Compact {},
}

/// Images that are built on another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnBase {
    /// That one: `HOST/REPOSITORY:TAG`.
    pub base: String,
    /// The images.
    pub images: Vec<ImageId>,
}

/// One repository whose images are to be matched again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RematchRepository {
    /// Its registry.
    pub registry: RegistryId,
    /// The repository.
    pub repository: RepositoryName,
    /// The tag after which to go on; from the first one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Tag>,
}

/// A message of the queue `rollups`: roll up the streams of an organisation now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RollUpMessage {
    /// The organisation.
    pub org: OrgName,
}

/// A message of the queue `advisories`: fetch and compile the advisories of an ecosystem, if they have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvisoriesMessage {
    /// The ecosystem, by its name at OSV without a release: `Debian`; or the name of another source, such as `KEV`.
    pub ecosystem: String,
    /// How often it has failed before.
    #[serde(default)]
    pub failures: u32,
    /// Whether nothing is fetched: only what has changed in the scores of others is taken in.
    #[serde(default, skip_serializing_if = "is_false")]
    pub scores_only: bool,
    /// Whether an archive is taken even if it has far fewer records than the one before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub accept_fewer: bool,
}

impl AdvisoriesMessage {
    /// A first message for this ecosystem or other source.
    pub fn of(ecosystem: &str) -> Self {
        Self { ecosystem: ecosystem.to_owned(), ..Self::default() }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// How soon work is dispatched, before other work that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Pushed just now, as a webhook says: sent at once, whatever the schedule.
    Pushed,
    /// Never scanned before.
    New,
    /// Scanned before, and something that the result depends on has changed.
    Stale,
}

impl Priority {
    /// Every priority, in the order of dispatch.
    pub const ALL: [Self; 3] = [Self::Pushed, Self::New, Self::Stale];

    /// The digit by which rows sort.
    pub const fn digit(self) -> u8 {
        match self {
            Self::Pushed => 0,
            Self::New => 1,
            Self::Stale => 2,
        }
    }
}

/// One image to scan, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The image.
    pub image: Image,
    /// The tag by which it was found.
    pub tag: Tag,
    /// When that tag was first seen to point to it.
    pub seen_at: Timestamp,
    /// Whether the gauges count this platform of the image.
    pub counted: bool,
    /// How soon.
    pub priority: Priority,
    /// Whether an image that was read by earlier readers is to be read by the present ones, though its result is current.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_again: bool,
    /// The run that found it; none when it was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The manifests that hold attestations about it; `None` when nobody has looked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestations: Option<Vec<Digest>>,
}

/// How many manifests with attestations one image is scanned for at once.
const ATTESTATIONS: usize = 32;

impl Work {
    /// This work together with `other` of the same image in the same repository: as it was seen last, with the higher of the
    /// priorities, and all that either asks for. One digest can stand behind several tags, and in several indexes.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let (earlier, latest) = if self.seen_at < other.seen_at { (self, other) } else { (other, self) };
        let attestations = match (&latest.attestations, &earlier.attestations) {
            (Some(latest), Some(earlier)) => {
                let others = earlier.iter().filter(|digest| !latest.contains(digest));
                Some(latest.iter().chain(others).copied().take(ATTESTATIONS).collect())
            }
            (known, None) | (None, known) => known.clone(),
        };
        Self {
            counted: self.counted || other.counted,
            priority: self.priority.min(other.priority),
            read_again: self.read_again || other.read_again,
            attestations,
            ..latest.clone()
        }
    }

    /// Whether nothing is left to be done of it when `done` is.
    pub fn is_done_with(&self, done: &Self) -> bool {
        let attested = done.attestations.as_deref().unwrap_or_default();
        let wanted = self.attestations.as_deref().unwrap_or_default();
        self.seen_at <= done.seen_at
            && (done.counted || !self.counted)
            && (done.read_again || !self.read_again)
            && wanted.iter().all(|digest| attested.contains(digest))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::image::Platform;

    #[test]
    fn messages_of_earlier_versions_are_read() {
        let message = |task| RematchMessage::new("acme".parse().unwrap(), task);
        let (registry, repository) = ("hub".parse().unwrap(), "team/web".parse().unwrap());
        let target = RematchRepository { registry, repository, after: None };
        for (text, expected) in [
            (json!({"org": "acme"}), message(None)),
            (
                json!({"org": "acme", "repository": {"registry": "hub", "repository": "team/web"}}),
                message(Some(RematchTask::Repository(target))),
            ),
        ] {
            assert_eq!(serde_json::from_value::<RematchMessage>(text.clone()).unwrap(), expected);
            assert_eq!(serde_json::to_value(&expected).unwrap(), text, "and earlier versions read these");
        }
    }

    #[test]
    fn what_is_to_be_matched_again_comes_as_it_was_sent() {
        let image = ImageId { digest: Digest::of(b"1"), platform: Platform::linux_amd64() };
        for task in [
            RematchTask::Images(vec![image.clone()]),
            RematchTask::Unposted(vec![image.clone()]),
            RematchTask::Slots(vec![image]),
            RematchTask::Compact {},
        ] {
            let sent_at = Some("2026-01-01T00:00:00Z".parse().unwrap());
            let sent_for = Some(Digest::of(b"basis"));
            let message = RematchMessage {
                sent_at,
                part: Some(7),
                sent_for,
                all_slots: true,
                ..RematchMessage::new("acme".parse().unwrap(), Some(task))
            };
            let text = serde_json::to_string(&message).unwrap();
            assert_eq!(serde_json::from_str::<RematchMessage>(&text).unwrap(), message, "{text}");
        }
    }

    #[test]
    fn work_that_is_joined_asks_for_all_that_either_asks_for() {
        let at = |text: &str| text.parse().unwrap();
        let earlier = Work {
            image: Image {
                registry: "hub".parse().unwrap(),
                repository: "team/web".parse().unwrap(),
                digest: Digest::of(b"1"),
                platform: Platform::linux_amd64(),
            },
            tag: "1".parse().unwrap(),
            seen_at: at("2026-01-01T00:00:00Z"),
            counted: true,
            priority: Priority::Pushed,
            read_again: false,
            run: None,
            attestations: Some(vec![Digest::of(b"a"), Digest::of(b"b")]),
        };
        let later = Work {
            tag: "2".parse().unwrap(),
            seen_at: at("2026-01-02T00:00:00Z"),
            counted: false,
            priority: Priority::New,
            attestations: Some(vec![Digest::of(b"b"), Digest::of(b"c")]),
            ..earlier.clone()
        };
        let joined = earlier.joined(&later);
        assert_eq!(joined, later.joined(&earlier));
        assert_eq!((joined.tag.as_str(), joined.counted, joined.priority), ("2", true, Priority::Pushed));
        assert_eq!(joined.attestations, Some([b"b", b"c", b"a"].map(|content| Digest::of(content)).to_vec()));
        for one in [&earlier, &later] {
            assert!(one.is_done_with(&joined) && !joined.is_done_with(one));
            let unattested = Work { attestations: None, ..one.clone() };
            assert!(unattested.is_done_with(one) && !one.is_done_with(&unattested));
            assert_eq!(unattested.joined(one), *one);
        }
    }
}
