//! Policies: what is judged of each image, with the ids and parameters that Docker Scout publishes.
//!
//! A policy is one file here and one line in [`TYPES`]. Judging is a function of what is known of the image, of the tables
//! that are looked up, and of the time. What is not known is never taken for good: then there is no data.

mod approved_base_images;
mod copyleft_license;
mod default_non_root_user;
#[cfg(test)]
pub(crate) mod facts;
mod fixable_vulnerabilities;
mod high_profile_vulnerabilities;
mod no_stale_base_images;
mod set;
mod supply_chain_attestations;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;
use crate::finding::Finding;
use crate::metadata::{BaseImage, ImageMetadata};
use crate::package::{Distribution, Package};
use crate::result::ResultState;
use crate::tables::Tables;

pub use set::PolicySet;

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
    /// The families of advisories that its packages were matched against.
    pub families: &'a [&'a str],
    /// What is looked up beside that.
    pub tables: &'a Tables,
    /// How far the image could be scanned.
    pub state: ResultState,
    /// The time of the judgement.
    pub now: Timestamp,
}

/// The answer of a policy about one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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
    /// The rows that fail the policy, for people, sorted: `VULNERABILITY PACKAGE` where it is one by a vulnerability. Empty
    /// unless the answer is fail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<String>,
    /// Why there is no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the answer changes without anything else changing, such as the end of a grace period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_change_at: Option<Timestamp>,
}

impl ImageFacts<'_> {
    /// Why the packages that are known, and their vulnerabilities, may not be all; `None` where they are.
    fn unknown_packages(&self) -> Option<String> {
        (self.state != ResultState::Scanned).then(|| format!("the image is {}", self.state))
    }

    /// Why the vulnerabilities that are known may not be all; `None` where they are.
    fn unknown_vulnerabilities(&self) -> Option<String> {
        self.unknown_packages().or_else(|| {
            let (family, date) = self.tables.outdated(self.families, self.now)?;
            Some(format!("the advisories of {family} are older than 7 days: they are of {}", date.day()))
        })
    }

    /// The image that this one is built on, or why that is not known.
    fn base(&self) -> Result<&BaseImage, String> {
        self.metadata.base.as_ref().ok_or_else(|| match &self.metadata.base_unknown_because {
            Some(reason) => format!("the base image is not known: {reason}"),
            None => "the base image is not known".to_owned(),
        })
    }
}

impl Evaluation {
    /// The image complies.
    fn pass() -> Self {
        Self { outcome: Outcome::Pass, failing: Vec::new(), reason: None, next_change_at: None }
    }

    /// These rows fail it; at least one.
    fn fail(failing: impl IntoIterator<Item = String>) -> Self {
        let failing: BTreeSet<String> = failing.into_iter().collect();
        Self { outcome: Outcome::Fail, failing: failing.into_iter().collect(), ..Self::pass() }
    }

    /// Nothing can be said, for this reason.
    fn no_data(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::NoData, reason: Some(reason.into()), ..Self::pass() }
    }

    /// The same, and it may be otherwise from then on.
    fn until(self, change: Timestamp) -> Self {
        Self { next_change_at: Some(change), ..self }
    }
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
    /// Other names by which the configuration may mean it.
    pub other_names: &'static [&'static str],
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
pub const TYPES: &[PolicyType] = &[
    approved_base_images::TYPE,
    copyleft_license::TYPE,
    default_non_root_user::TYPE,
    fixable_vulnerabilities::TYPE,
    high_profile_vulnerabilities::TYPE,
    no_stale_base_images::TYPE,
    supply_chain_attestations::TYPE,
];

/// The type of this id or other name.
pub fn type_of(name: &str) -> Option<&'static PolicyType> {
    TYPES.iter().find(|policy_type| policy_type.id == name || policy_type.other_names.contains(&name))
}

/// Reads the parameters of the policy `id`; without any, the defaults.
fn parameters_of<P: DeserializeOwned + Default>(
    id: &'static str,
    parameters: &Value,
) -> Result<P, PolicyConfigError> {
    match parameters {
        Value::Null => Ok(P::default()),
        parameters => P::deserialize(parameters)
            .map_err(|error| PolicyConfigError { policy: id, reason: error.to_string() }),
    }
}
