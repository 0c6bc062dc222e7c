//! A member of a stream, and which of two writers of its slot wins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Slot, SlotForm, SlotKind};
use crate::image::Image;
use crate::judgement::{Judging, Scope, Subject, judge};
use crate::names::{PolicyId, StreamName, Tag};
use crate::policy::Outcome;
use crate::result::{ImageResult, ResultState};
use crate::severity::SeverityCounts;
use crate::{Digest, Timestamp};

/// An image of a stream, with what the roll-up needs to know of it. In `latest-indexed` it stands for its repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The image.
    pub image: Image,
    /// The tag by which it was found, or put into the environment.
    pub tag: Tag,
    /// When that tag was first seen to point to it; in an environment, when it was put there.
    pub seen_at: Timestamp,
    /// When it was made, as far as that is known.
    pub created_at: Option<Timestamp>,
    /// Whether it stands beside other images of its repository; only in environments.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    /// Which slots `latest-indexed` had when it was put there; in environments always the first ones.
    #[serde(default, skip_serializing_if = "SlotForm::is_first")]
    pub form: SlotForm,
    /// How far it could be scanned.
    pub state: ResultState,
    /// Its vulnerabilities by severity.
    pub severities: SeverityCounts,
    /// The answer of each policy.
    pub policies: BTreeMap<PolicyId, Outcome>,
    /// When the answers change without anything else changing.
    pub next_change_at: Option<Timestamp>,
    /// When its result was computed; none where there is none yet, or its writer did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_at: Option<Timestamp>,
    /// Its vulnerabilities that do not count because of an exception; they are not among `severities`.
    #[serde(default, skip_serializing_if = "is_none")]
    pub suppressed: SeverityCounts,
}

fn is_none(counts: &SeverityCounts) -> bool {
    counts.total() == 0
}

/// Which of two members of one repository is the newer: the one whose tag began to point to it later, then the one
/// made later, then by digest; of the same image, the one with the later result; of the same result, the one that was judged
/// in its place under a later configuration. It is a text that sorts by its bytes, so that the table can compare it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotVersion(String);

impl SlotVersion {
    /// The version of an image that was seen at its tag at `seen_at`, made at `created_at`, with the result of this
    /// `revision`.
    pub fn new(seen_at: Timestamp, created_at: Option<Timestamp>, digest: &Digest, revision: i64) -> Self {
        let seen = seen_at.as_millisecond().max(0);
        let created = created_at.map_or(0, Timestamp::as_second).max(0);
        Self(format!("{seen:015}#{created:012}#{}#{revision:012}", digest.hex()))
    }

    /// The same of one that was judged in its place under this version of the configuration.
    #[must_use]
    pub fn judged_under(self, config_version: i64) -> Self {
        Self(format!("{}#{config_version:012}", self.0))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Member {
    /// A member of whose image nothing is known yet.
    pub fn pending(image: Image, tag: Tag, seen_at: Timestamp) -> Self {
        Self {
            image,
            tag,
            seen_at,
            created_at: None,
            kept: false,
            form: SlotForm::default(),
            state: ResultState::Pending,
            severities: SeverityCounts::default(),
            policies: BTreeMap::new(),
            next_change_at: None,
            result_at: None,
            suppressed: SeverityCounts::default(),
        }
    }

    /// The same in `slot`, which is one of its image.
    #[must_use]
    pub fn in_slot(self, slot: &Slot) -> Self {
        let kept = matches!(slot.kind, SlotKind::Kept(_));
        Self { kept, form: SlotForm::of(&slot.kind), ..self }
    }

    /// The slot that it stands in.
    pub fn slot(&self) -> Slot {
        let Image { registry, repository, digest, platform } = self.image.clone();
        let since = self.form.since;
        let kind = match self.form.per_platform {
            _ if self.kept => SlotKind::Kept(digest),
            false => SlotKind::Repository { since },
            true => SlotKind::Platform { since, platform },
        };
        Slot { registry, repository, kind }
    }

    /// Takes over what the result of its image says of that as a whole.
    pub fn take(&mut self, result: &ImageResult) {
        self.state = result.state;
        self.created_at = result.created_at;
        self.severities = result.severities;
        self.policies.clone_from(&result.policies);
        self.next_change_at = result.next_change_at;
        self.result_at = Some(result.scanned_at);
        self.suppressed = result.suppressed;
    }

    /// Judges its image, `subject`, where it stands: in `stream`, in its repository and by its tag. It has taken over the
    /// result of the image before: the answers change no later than those of the image as a whole.
    pub fn judge(&mut self, stream: &StreamName, subject: Subject<'_>, judging: Judging<'_>) {
        let judgement = judge(subject, self.scope(stream), judging);
        self.severities = judgement.severities;
        self.suppressed = judgement.suppressed;
        self.policies = judgement.policies.into_iter().map(|(id, answer)| (id, answer.outcome)).collect();
        self.next_change_at = self.next_change_at.into_iter().chain(judgement.next_change_at).min();
    }

    /// Where its image is looked at, when it is a member of `stream`.
    pub const fn scope<'a>(&'a self, stream: &'a StreamName) -> Scope<'a> {
        Scope {
            registry: Some(&self.image.registry),
            repository: Some(&self.image.repository),
            tag: Some(&self.tag),
            digest: Some(&self.image.digest),
            stream: Some(stream),
        }
    }

    /// What decides whether this member replaces another, with the result of this `revision`.
    pub fn version(&self, revision: i64) -> SlotVersion {
        SlotVersion::new(self.seen_at, self.created_at, &self.image.digest, revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(seen: &str, created: Option<&str>, digest: &str, revision: i64) -> SlotVersion {
        let created = created.map(|created| created.parse().unwrap());
        SlotVersion::new(seen.parse().unwrap(), created, &Digest::of(digest.as_bytes()), revision)
    }

    #[test]
    fn the_later_push_wins_then_the_later_build_then_the_later_result() {
        let first = version("2026-01-01T00:00:00Z", Some("2025-01-01T00:00:00Z"), "a", 9);
        let made_later = version("2026-01-01T00:00:00Z", Some("2025-06-01T00:00:00Z"), "a", 1);
        let seen_later = version("2026-01-02T00:00:00Z", None, "b", 1);
        let judged_later = version("2026-01-02T00:00:00Z", None, "b", 10);
        assert!(first < made_later && made_later < seen_later && seen_later < judged_later);
        let (earlier, later) = (judged_later.clone().judged_under(9), judged_later.clone().judged_under(10));
        assert!(
            judged_later < earlier
                && earlier < later
                && later < version("2026-01-02T00:00:00Z", None, "b", 11)
        );
    }
}
