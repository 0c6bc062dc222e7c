//! The policies in force for an organisation.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Evaluation, ImageFacts, Policy, TYPES, type_of};
use crate::config::PolicyConfig;
use crate::names::PolicyId;

/// The policies in force for an organisation, by id.
#[derive(Clone)]
pub struct PolicySet(BTreeMap<PolicyId, EnabledPolicy>);

#[derive(Clone)]
struct EnabledPolicy {
    display_name: String,
    policy: Arc<dyn Policy>,
}

impl PolicySet {
    /// Every type with its defaults, as `entries` have it, and the custom policies among them. An entry that cannot be used
    /// leaves its policy out: it is refused where the configuration is applied.
    pub fn new(entries: &[PolicyConfig]) -> Self {
        let mut policies = BTreeMap::new();
        for policy_type in TYPES {
            let Ok(id) = policy_type.id.parse::<PolicyId>() else { continue };
            let entry = entries.iter().find(|entry| entry.is_of(policy_type));
            if entry.is_some_and(|entry| !entry.enabled) {
                continue;
            }
            let parameters = entry.map_or(&serde_json::Value::Null, |entry| &entry.config);
            let Ok(policy) = (policy_type.build)(parameters) else { continue };
            let display_name = policy_type.display_name.to_owned();
            policies.insert(id, EnabledPolicy { display_name, policy: policy.into() });
        }
        for entry in entries.iter().filter(|entry| entry.enabled) {
            let policy_type = entry.policy_type.as_ref().and_then(|name| type_of(name.as_str()));
            let (Some(policy_type), Some(display_name)) = (policy_type, &entry.display_name) else {
                continue;
            };
            let Ok(policy) = (policy_type.build)(&entry.config) else { continue };
            let custom = EnabledPolicy { display_name: display_name.clone(), policy: policy.into() };
            // A built-in policy is never replaced.
            policies.entry(entry.id.clone()).or_insert(custom);
        }
        Self(policies)
    }

    /// Ids and display names, sorted by id.
    pub fn names(&self) -> impl Iterator<Item = (&PolicyId, &str)> {
        self.0.iter().map(|(id, enabled)| (id, enabled.display_name.as_str()))
    }

    /// Judges one image by every policy.
    pub fn evaluate(&self, facts: ImageFacts<'_>) -> BTreeMap<PolicyId, Evaluation> {
        self.0.iter().map(|(id, enabled)| (id.clone(), enabled.policy.evaluate(facts))).collect()
    }
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}
