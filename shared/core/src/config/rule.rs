//! A rule in the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{RegistryId, RuleId};
use crate::rule::{Pattern, Schedule};

/// A rule: which images of which registries to scan, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// The name of the rule in tables and logs.
    #[schemars(with = "String")]
    pub id: RuleId,
    /// The registries that it reads.
    #[schemars(with = "Vec<String>")]
    pub registries: Vec<RegistryId>,
    /// Images to scan, as `REPOSITORY[:TAG]` patterns. Without one, all are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<Pattern>,
    /// Images to leave out, of those included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Pattern>,
    /// When the rule runs by itself.
    #[serde(default)]
    pub schedule: Schedule,
}
