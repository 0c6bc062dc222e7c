//! A policy in the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names::PolicyId;
use crate::policy;

/// A change to a policy: its parameters, or that it is not judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// The id of the policy.
    #[schemars(with = "String")]
    pub id: PolicyId,
    /// Whether the policy is judged.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// The parameters, as Docker Scout publishes them for this policy; those left out keep their defaults.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub config: Value,
}

const fn enabled() -> bool {
    true
}

impl PolicyConfig {
    /// What is wrong with it, when something is: the key at fault and a message.
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        let Some(policy_type) = policy::TYPES.iter().find(|policy_type| policy_type.id == self.id.as_str())
        else {
            let known: Vec<&str> = policy::TYPES.iter().map(|policy_type| policy_type.id).collect();
            return Some((
                "id",
                format!("no policy has the id {:?}; there are: {}", self.id, known.join(", ")),
            ));
        };
        (policy_type.build)(&self.config).err().map(|error| ("config", error.to_string()))
    }
}
