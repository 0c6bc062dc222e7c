//! A policy in the configuration.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names::PolicyId;
use crate::policy;

/// A change to a policy: its parameters, or that it is not judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Policy")]
pub struct PolicyConfig {
    /// Which policy.
    #[schemars(schema_with = "ids")]
    pub id: PolicyId,
    /// Whether it is judged. A policy that is not judged has no metrics.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Its parameters, as Docker Scout publishes them. Those left out keep their defaults.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schemars(schema_with = "parameters")]
    pub config: Value,
}

const fn enabled() -> bool {
    true
}

/// The ids that there are, with what people call them.
fn ids(_: &mut SchemaGenerator) -> Schema {
    let ids = policy::TYPES.iter().map(|policy_type| {
        json_schema!({"const": policy_type.id, "description": policy_type.display_name}).to_value()
    });
    json_schema!({"type": "string", "oneOf": ids.collect::<Vec<_>>()})
}

/// The parameters of any policy. Which ones a policy takes is said by [`PolicyConfig::problem`].
fn parameters(generator: &mut SchemaGenerator) -> Schema {
    let parameters = policy::TYPES.iter().map(|policy_type| (policy_type.parameters)(generator).to_value());
    json_schema!({"anyOf": parameters.collect::<Vec<_>>()})
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
