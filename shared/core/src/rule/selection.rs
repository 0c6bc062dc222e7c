//! Which images of a repository a rule chooses, and why.
//!
//! The order is: include, exclude, `always` adds back, age, newest, and of those that are left, which nobody uses. Names are
//! decided first, because times cost requests; what `always` matches is dropped by none of the others. Nothing here depends on the order
//! of the candidates.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Pattern, RepositoryNames};
use crate::config::{Leaving, Period, RuleConfig, UnknownAge, Unused};
use crate::digest::Digest;
use crate::names::Tag;
use crate::{Date, Timestamp};

/// Created times before this year say nothing: reproducible builds write the beginning of some epoch.
const FIRST_CREDIBLE_YEAR: i16 = 1990;

/// What the patterns of a rule say of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// It is chosen: by this pattern, or because the rule has no include pattern.
    Selected(Option<Pattern>),
    /// It is chosen by this pattern of `always`, whatever else is said of it.
    Always(Pattern),
    /// No include pattern matches.
    NotIncluded,
    /// This exclude pattern matches.
    Excluded(Pattern),
}

impl Selection {
    /// Whether the image is chosen, by its name.
    pub const fn is_selected(&self) -> bool {
        matches!(self, Self::Selected(_) | Self::Always(_))
    }
}

/// Applies the patterns of `rule` to `tag` of `repository`.
pub fn select(rule: &RuleConfig, repository: &RepositoryNames, tag: &Tag) -> Selection {
    let matching = |patterns: &[Pattern]| {
        patterns.iter().find(|pattern| repository.match_pattern(pattern, tag)).cloned()
    };
    if let Some(pattern) = matching(&rule.always) {
        return Selection::Always(pattern);
    }
    let included = matching(&rule.include);
    if included.is_none() && !rule.include.is_empty() {
        return Selection::NotIncluded;
    }
    matching(&rule.exclude).map_or(Selection::Selected(included), Selection::Excluded)
}

/// When something happened to an image, as far as anybody tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageTimes {
    /// When it was made, by its configuration.
    pub created_at: Option<Timestamp>,
    /// When it was pushed, by the registry.
    pub pushed_at: Option<Timestamp>,
    /// When it was last pulled, by the registry.
    pub pulled_at: Option<Timestamp>,
}

impl ImageTimes {
    /// When it was made, where that is credible.
    pub fn made_at(self) -> Option<Timestamp> {
        let first = Date::constant(FIRST_CREDIBLE_YEAR, 1, 1);
        self.created_at.filter(|created| created.to_zoned(jiff::tz::TimeZone::UTC).date() >= first)
    }

    /// When it was last pushed or pulled; where the registry tells neither, when it was first seen, at `seen_at`.
    pub fn last_used_at(self, seen_at: Timestamp) -> Timestamp {
        self.pushed_at.max(self.pulled_at).unwrap_or(seen_at)
    }

    /// The later of when it was made and when it was pushed; `None` when neither is known.
    pub fn born_at(self) -> Option<Timestamp> {
        self.made_at().max(self.pushed_at)
    }
}

/// A tag that a rule may choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The tag.
    pub tag: Tag,
    /// What it points to: tags that point to the same are one image.
    pub digest: Digest,
    /// When something happened to that.
    pub times: ImageTimes,
}

/// Which of its limits a rule drops an image by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgeLimit {
    /// `created_within`.
    CreatedWithin,
    /// `pushed_within`.
    PushedWithin,
    /// `pulled_within`.
    PulledWithin,
}

impl AgeLimit {
    /// The key of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreatedWithin => "created_within",
            Self::PushedWithin => "pushed_within",
            Self::PulledWithin => "pulled_within",
        }
    }
}

/// Why a rule chooses an image, or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is chosen: by this pattern, or because the rule has no include pattern.
    Selected(Option<Pattern>),
    /// It is chosen by this pattern of `always`.
    Always(Pattern),
    /// No include pattern matches.
    NotIncluded,
    /// This exclude pattern matches.
    Excluded(Pattern),
    /// It is older than the limit allows.
    TooOld {
        /// The limit.
        limit: AgeLimit,
        /// The time that counts.
        at: Timestamp,
    },
    /// Nobody tells the time that this limit looks at, and the rule leaves such images out.
    AgeUnknown(AgeLimit),
    /// So many other images of the repository are newer, and the rule takes no more.
    NotAmongNewest {
        /// How many the rule takes.
        newest: u32,
    },
    /// Nobody uses it any more.
    Unused {
        /// When somebody did.
        last_used_at: Timestamp,
        /// What becomes of it.
        then: Leaving,
    },
    /// Its turn comes in another run: one takes no more images.
    OverCap {
        /// How many it takes.
        max_images: u64,
    },
}

impl Decision {
    /// Whether the image is chosen.
    pub const fn is_selected(&self) -> bool {
        matches!(self, Self::Selected(_) | Self::Always(_))
    }
}

/// Why a rule does not choose an image, in a word: what is counted of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// Its tag is one that signing tools make.
    Artifact,
    /// No include pattern matches.
    NotIncluded,
    /// An exclude pattern matches.
    Excluded,
    /// It is too old, by one of the limits.
    TooOld,
    /// Nobody tells its age, and the rule leaves such images out.
    AgeUnknown,
    /// Too many images of the repository are newer.
    NotAmongNewest,
    /// Nobody uses it any more.
    Unused,
    /// Its turn comes in another run.
    OverCap,
    /// It cannot be pulled, by the word of the registry: it is archived, locked, elsewhere, or no image.
    Unavailable,
}

impl LeftOut {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Artifact => "artifact",
            Self::NotIncluded => "not_included",
            Self::Excluded => "excluded",
            Self::TooOld => "too_old",
            Self::AgeUnknown => "age_unknown",
            Self::NotAmongNewest => "not_among_newest",
            Self::Unused => "unused",
            Self::OverCap => "over_cap",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Decision {
    /// Why the image is not chosen; `None` when it is.
    pub const fn left_out(&self) -> Option<LeftOut> {
        match self {
            Self::Selected(_) | Self::Always(_) => None,
            Self::NotIncluded => Some(LeftOut::NotIncluded),
            Self::Excluded(_) => Some(LeftOut::Excluded),
            Self::TooOld { .. } => Some(LeftOut::TooOld),
            Self::AgeUnknown(_) => Some(LeftOut::AgeUnknown),
            Self::NotAmongNewest { .. } => Some(LeftOut::NotAmongNewest),
            Self::Unused { .. } => Some(LeftOut::Unused),
            Self::OverCap { .. } => Some(LeftOut::OverCap),
        }
    }
}

impl From<Selection> for Decision {
    fn from(selection: Selection) -> Self {
        match selection {
            Selection::Selected(pattern) => Self::Selected(pattern),
            Selection::Always(pattern) => Self::Always(pattern),
            Selection::NotIncluded => Self::NotIncluded,
            Selection::Excluded(pattern) => Self::Excluded(pattern),
        }
    }
}

/// Decides about all `candidates` of `repository` at `now`: each gets its decision, in their order. All of the repository
/// have to be there, or those that its names do not exclude: the newest are the newest of all.
pub fn decide(
    rule: &RuleConfig,
    repository: &RepositoryNames,
    candidates: &[Candidate],
    now: Timestamp,
) -> Vec<Decision> {
    let mut decisions: Vec<Decision> = candidates
        .iter()
        .map(|candidate| match select(rule, repository, &candidate.tag) {
            Selection::Selected(pattern) => {
                too_old(rule, candidate.times, now).unwrap_or(Decision::Selected(pattern))
            }
            other => other.into(),
        })
        .collect();
    let Some(newest) = rule.newest else { return decisions };
    let kept = newest_of(candidates, &decisions, newest.get());
    for (candidate, decision) in candidates.iter().zip(&mut decisions) {
        if matches!(decision, Decision::Selected(_)) && !kept.contains(&candidate.digest) {
            *decision = Decision::NotAmongNewest { newest: newest.get() };
        }
    }
    decisions
}

/// Why an image is dropped for its age, if it is. The boundary is inclusive.
fn too_old(rule: &RuleConfig, times: ImageTimes, now: Timestamp) -> Option<Decision> {
    let limits = [
        (AgeLimit::CreatedWithin, rule.created_within, times.born_at()),
        (AgeLimit::PushedWithin, rule.pushed_within, times.pushed_at),
        (AgeLimit::PulledWithin, rule.pulled_within, times.pulled_at),
    ];
    limits.into_iter().find_map(|(limit, within, at)| {
        let oldest = now.checked_sub(within?.duration()).unwrap_or(Timestamp::MIN);
        match at {
            Some(at) => (at < oldest).then_some(Decision::TooOld { limit, at }),
            None => (rule.unknown_age == UnknownAge::Exclude).then_some(Decision::AgeUnknown(limit)),
        }
    })
}

/// The digests of the newest images that are still chosen by pattern. An image of which no time is known comes after those
/// with one; among the same times the digest decides, so that everybody chooses the same.
fn newest_of(candidates: &[Candidate], decisions: &[Decision], newest: u32) -> Vec<Digest> {
    let mut images: BTreeMap<Digest, Option<Timestamp>> = BTreeMap::new();
    for (candidate, decision) in candidates.iter().zip(decisions) {
        if matches!(decision, Decision::Selected(_)) {
            let born_at = images.entry(candidate.digest).or_default();
            *born_at = (*born_at).max(candidate.times.born_at());
        }
    }
    let mut images: Vec<(Reverse<Option<Timestamp>>, Digest)> =
        images.into_iter().map(|(digest, born_at)| (Reverse(born_at), digest)).collect();
    images.sort_unstable();
    images.into_iter().take(newest as usize).map(|(_, digest)| digest).collect()
}

/// What becomes of an image that `rule` would choose by this `decision`, when it was last used at `last_used_at` and is in no
/// environment; `None` when it counts as used at `now`. The boundary is inclusive.
pub fn unused(
    rule: &RuleConfig,
    decision: &Decision,
    last_used_at: Timestamp,
    now: Timestamp,
) -> Option<Decision> {
    let Unused { after, then } = rule.unused.filter(|_| matches!(decision, Decision::Selected(_)))?;
    let oldest = now.checked_sub(after.duration()).unwrap_or(Timestamp::MIN);
    (last_used_at < oldest).then_some(Decision::Unused { last_used_at, then })
}

/// Whether a rule looks at times: without that, names decide alone.
pub fn needs_times(rule: &RuleConfig) -> bool {
    let limits: [Option<Period>; 3] = [rule.created_within, rule.pushed_within, rule.pulled_within];
    limits.iter().any(Option::is_some) || rule.newest.is_some()
}

#[cfg(test)]
mod tests;
