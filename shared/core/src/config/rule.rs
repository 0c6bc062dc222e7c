//! A rule in the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{RegistryId, RuleId};
use crate::rule::{Pattern, Schedule};

/// Which images of which registries to scan, and when.
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
    /// When the rule runs by itself.
    #[serde(default)]
    pub schedule: Schedule,
}
