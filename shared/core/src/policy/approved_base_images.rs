//! The policy `approved-base-images`: an image fails it when it is built on an image that is not approved, or on a
//! distribution that is not approved or no longer supported. Parameters as Docker Scout publishes them.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Evaluation, ImageFacts, Policy, PolicyConfigError, PolicyType};
use crate::Timestamp;
use crate::package::Distribution;
use crate::tables::Support;

pub(super) const TYPE: PolicyType = PolicyType {
    id: "approved-base-images",
    other_names: &[],
    display_name: "No unapproved base images",
    parameters: |generator| generator.subschema_for::<Parameters>(),
    build,
};

/// Distributions that are made for images and say until when they are supported, or that have no releases that end.
const DISTROS: [&str; 16] = [
    "almalinux",
    "alpine",
    "amzn",
    "azurelinux",
    "centos",
    "chainguard",
    "debian",
    "fedora",
    "ol",
    "opensuse-leap",
    "photon",
    "rhel",
    "rocky",
    "sles",
    "ubuntu",
    "wolfi",
];

/// An image fails this policy when the image that it is built on is none of those that are allowed here, or its
/// distribution is not.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Parameters of approved-base-images", rename = "ApprovedBaseImages")]
#[expect(clippy::struct_field_names, reason = "the names are Docker's")]
struct Parameters {
    /// Patterns of names as `HOST/REPOSITORY[:TAG][@DIGEST]`, also for Docker Hub: `docker.io/library/node:*-slim`. `*`
    /// means any characters up to what follows it, or to the end; it is the only character with a meaning of its own.
    allowed_base_images: BTreeSet<String>,
    /// Whether the distribution has to be one of `allowed_distros`, and still be supported, by
    /// [endoflife.date](https://endoflife.date).
    allowed_distros_only: bool,
    /// Distributions, by the `ID` of their [os-release
    /// file](https://www.freedesktop.org/software/systemd/man/latest/os-release.html#ID=), or `ID:VERSION` for one release.
    allowed_distros: BTreeSet<String>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            allowed_base_images: ["*".to_owned()].into(),
            allowed_distros_only: true,
            allowed_distros: DISTROS.map(str::to_owned).into(),
        }
    }
}

fn build(parameters: &Value) -> Result<Box<dyn Policy>, PolicyConfigError> {
    let parameters: Parameters = super::parameters_of(TYPE.id, parameters)?;
    Ok(Box::new(parameters))
}

/// Whether `pattern`, in which `*` means any characters, means all of `text`. Time is bounded by the product of the lengths.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut literals: Vec<&str> = rest.split('*').collect();
    let last = literals.pop().unwrap_or_default();
    for literal in literals {
        let Some(position) = text.find(literal) else { return false };
        text = &text[position + literal.len()..];
    }
    text.ends_with(last)
}

/// What one side of the policy says: rows that fail it, or why nothing can be said, and when that changes.
#[derive(Default)]
struct Said {
    failing: Option<String>,
    unknown: Option<String>,
    changes_at: Option<Timestamp>,
}

impl Said {
    fn failing(row: String) -> Self {
        Self { failing: Some(row), ..Self::default() }
    }

    fn unknown(reason: String) -> Self {
        Self { unknown: Some(reason), ..Self::default() }
    }
}

impl Parameters {
    fn base(&self, facts: ImageFacts<'_>) -> Said {
        let base = match facts.base() {
            Ok(base) => base,
            Err(reason) => return Said::unknown(reason),
        };
        let name = &base.reference;
        let with_digest = base.digest.map(|digest| format!("{name}@{digest}"));
        let is_allowed = |pattern: &String| {
            matches(pattern, name) || with_digest.as_ref().is_some_and(|name| matches(pattern, name))
        };
        if self.allowed_base_images.iter().any(is_allowed) {
            Said::default()
        } else {
            Said::failing(format!("{name} is no approved base image"))
        }
    }

    fn allows(&self, distribution: &Distribution) -> bool {
        let version = distribution.version_id.as_deref().unwrap_or_default();
        self.allowed_distros.iter().any(|entry| match entry.split_once(':') {
            None => *entry == distribution.id,
            Some((id, release)) => {
                let rest = version.strip_prefix(release);
                id == distribution.id && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }
        })
    }

    fn distribution(&self, facts: ImageFacts<'_>) -> Said {
        if !self.allowed_distros_only {
            return Said::default();
        }
        let Some(distribution) = facts.distribution else {
            return Said::unknown("the distribution is not known".to_owned());
        };
        let name = distribution.name();
        if !self.allows(distribution) {
            return Said::failing(format!("{name} is no approved distribution"));
        }
        let Some(table) = &facts.tables.end_of_life else {
            return Said::unknown("the table of ends of life is missing".to_owned());
        };
        let support = table.support(distribution);
        let end = match support {
            Some(Support::Until(end)) if end <= facts.now => {
                return Said::failing(format!("{name} is not supported since {end:.0}"));
            }
            Some(Support::Ended) => return Said::failing(format!("{name} is no longer supported")),
            Some(Support::Until(end)) => Some(end),
            Some(Support::Endless) | None => None,
        };
        if !table.date.is_current(facts.now) {
            let day = table.date.day();
            let reason = format!("the table of ends of life is older than 7 days: it is of {day}");
            return Said { changes_at: end, ..Said::unknown(reason) };
        }
        let outdated = table.date.outdated_at();
        if support.is_none() {
            let reason = format!("until when {name} is supported is not known");
            return Said { changes_at: Some(outdated), ..Said::unknown(reason) };
        }
        Said { changes_at: Some(end.map_or(outdated, |end| end.min(outdated))), ..Said::default() }
    }
}

impl Policy for Parameters {
    fn evaluate(&self, facts: ImageFacts<'_>) -> Evaluation {
        let said = [self.base(facts), self.distribution(facts)];
        let failing: BTreeSet<String> = said.iter().filter_map(|said| said.failing.clone()).collect();
        // A row more may fail it later.
        let changes_at = said.iter().filter_map(|said| said.changes_at).min();
        let evaluation = match said.into_iter().find_map(|said| said.unknown) {
            _ if !failing.is_empty() => Evaluation::fail(failing),
            Some(reason) => Evaluation::no_data(reason),
            None => Evaluation::pass(),
        };
        Evaluation { next_change_at: changes_at, ..evaluation }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Digest;
    use crate::metadata::{BaseEvidence, BaseImage};
    use crate::policy::Outcome;
    use crate::policy::facts::Facts;
    use crate::result::ResultState;

    fn node() -> BaseImage {
        BaseImage {
            reference: "docker.io/library/node:18-bookworm-slim".to_owned(),
            digest: Some(Digest::of(b"node")),
            evidence: BaseEvidence::Layers,
            current: None,
        }
    }

    /// Of an image on Debian 12, which is supported to the end of 11 July; it is 15 June.
    fn on_debian() -> Facts {
        Facts::default()
            .base(node())
            .distribution("debian", Some("12"))
            .end_of_life_of("2026-06-12T00:00:00Z")
    }

    fn evaluate(facts: Facts, parameters: Value) -> Evaluation {
        facts.evaluate(TYPE.id, parameters)
    }

    fn no_data(evaluation: Evaluation) -> String {
        assert_eq!(evaluation.outcome, Outcome::NoData, "{evaluation:?}");
        evaluation.reason.unwrap()
    }

    #[test]
    fn a_star_runs_to_what_follows_it_or_to_the_end() {
        for (pattern, text, expected) in [
            ("*", "docker.io/library/node:18", true),
            ("docker.io/library/node:*-slim", "docker.io/library/node:18-bookworm-slim", true),
            ("docker.io/library/node:*-slim", "docker.io/library/node:18-slim-bookworm", false),
            ("docker.io/library/node:*-slim", "docker.io/library/node-slim", false),
            ("docker.io/library/*", "docker.io/library/node:18", true),
            ("docker.io/library/*", "docker.io/acme/node:18", false),
            ("node:*", "docker.io/library/node:18", false),
            ("*/node:*", "docker.io/library/node:18", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
            ("docker.io/library/node:18", "docker.io/library/node:18", true),
            ("docker.io/library/node:18", "docker.io/library/node:18-slim", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn an_allowed_image_on_a_supported_distribution_passes_until_the_table_is_too_old() {
        for allowed in
            [json!("*"), json!("docker.io/library/node:*-slim"), json!(format!("*@{}", Digest::of(b"node")))]
        {
            let evaluation = evaluate(on_debian(), json!({"allowed_base_images": [allowed]}));
            assert_eq!(evaluation.outcome, Outcome::Pass);
            assert_eq!(evaluation.next_change_at, Some("2026-06-19T00:00:00Z".parse().unwrap()));
        }
    }

    #[test]
    fn an_image_that_is_not_allowed_fails_whatever_else_is_not_known() {
        let facts = Facts::default().base(node()).state(ResultState::Partial);
        let evaluation = evaluate(facts, json!({"allowed_base_images": ["docker.io/library/python:*"]}));
        assert_eq!(evaluation.outcome, Outcome::Fail);
        assert_eq!(evaluation.failing, ["docker.io/library/node:18-bookworm-slim is no approved base image"]);
    }

    #[test]
    fn a_distribution_that_is_not_allowed_or_not_supported_fails() {
        for (id, version, parameters, row) in [
            ("debian", "11", json!({}), "debian 11 is not supported since 2024-08-15T00:00:00Z"),
            ("debian", "10", json!({}), "debian 10 is no longer supported"),
            ("acme", "1", json!({}), "acme 1 is no approved distribution"),
            (
                "debian",
                "12",
                json!({"allowed_distros": ["alpine", "debian:13"]}),
                "debian 12 is no approved distribution",
            ),
        ] {
            let evaluation = evaluate(on_debian().distribution(id, Some(version)), parameters);
            assert_eq!((evaluation.outcome, evaluation.failing), (Outcome::Fail, vec![row.to_owned()]));
        }
        let evaluation =
            evaluate(on_debian().distribution("acme", Some("1")), json!({"allowed_distros_only": false}));
        assert_eq!(evaluation.outcome, Outcome::Pass);
        let release = json!({"allowed_distros": ["debian:12"]});
        assert_eq!(
            evaluate(on_debian().distribution("debian", Some("12.5")), release).outcome,
            Outcome::Pass
        );
    }

    #[test]
    fn an_old_table_still_proves_what_has_ended() {
        let old = |version| {
            on_debian().end_of_life_of("2026-06-01T00:00:00Z").distribution("debian", Some(version))
        };
        assert_eq!(evaluate(old("11"), json!({})).outcome, Outcome::Fail);
        let evaluation = evaluate(old("12"), json!({}));
        assert_eq!(evaluation.next_change_at, Some("2026-07-12T00:00:00Z".parse().unwrap()));
        assert!(no_data(evaluation).starts_with("the table of ends of life is older than 7 days"));
    }

    #[test]
    fn what_is_not_known_is_no_data() {
        for (facts, reason) in [
            (on_debian().no_base(), "the base image is not known"),
            (on_debian().no_distribution(), "the distribution is not known"),
            (on_debian().no_tables(), "the table of ends of life is missing"),
            (
                on_debian().distribution("debian", Some("99")),
                "until when debian 99 is supported is not known",
            ),
        ] {
            assert_eq!(no_data(evaluate(facts, json!({}))), reason);
        }
        assert_eq!(
            evaluate(on_debian().no_distribution(), json!({"allowed_distros_only": false})).outcome,
            Outcome::Pass
        );
    }
}
