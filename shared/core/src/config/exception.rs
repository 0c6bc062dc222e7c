//! An exception in the configuration.

mod vulnerabilities;

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use super::{ConfigProblem, Step, key, problem};
use crate::exception::ExceptionType;
use crate::names::{ExceptionId, StreamName};
use crate::package::PackagePattern;
use crate::rule::Pattern;
use crate::vex::VexJustification;
use crate::{Date, Digest, Severity};

pub use vulnerabilities::Vulnerabilities;

/// That some findings do not count: neither in the gauges nor for any policy. They stay visible, and say why.
///
/// It holds in the whole organisation, or where all of `repository`, `digest` and `stream` that are given say. Where several
/// exceptions are about one finding, that with the narrowest scope counts: `digest` before `repository` before `stream`
/// before none of them; then one with a `package`; then the first. One that has expired counts nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Exception")]
pub struct ExceptionConfig {
    /// Its name in tables. Without it, it is made of what the exception is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ExceptionId>,
    /// The vulnerability, or a list of them, by any of their ids.
    pub vulnerability: Vulnerabilities,
    /// The package that has it; without it, any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackagePattern>,
    /// Only in these repositories: a pattern as in rules, over `REGISTRY/REPOSITORY[:TAG]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Pattern>,
    /// Only in the image with this digest, that of its platform's manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "digest")]
    pub digest: Option<Digest>,
    /// Only in this stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamName>,
    /// What is said of it.
    #[serde(rename = "type")]
    pub exception_type: ExceptionType,
    /// Why it is a false positive, in the words of
    /// [OpenVEX](https://github.com/openvex/spec/blob/main/OPENVEX-SPEC.md#status-justifications). Needed with
    /// `false_positive` where there is no `reason`, and only allowed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<VexJustification>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its last day, in UTC.
    #[serde(default, deserialize_with = "some_day", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "day")]
    pub expires: Option<Date>,
    /// What ends it for a finding: each of these does.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub expires_when: BTreeSet<ExpiryCondition>,
    /// The severity that was accepted. Needed with `expires_when: [severity_raised]`, and only allowed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

/// What ends an exception for a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(title = "Condition of expiry")]
pub enum ExpiryCondition {
    /// There is a version of the package that has it fixed.
    FixAvailable,
    /// It is in [CISA's catalogue](https://www.cisa.gov/known-exploited-vulnerabilities-catalog) of known exploited
    /// vulnerabilities.
    KnownExploited,
    /// It is worse than `severity`.
    SeverityRaised,
}

fn digest(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"})
}

fn day(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "examples": ["2027-01-31"]})
}

fn some_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
    let text = String::deserialize(deserializer)?;
    // The parser also takes what has a time behind it.
    let day = text.parse::<Date>().ok().filter(|day| day.to_string() == text);
    let error =
        || format!("failed to read {text:?} as a day: expected YEAR-MONTH-DAY, for example 2027-01-31");
    day.map(Some).ok_or_else(|| serde::de::Error::custom(error()))
}

impl ExceptionConfig {
    /// Its id: the one given, else one made of what it is about, which stays when its type, reason or expiry change.
    pub fn id(&self) -> String {
        self.id.as_ref().map_or_else(
            || {
                let about =
                    (&self.vulnerability, &self.package, &self.repository, &self.digest, &self.stream);
                let digest = Digest::of(&serde_json::to_vec(&about).unwrap_or_default());
                format!("exception-{}", &digest.hex()[..12])
            },
            ToString::to_string,
        )
    }

    /// Whether it is limited to some repositories or streams: then it counts in some of the places that hold an image, and
    /// not for the image as a whole.
    pub const fn is_limited(&self) -> bool {
        self.repository.is_some() || self.stream.is_some()
    }

    /// What is wrong with it alone: the key at fault and a message.
    fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let is_false = self.exception_type == ExceptionType::FalsePositive;
        let on_severity = self.expires_when.contains(&ExpiryCondition::SeverityRaised);
        let mut problems = Vec::new();
        match (is_false, self.justification.is_some()) {
            (true, false) if self.reason.is_none() => {
                problems.push(("justification", "a false positive needs a `justification` or a `reason`"));
            }
            (false, true) => {
                problems.push(("justification", "only a false positive has a `justification`"));
            }
            _ => {}
        }
        match (on_severity, self.severity.is_some()) {
            (true, false) => {
                problems.push(("severity", "`severity_raised` needs the `severity` that was accepted"));
            }
            (false, true) => {
                problems.push(("severity", "only `expires_when: [severity_raised]` has a `severity`"));
            }
            _ => {}
        }
        problems
    }
}

/// Everything that is wrong with the exceptions of a configuration.
pub(super) fn problems(exceptions: &[ExceptionConfig]) -> Vec<ConfigProblem> {
    let mut problems = Vec::new();
    let mut ids = BTreeSet::new();
    for (position, exception) in exceptions.iter().enumerate() {
        let path = |name: &str| [key("exceptions"), Step::Element(position), key(name)];
        if !ids.insert(exception.id()) {
            let message = match &exception.id {
                Some(id) => format!("{:?} is there twice", id.as_str()),
                None => "another exception is about the same: give one of them an `id`".to_owned(),
            };
            problems.push(problem(&path("id"), message));
        }
        let own = exception.problems().into_iter();
        problems.extend(own.map(|(name, message)| problem(&path(name), message.to_owned())));
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Config;

    #[expect(clippy::needless_pass_by_value, reason = "tests pass literals")]
    fn messages(exceptions: Value) -> Vec<String> {
        let config: Config =
            serde_json::from_value(json!({"org": "acme", "exceptions": exceptions})).unwrap();
        config.problems().into_iter().map(|problem| problem.message).collect()
    }

    fn id(exception: Value) -> String {
        serde_json::from_value::<ExceptionConfig>(exception).unwrap().id()
    }

    #[test]
    fn what_does_not_go_together_is_a_problem() {
        let about = |more: Value| {
            let mut exception = json!({"vulnerability": "CVE-1", "type": "accepted_risk"});
            exception.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            messages(json!([exception]))
        };
        assert_eq!(about(json!({})), [""; 0]);
        assert_eq!(
            about(json!({"type": "false_positive"})),
            ["a false positive needs a `justification` or a `reason`"]
        );
        for (key, why) in [("justification", "component_not_present"), ("reason", "it is not built in")] {
            assert_eq!(about(json!({"type": "false_positive", key: why})), [""; 0]);
        }
        assert_eq!(
            about(json!({"justification": "component_not_present"})),
            ["only a false positive has a `justification`"]
        );
        assert_eq!(
            about(json!({"expires_when": ["severity_raised"]})),
            ["`severity_raised` needs the `severity` that was accepted"]
        );
        assert_eq!(about(json!({"expires_when": ["severity_raised"], "severity": "LOW"})), [""; 0]);
        assert_eq!(about(json!({"severity": "LOW"})).len(), 1);
    }

    #[test]
    fn the_same_exception_twice_is_a_problem_unless_both_have_names() {
        let exception = json!({"vulnerability": "CVE-1", "type": "accepted_risk", "expires": "2026-01-31"});
        let mut later = exception.clone();
        later["expires"] = json!("2027-01-31");
        assert_eq!(messages(json!([exception, later])).len(), 1);
        later["id"] = json!("renewed");
        assert_eq!(messages(json!([exception, later])), [""; 0]);
        assert_eq!(messages(json!([later, later])), ["\"renewed\" is there twice"]);
    }

    #[test]
    fn an_id_stays_when_reason_and_expiry_change() {
        let exception = json!({"vulnerability": "CVE-1", "type": "accepted_risk"});
        let mut renewed = exception.clone();
        renewed["expires"] = json!("2027-01-31");
        renewed["vulnerability"] = json!(["cve-1"]);
        assert_eq!(id(exception.clone()), id(renewed));
        let mut other = exception.clone();
        other["package"] = json!("pkg:deb/debian/curl");
        assert_ne!(id(exception), id(other));
    }
}
