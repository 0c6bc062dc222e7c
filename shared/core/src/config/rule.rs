//! A rule in the configuration.

use std::num::NonZeroU32;

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
    /// When the rule runs by itself.
    #[serde(default)]
    pub schedule: Schedule,
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
