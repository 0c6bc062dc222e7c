//! The policy `fixable-vulnerabilities`: an image fails it by a vulnerability of a given severity that a newer version
//! of the package would fix. Parameters as Docker Scout publishes them.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Evaluation, ImageFacts, Policy, PolicyConfigError, PolicyType};
use crate::finding::Finding;
use crate::package::PackageType;
use crate::{Severity, Timestamp};

pub(super) const TYPE: PolicyType = PolicyType {
    id: "fixable-vulnerabilities",
    other_names: &[],
    display_name: "No fixable critical or high vulnerabilities",
    parameters: |generator| generator.subschema_for::<Parameters>(),
    build,
};

/// An image fails this policy when it has a vulnerability that counts.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Parameters of fixable-vulnerabilities", rename = "FixableVulnerabilities")]
struct Parameters {
    /// The severities that count.
    severities: BTreeSet<Severity>,
    /// Whether only findings with a known fix count.
    fixable_only: bool,
    /// Only packages of these [purl types](https://github.com/package-url/purl-spec) count: `deb`, `apk`. Empty means
    /// all.
    package_types: BTreeSet<PackageType>,
    /// How many days after its publication a vulnerability begins to count; one without a date counts at once.
    grace_period_days: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            severities: BTreeSet::from([Severity::Critical, Severity::High]),
            fixable_only: true,
            package_types: BTreeSet::new(),
            grace_period_days: 0,
        }
    }
}

fn build(parameters: &Value) -> Result<Box<dyn Policy>, PolicyConfigError> {
    let parameters: Parameters = super::parameters_of(TYPE.id, parameters)?;
    Ok(Box::new(parameters))
}

impl Parameters {
    /// Whether the finding is one that this policy is about, whatever its age.
    fn concerns(&self, finding: &Finding) -> bool {
        self.severities.contains(&finding.severity)
            && (!self.fixable_only || finding.fixed_version.is_some())
            && (self.package_types.is_empty() || self.package_types.contains(&finding.package_type))
    }

    /// When the finding begins to count; `None` means that it always has.
    fn counts_from(&self, finding: &Finding) -> Option<Timestamp> {
        let grace = Duration::from_secs(u64::from(self.grace_period_days) * 86_400);
        finding
            .published_at
            .and_then(|published| published.checked_add(grace).ok())
            .filter(|_| !grace.is_zero())
    }
}

impl Policy for Parameters {
    fn evaluate(&self, facts: ImageFacts<'_>) -> Evaluation {
        let mut failing = BTreeSet::new();
        let mut next_change_at: Option<Timestamp> = None;
        for finding in facts.findings.iter().filter(|finding| self.concerns(finding)) {
            match self.counts_from(finding).filter(|from| *from > facts.now) {
                Some(from) => next_change_at = Some(next_change_at.map_or(from, |next| next.min(from))),
                None => {
                    failing.insert(finding.row());
                }
            }
        }
        let evaluation = match facts.unknown_vulnerabilities() {
            _ if !failing.is_empty() => Evaluation::fail(failing),
            Some(reason) => Evaluation::no_data(reason),
            None => Evaluation::pass(),
        };
        Evaluation { next_change_at, ..evaluation }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Outcome;
    use crate::policy::facts::{self, Facts};
    use crate::result::ResultState;

    fn finding(severity: Severity, fixed: bool) -> Finding {
        Finding {
            severity,
            fixed_version: fixed.then(|| "2".to_owned()),
            published_at: Some("2026-06-10T00:00:00Z".parse().unwrap()),
            ..facts::finding("CVE-2099-0001", "openssl")
        }
    }

    fn judge(parameters: impl Into<Value>, findings: &[Finding], state: ResultState) -> Evaluation {
        let facts = findings.iter().cloned().fold(Facts::default().state(state), Facts::finding);
        facts.evaluate(TYPE.id, parameters.into())
    }

    #[test]
    fn an_image_passes_by_current_advisories_only_and_fails_by_old_ones_too() {
        let (current, old) = ("2026-06-08T00:00:01Z", "2026-06-08T00:00:00Z");
        let evaluate = |facts: Facts| facts.evaluate(TYPE.id, Value::Null);
        assert_eq!(evaluate(Facts::default().advisories_of(current)).outcome, Outcome::Pass);
        let outdated = evaluate(Facts::default().advisories_of(old));
        assert_eq!(outdated.outcome, Outcome::NoData);
        let reason = "the advisories of debian are older than 7 days: they are of 2026-06-08";
        assert_eq!(outdated.reason.as_deref(), Some(reason));
        let failing = Facts::default().advisories_of(old).finding(finding(Severity::High, true));
        assert_eq!(evaluate(failing).outcome, Outcome::Fail);
    }

    #[test]
    fn a_fixable_high_vulnerability_fails_and_is_named() {
        let evaluation = judge(Value::Null, &[finding(Severity::High, true)], ResultState::Scanned);
        assert_eq!(evaluation.outcome, Outcome::Fail);
        assert_eq!(evaluation.failing, ["CVE-2099-0001 openssl"]);
    }

    #[test]
    fn what_cannot_be_fixed_or_is_less_severe_passes() {
        let findings = [finding(Severity::Critical, false), finding(Severity::Medium, true)];
        assert_eq!(judge(Value::Null, &findings, ResultState::Scanned).outcome, Outcome::Pass);
        let unfixable = judge(json!({"fixable_only": false}), &findings, ResultState::Scanned);
        assert_eq!(unfixable.outcome, Outcome::Fail);
    }

    #[test]
    fn a_partial_image_never_passes_but_fails_by_a_known_row() {
        assert_eq!(judge(Value::Null, &[], ResultState::Partial).outcome, Outcome::NoData);
        let findings = [finding(Severity::High, true)];
        assert_eq!(judge(Value::Null, &findings, ResultState::Partial).outcome, Outcome::Fail);
    }

    #[test]
    fn a_grace_period_delays_the_failure_and_says_until_when() {
        let findings = [finding(Severity::High, true)];
        let within = judge(json!({"grace_period_days": 7}), &findings, ResultState::Scanned);
        assert_eq!(within.outcome, Outcome::Pass);
        assert_eq!(within.next_change_at, Some("2026-06-17T00:00:00Z".parse().unwrap()));
        let over = judge(json!({"grace_period_days": 5}), &findings, ResultState::Scanned);
        assert_eq!(over.outcome, Outcome::Fail);
    }

    #[test]
    fn only_the_given_package_types_count() {
        let findings = [finding(Severity::High, true)];
        let others = judge(json!({"package_types": ["npm"]}), &findings, ResultState::Scanned);
        assert_eq!(others.outcome, Outcome::Pass);
        let own = judge(json!({"package_types": ["deb"]}), &findings, ResultState::Scanned);
        assert_eq!(own.outcome, Outcome::Fail);
    }

    #[test]
    fn unknown_parameters_and_types_that_no_package_has_are_refused() {
        assert!(build(&json!({"package_types": ["dpkg"]})).is_err());
        assert!(build(&json!({"severity": ["HIGH"]})).is_err());
        assert!(build(&json!({"severities": ["DREADFUL"]})).is_err());
    }
}
