//! A rule in the configuration.

use std::num::{NonZeroU32, NonZeroU64};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Period;
use crate::names::{RegistryId, RuleId};
use crate::rule::{Pattern, Schedule};

/// Which images of which registries to scan, and when.
///
/// `include` chooses, `exclude` leaves out, `always` adds back; then come the age, and the newest of each repository, which
/// drop nothing that `always` matches.
///
/// An image that several rules choose is scanned once. Tags that signing tools make (`sha256-…`, `.sig`, `.att`,
/// `.sbom`), artifacts, attestations, schema 1 manifests and Windows images are skipped and named as such.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Rule")]
pub struct RuleConfig {
    /// Its name in tables and logs.
    pub id: RuleId,
    /// The ids of the registries that it reads; at least one.
    pub registries: Vec<RegistryId>,
    /// An image is chosen when one of these matches it; without any, every image is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<Pattern>,
    /// An image that one of these matches is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Pattern>,
    /// An image that one of these matches is chosen, whatever the others, its age and newer images say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub always: Vec<Pattern>,
    /// Only images that were made, or pushed, so long ago at most. The later of both counts, whichever is known; a time
    /// before 1990 is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_within: Option<Period>,
    /// Only images that were pushed so long ago at most, where the registry tells that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_within: Option<Period>,
    /// Only images that were pulled so long ago at most, where the registry tells that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulled_within: Option<Period>,
    /// What becomes of an image of which the time that one of these limits looks at is not known.
    #[serde(default)]
    pub unknown_age: UnknownAge,
    /// Only so many images of each repository: those made or pushed last. Tags of the same image are one; images of which no
    /// time is known come after the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<NonZeroU32>,
    /// How many images one run has scanned at most, but always those of one tag; the next runs go on. Those of which nothing is known come first, then the
    /// newest of each repository, the second newest of each, and so on. What was pushed comes besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_images: Option<NonZeroU64>,
    /// When the rule runs by itself.
    #[serde(default)]
    pub schedule: Schedule,
    /// When an image that was scanned is scanned again. Of several rules that choose an image the strictest counts.
    #[serde(default)]
    pub rescan: Rescan,
    /// What becomes of an image that nobody uses any more; without it, every image that the rule chooses counts as used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused: Option<Unused>,
    /// What becomes of an image that no rule chooses any more.
    #[serde(default)]
    pub unselected: Leaving,
}

/// When an image that was scanned is scanned again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rescan {
    /// A digest is scanned once: no run queues an image that has a result, whatever is out of date about it. What is stored of it
    /// is matched again all the same.
    Never,
    /// What was found in it is matched again when advisories change, or policies; nothing is pulled.
    #[default]
    OnAdvisory,
    /// The same, and an image that was read by an earlier version of the readers is read again once its result is so old. A
    /// layer that the present ones have read is never pulled.
    #[schemars(extend("examples" = [{"every": "7d"}]))]
    Every(Period),
}

/// When an image counts as unused, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unused {
    /// An image that was neither pushed nor pulled for so long, and is in no environment. Where the registry tells neither,
    /// the time at which its tag was first seen to point to it counts.
    pub after: Period,
    /// What becomes of it.
    #[serde(default)]
    pub then: Leaving,
}

/// What becomes of an image that a rule does not scan any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Leaving {
    /// Nothing of it is pulled any more. It is still matched against new advisories, and stays in its streams.
    #[default]
    Stop,
    /// It leaves `latest-indexed` as well.
    Forget,
}

/// What becomes of an image whose age is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownAge {
    /// It is chosen as if it were young.
    #[default]
    Include,
    /// It is left out.
    Exclude,
}
