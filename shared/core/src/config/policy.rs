//! Policies in the configuration.

mod list;

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ConfigProblem, Step, key, problem};
use crate::names::PolicyId;
use crate::policy::{PolicyType, TYPES, type_of};

pub use list::Policies;

/// The most characters of a name for people.
const LONGEST_NAME: usize = 100;

/// A change to a policy: its parameters, or that it is not judged. With `type` it is a policy of your own: a copy of
/// another one, with an id, a name and parameters of its own; it is gone when its entry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Policy")]
pub struct PolicyConfig {
    /// Which policy; with `type`, the id of the new one. Docker Scout calls it `name`, which is taken as well, and
    /// `copyleft-license` also `no-copyleft-licenses`.
    #[serde(alias = "name")]
    #[schemars(schema_with = "ids")]
    pub id: PolicyId,
    /// The policy that this one is a copy of.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "types")]
    pub policy_type: Option<PolicyId>,
    /// What people call it: the label `displayName` of the metrics. Needed with `type`, and only allowed there. Another
    /// name begins new series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = LONGEST_NAME))]
    pub display_name: Option<String>,
    /// Whether it is judged. A policy that is not judged has no metrics.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Its weight in Docker Scout's health score. It is taken, so that Scout's file can be given as it is, and means
    /// nothing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Its parameters, as Docker Scout publishes them. Those left out keep their defaults.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schemars(schema_with = "parameters")]
    pub config: Value,
}

const fn enabled() -> bool {
    true
}

/// The ids that there are, with what people call them.
fn known_ids() -> Vec<Value> {
    let ids = TYPES.iter().map(|policy_type| {
        json_schema!({"const": policy_type.id, "description": policy_type.display_name}).to_value()
    });
    ids.collect()
}

/// The ids that there are, or one of your own.
fn ids(generator: &mut SchemaGenerator) -> Schema {
    let own = generator.subschema_for::<PolicyId>().to_value();
    json_schema!({"anyOf": [{"type": "string", "oneOf": known_ids()}, own]})
}

fn types(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "oneOf": known_ids()})
}

/// The parameters of any policy. Which ones a policy takes is said by [`PolicyConfig::problems`].
fn parameters(generator: &mut SchemaGenerator) -> Schema {
    let parameters = TYPES.iter().map(|policy_type| (policy_type.parameters)(generator).to_value());
    json_schema!({"anyOf": parameters.collect::<Vec<_>>()})
}

impl PolicyConfig {
    /// Whether it changes the built-in policy of this type.
    pub(crate) fn is_of(&self, policy_type: &PolicyType) -> bool {
        let id = self.id.as_str();
        self.policy_type.is_none() && (id == policy_type.id || policy_type.other_names.contains(&id))
    }

    /// What is wrong with it alone: the key at fault and a message.
    fn problems(&self) -> Vec<(&'static str, String)> {
        let known = || TYPES.iter().map(|policy_type| policy_type.id).collect::<Vec<_>>().join(", ");
        let mut problems = Vec::new();
        let named = match &self.policy_type {
            None => {
                if self.display_name.is_some() {
                    let message = "only a policy with a `type` has a name of its own".to_owned();
                    problems.push(("display_name", message));
                }
                let message = || format!("no policy has the id {:?}; there are: {}", self.id, known());
                type_of(self.id.as_str()).ok_or_else(|| ("id", message()))
            }
            Some(name) => {
                if type_of(self.id.as_str()).is_some() {
                    let message =
                        format!("{:?} is a policy already: one with a `type` needs another id", self.id);
                    problems.push(("id", message));
                }
                match self.display_name.as_deref() {
                    None => problems
                        .push(("display_name", "a policy with a `type` needs a `display_name`".to_owned())),
                    Some(name) if !is_display_name(name) => {
                        let message = format!(
                            "{name:?} is no name: expected 1 to {LONGEST_NAME} characters, none of them a control character or a blank at an end"
                        );
                        problems.push(("display_name", message));
                    }
                    Some(_) => {}
                }
                let message = || format!("no policy has the id {name:?}; there are: {}", known());
                type_of(name.as_str()).ok_or_else(|| ("type", message()))
            }
        };
        match named.map(|policy_type| (policy_type.build)(&self.config)) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => problems.push(("config", error.to_string())),
            Err(unknown) => problems.push(unknown),
        }
        problems
    }
}

fn is_display_name(name: &str) -> bool {
    let length = name.chars().count();
    (1..=LONGEST_NAME).contains(&length) && name.trim() == name && !name.contains(char::is_control)
}

impl Policies {
    /// Everything that is wrong with them.
    pub(super) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut ids = BTreeSet::new();
        let mut names: BTreeSet<&str> = TYPES.iter().map(|policy_type| policy_type.display_name).collect();
        for (position, entry) in self.iter().enumerate() {
            let path = |name: &str| [self.path(), vec![Step::Element(position), key(name)]].concat();
            let id = entry.policy_type.is_none().then(|| type_of(entry.id.as_str())).flatten();
            if !ids.insert(id.map_or(entry.id.as_str(), |policy_type| policy_type.id)) {
                problems.push(problem(&path("id"), format!("{:?} is there twice", entry.id.as_str())));
            }
            if let Some(name) = entry.display_name.as_deref()
                && !names.insert(name)
            {
                let message = format!("another policy has the name {name:?} already");
                problems.push(problem(&path("display_name"), message));
            }
            problems
                .extend(entry.problems().into_iter().map(|(name, message)| problem(&path(name), message)));
        }
        problems
    }
}
