//! The policy `high-profile-vulnerabilities`: an image fails it by a vulnerability that everybody knows of, or that is known
//! to be exploited. Parameters as Docker Scout publishes them.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Evaluation, ImageFacts, Policy, PolicyConfigError, PolicyType};
use crate::finding::Finding;

pub(super) const TYPE: PolicyType = PolicyType {
    id: "high-profile-vulnerabilities",
    other_names: &[],
    display_name: "No high-profile vulnerabilities",
    parameters: |generator| generator.subschema_for::<Parameters>(),
    build,
};

/// Heartbleed, Shellshock, Log4Shell and what was left of it, Spring4Shell, the heap overflow in curl's SOCKS5, HTTP/2 Rapid
/// Reset, and the backdoor in XZ.
const CVES: [&str; 8] = [
    "CVE-2014-0160",
    "CVE-2014-6271",
    "CVE-2021-44228",
    "CVE-2021-45046",
    "CVE-2022-22965",
    "CVE-2023-38545",
    "CVE-2023-44487",
    "CVE-2024-3094",
];

/// An image fails this policy when it has a vulnerability that is listed here, or in CISA's catalogue of known exploited
/// vulnerabilities.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Parameters of high-profile-vulnerabilities", rename = "HighProfileVulnerabilities")]
struct Parameters {
    /// The vulnerabilities that count, by any of their ids.
    cves: BTreeSet<String>,
    /// Vulnerabilities that do not count, by any of their ids.
    ignored_cves: BTreeSet<String>,
    /// Whether those count as well that are in [CISA's
    /// catalogue](https://www.cisa.gov/known-exploited-vulnerabilities-catalog).
    include_cisa_kev: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { cves: CVES.map(str::to_owned).into(), ignored_cves: BTreeSet::new(), include_cisa_kev: true }
    }
}

fn build(parameters: &Value) -> Result<Box<dyn Policy>, PolicyConfigError> {
    let mut parameters: Parameters = super::parameters_of(TYPE.id, parameters)?;
    for list in [&mut parameters.cves, &mut parameters.ignored_cves] {
        *list = list.iter().map(|id| id.trim().to_ascii_uppercase()).collect();
    }
    Ok(Box::new(parameters))
}

impl Parameters {
    fn concerns(&self, finding: &Finding) -> bool {
        let is_in = |list: &BTreeSet<String>| {
            !list.is_empty() && finding.ids().any(|id| list.contains(&id.to_ascii_uppercase()))
        };
        let is_listed = is_in(&self.cves) || (self.include_cisa_kev && finding.known_exploited.is_some());
        is_listed && !is_in(&self.ignored_cves)
    }
}

impl Policy for Parameters {
    fn evaluate(&self, facts: ImageFacts<'_>) -> Evaluation {
        let failing =
            facts.findings.iter().filter(|finding| self.concerns(finding)).map(|finding| finding.row());
        let failing: BTreeSet<String> = failing.collect();
        if !failing.is_empty() {
            return Evaluation::fail(failing);
        }
        if let Some(reason) = facts.unknown_vulnerabilities() {
            return Evaluation::no_data(reason);
        }
        if !self.include_cisa_kev {
            return Evaluation::pass();
        }
        match facts.tables.known_exploited {
            None => Evaluation::no_data("CISA's catalogue of known exploited vulnerabilities is missing"),
            Some(date) if !date.is_current(facts.now) => Evaluation::no_data(format!(
                "CISA's catalogue of known exploited vulnerabilities is older than 7 days: it is of {}",
                date.day()
            )),
            Some(date) => Evaluation::pass().until(date.outdated_at()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::facts::Facts;
    use crate::policy::{Outcome, facts};
    use crate::result::ResultState;

    fn current() -> Facts {
        Facts::default().known_exploited_of("2026-06-12T00:00:00Z")
    }

    fn evaluate(facts: Facts, parameters: Value) -> Evaluation {
        facts.evaluate(TYPE.id, parameters)
    }

    #[test]
    fn a_listed_vulnerability_fails_by_any_of_its_ids_whatever_else_is_known() {
        let listed = facts::finding("CVE-2024-3094", "xz-utils");
        let mut by_alias = facts::finding("GHSA-0000", "log4j");
        by_alias.aliases = vec!["cve-2021-44228".to_owned()];
        let facts = Facts::default().finding(listed).finding(by_alias).state(ResultState::Partial);
        let evaluation = evaluate(facts, Value::Null);
        assert_eq!(evaluation.outcome, Outcome::Fail);
        assert_eq!(evaluation.failing, ["CVE-2024-3094 xz-utils", "GHSA-0000 log4j"]);
        assert_eq!(evaluation.next_change_at, None);
    }

    #[test]
    fn what_is_known_to_be_exploited_fails_unless_that_is_left_out() {
        let mut exploited = facts::finding("CVE-2099-0001", "curl");
        exploited.known_exploited = Some("2026-06-01".parse().unwrap());
        let facts = current().finding(exploited);
        assert_eq!(evaluate(facts.clone(), Value::Null).outcome, Outcome::Fail);
        assert_eq!(evaluate(facts.clone(), json!({"include_cisa_kev": false})).outcome, Outcome::Pass);
        assert_eq!(evaluate(facts, json!({"ignored_cves": ["cve-2099-0001"]})).outcome, Outcome::Pass);
    }

    #[test]
    fn the_list_can_be_another() {
        let facts = current().finding(facts::finding("CVE-2024-3094", "xz-utils"));
        assert_eq!(evaluate(facts.clone(), json!({"cves": []})).outcome, Outcome::Pass);
        assert_eq!(evaluate(facts, json!({"cves": ["CVE-2024-3094"]})).outcome, Outcome::Fail);
    }

    #[test]
    fn other_vulnerabilities_pass_until_the_catalogue_is_too_old() {
        let evaluation = evaluate(current().finding(facts::finding("CVE-2099-0001", "curl")), Value::Null);
        assert_eq!(evaluation.outcome, Outcome::Pass);
        assert_eq!(evaluation.next_change_at, Some("2026-06-19T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn without_a_current_catalogue_or_all_packages_there_is_no_data() {
        let missing = evaluate(Facts::default(), Value::Null);
        assert_eq!(missing.outcome, Outcome::NoData);
        assert_eq!(missing.reason.unwrap(), "CISA's catalogue of known exploited vulnerabilities is missing");
        let outdated = evaluate(Facts::default().known_exploited_of("2026-06-01T00:00:00Z"), Value::Null);
        assert_eq!(outdated.outcome, Outcome::NoData);
        assert!(outdated.reason.unwrap().ends_with("it is of 2026-06-01"));
        let partial = evaluate(current().state(ResultState::Partial), Value::Null);
        assert_eq!(
            (partial.outcome, partial.reason.unwrap().as_str()),
            (Outcome::NoData, "the image is partial")
        );
        let by_list = evaluate(Facts::default(), json!({"include_cisa_kev": false}));
        assert_eq!(by_list.outcome, Outcome::Pass);
    }
}
