//! Policies: what is judged of each image, with the ids and parameters that Docker Scout publishes.
//!
//! A policy is one file here and one line in [`TYPES`]. Judging is a function of what is known of the image, of the tables
//! that are looked up, and of the time. What is not known is never taken for good: then there is no data.

mod fixable_vulnerabilities;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;
use crate::config::PolicyConfig;
use crate::finding::Finding;
use crate::metadata::ImageMetadata;
use crate::names::PolicyId;
use crate::package::{Distribution, Package};
use crate::result::ResultState;
use crate::tables::Tables;

/// What a policy looks at.
#[derive(Clone, Copy, Debug)]
pub struct ImageFacts<'a> {
    /// Every vulnerability of the image that counts: without those that exceptions suppress.
    pub findings: &'a [&'a Finding],
    /// Every package of the image.
    pub packages: &'a [Package],
    /// The distribution of the image.
    pub distribution: Option<&'a Distribution>,
    /// What is known of it beside its packages.
    pub metadata: &'a ImageMetadata,
    /// What is looked up beside that.
    pub tables: &'a Tables,
    /// How far the image could be scanned.
    pub state: ResultState,
    /// The time of the judgement.
    pub now: Timestamp,
}

/// The answer of a policy about one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The image complies.
    Pass,
    /// Some row of the image fails it.
    Fail,
    /// Nothing can be said; the image is in neither number of the policy.
    NoData,
}

impl Outcome {
    /// The word for tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NoData => "no data",
        }
    }
}

/// An answer with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The answer.
    pub outcome: Outcome,
    /// The rows that fail the policy, as `VULNERABILITY PACKAGE`, sorted; empty unless the answer is fail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<String>,
    /// Why there is no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the answer changes without anything else changing, such as the end of a grace period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_change_at: Option<Timestamp>,
}

/// Judges images by one policy with its parameters.
pub trait Policy: Send + Sync {
    /// Judges one image.
    fn evaluate(&self, facts: ImageFacts<'_>) -> Evaluation;
}

/// A kind of policy.
pub struct PolicyType {
    /// The id: the label `id` of the metrics. It never changes.
    pub id: &'static str,
    /// What people read: the label `displayName`. It never changes either, since a new one would begin a new series.
    pub display_name: &'static str,
    /// The JSON Schema of its parameters.
    pub parameters: fn(&mut SchemaGenerator) -> Schema,
    /// Makes the policy from its parameters as JSON; `null` means the defaults.
    pub build: fn(&Value) -> Result<Box<dyn Policy>, PolicyConfigError>,
}

/// Parameters that a policy does not take.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the parameters of policy {policy}: {reason}")]
pub struct PolicyConfigError {
    /// The policy.
    pub policy: &'static str,
    /// What is wrong.
    pub reason: String,
}

/// Every kind of policy, one line each.
pub const TYPES: &[PolicyType] = &[fixable_vulnerabilities::TYPE];

/// The policies in force for an organisation, by id.
#[derive(Clone)]
pub struct PolicySet(BTreeMap<PolicyId, EnabledPolicy>);

#[derive(Clone)]
struct EnabledPolicy {
    display_name: String,
    policy: Arc<dyn Policy>,
}

impl PolicySet {
    /// Every type with its defaults, as `changes` have it. A change that cannot be used leaves its policy out: it is
    /// refused where the configuration is applied.
    pub fn new(changes: &[PolicyConfig]) -> Self {
        let policies = TYPES.iter().filter_map(|policy_type| {
            let id: PolicyId = policy_type.id.parse().ok()?;
            let change = changes.iter().find(|change| change.id == id);
            if change.is_some_and(|change| !change.enabled) {
                return None;
            }
            let policy = (policy_type.build)(change.map_or(&Value::Null, |change| &change.config)).ok()?;
            Some((
                id,
                EnabledPolicy { display_name: policy_type.display_name.to_owned(), policy: policy.into() },
            ))
        });
        Self(policies.collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_takes_its_defaults_and_has_a_valid_id_of_its_own() {
        let ids: std::collections::BTreeSet<_> = TYPES.iter().map(|policy_type| policy_type.id).collect();
        assert_eq!(ids.len(), TYPES.len());
        for policy_type in TYPES {
            assert!(policy_type.id.parse::<PolicyId>().is_ok());
            assert!((policy_type.build)(&Value::Null).is_ok(), "{}", policy_type.id);
        }
    }

    #[test]
    fn every_file_here_is_in_the_table() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/policy");
        let files: std::collections::BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
            .filter(|name| name != "mod")
            .map(|name| name.replace('_', "-"))
            .collect();
        let table = TYPES.iter().map(|policy_type| policy_type.id.to_owned()).collect();
        assert_eq!(files, table);
    }

    #[test]
    fn a_disabled_policy_is_not_judged() {
        let change = PolicyConfig {
            id: "fixable-vulnerabilities".parse().unwrap(),
            enabled: false,
            config: Value::Null,
        };
        assert_eq!(PolicySet::new(&[change]).names().count(), 0);
        assert_eq!(PolicySet::new(&[]).names().count(), TYPES.len());
    }
}
