//! The policy `copyleft-license`: an image fails it by a package that cannot be used but under a licence that is listed.
//! Parameters as Docker Scout publishes them.

use std::collections::{BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spdx::{Expression, LicenseItem, LicenseReq, ParseMode};

use super::{Evaluation, ImageFacts, Policy, PolicyConfigError, PolicyType};
use crate::package::PackagePattern;

pub(super) const TYPE: PolicyType = PolicyType {
    id: "copyleft-license",
    other_names: &["no-copyleft-licenses"],
    display_name: "No copyleft licenses",
    parameters: |generator| generator.subschema_for::<Parameters>(),
    build,
};

/// An image fails this policy when it has a package whose licence, an [SPDX
/// expression](https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/), leaves no way around a licence that is
/// listed here: `MIT OR GPL-2.0-only` does, `MIT AND GPL-2.0-only` does not. An exception (`WITH`) makes no difference.
/// Packages whose licence is not known do not count.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Parameters of copyleft-license", rename = "CopyleftLicense")]
struct Parameters {
    /// The licences that count: ids of [SPDX](https://spdx.org/licenses/), or the beginning of ids up to a `-`. `GPL-3.0`
    /// means `GPL-3.0-only` and `GPL-3.0-or-later` as well, and `GPL` every version.
    licenses: BTreeSet<String>,
    /// Packages that do not count.
    ignored_packages: Vec<PackagePattern>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            licenses: ["AGPL", "GPL", "LGPL", "MPL"].map(str::to_owned).into(),
            ignored_packages: Vec::new(),
        }
    }
}

fn build(parameters: &Value) -> Result<Box<dyn Policy>, PolicyConfigError> {
    let parameters: Parameters = super::parameters_of(TYPE.id, parameters)?;
    Ok(Box::new(parameters))
}

impl Parameters {
    /// Whether a licence is listed: `name` is an entry, or goes on after one with `-` or `+`.
    fn lists(&self, name: &str) -> bool {
        self.licenses.iter().any(|entry| {
            let rest = name.get(..entry.len()).filter(|start| start.eq_ignore_ascii_case(entry));
            rest.is_some_and(|_| matches!(name.as_bytes().get(entry.len()), None | Some(b'-' | b'+')))
        })
    }

    fn lists_required(&self, required: &LicenseReq) -> bool {
        match &required.license {
            LicenseItem::Spdx { id, .. } => self.lists(id.name),
            LicenseItem::Other(_) => false,
        }
    }

    /// Whether every way to satisfy `license` needs a licence that is listed.
    fn is_met_by(&self, license: &str) -> bool {
        match Expression::parse_mode(license, ParseMode::LAX) {
            Ok(expression) => !expression.evaluate(|required| !self.lists_required(required)),
            // The package's own words: they may still be the name of a licence, such as `GPL`.
            Err(_) => self.lists(license.trim()),
        }
    }
}

impl Policy for Parameters {
    fn evaluate(&self, facts: ImageFacts<'_>) -> Evaluation {
        let mut known: HashMap<&str, bool> = HashMap::new();
        let mut failing = BTreeSet::new();
        for package in facts.packages {
            let Some(license) = package.license.as_deref() else { continue };
            if !*known.entry(license).or_insert_with(|| self.is_met_by(license)) {
                continue;
            }
            let is_ignored = !self.ignored_packages.is_empty() && {
                let purl = package.purl(facts.distribution);
                self.ignored_packages.iter().any(|pattern| pattern.matches(&purl))
            };
            if !is_ignored {
                failing.insert(format!("{license} {} {}", package.name, package.version));
            }
        }
        match facts.unknown_packages() {
            _ if !failing.is_empty() => Evaluation::fail(failing),
            Some(reason) => Evaluation::no_data(reason),
            None => Evaluation::pass(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Outcome;
    use crate::policy::facts::{self, Facts};
    use crate::result::ResultState;

    fn of(license: &str, parameters: Value) -> Outcome {
        Facts::default().package(facts::licensed("curl", Some(license))).evaluate(TYPE.id, parameters).outcome
    }

    #[test]
    fn an_image_fails_where_no_way_leads_around_a_listed_licence() {
        for (license, expected) in [
            ("MIT", Outcome::Pass),
            ("GPL-3.0-only", Outcome::Fail),
            ("GPL-2.0-or-later", Outcome::Fail),
            ("GPL-2.0+", Outcome::Fail),
            ("LGPL-2.1-only", Outcome::Fail),
            ("AGPL-3.0-or-later", Outcome::Fail),
            ("MPL-2.0", Outcome::Fail),
            ("MIT OR GPL-2.0-only", Outcome::Pass),
            ("MIT AND GPL-2.0-only", Outcome::Fail),
            ("(MIT OR GPL-2.0-only) AND (BSD-3-Clause OR MPL-2.0)", Outcome::Pass),
            ("GPL-2.0-only OR LGPL-3.0-only", Outcome::Fail),
            ("GPL-2.0-only WITH Classpath-exception-2.0", Outcome::Fail),
            ("LicenseRef-Acme AND MIT", Outcome::Pass),
            ("LicenseRef-Acme AND GPL-2.0-only", Outcome::Fail),
            ("GPL", Outcome::Fail),
            ("GPLish and free", Outcome::Pass),
            ("Acme's own words", Outcome::Pass),
        ] {
            assert_eq!(of(license, Value::Null), expected, "{license}");
        }
    }

    #[test]
    fn an_entry_means_every_licence_that_begins_with_it() {
        for (entry, license, expected) in [
            ("GPL-3.0", "GPL-3.0-only", Outcome::Fail),
            ("GPL-3.0", "GPL-3.0-or-later", Outcome::Fail),
            ("GPL-3.0", "GPL-2.0-only", Outcome::Pass),
            ("gpl-3.0-only", "GPL-3.0-only", Outcome::Fail),
            ("GPL-3.0-only", "GPL-3.0-or-later", Outcome::Pass),
            ("GPL", "LGPL-2.1-only", Outcome::Pass),
            ("GPL-3", "GPL-3.0-only", Outcome::Pass),
        ] {
            assert_eq!(of(license, json!({"licenses": [entry]})), expected, "{entry} {license}");
        }
    }

    #[test]
    fn ignored_packages_do_not_count() {
        for pattern in ["pkg:deb/debian/curl", "pkg:deb/debian/curl@1.0"] {
            assert_eq!(
                of("GPL-3.0-only", json!({"ignored_packages": [pattern]})),
                Outcome::Pass,
                "{pattern}"
            );
        }
        let other = json!({"ignored_packages": ["pkg:deb/debian/curl@2.0"]});
        assert_eq!(of("GPL-3.0-only", other), Outcome::Fail);
    }

    #[test]
    fn what_fails_is_named_with_its_licence() {
        let facts = Facts::default().package(facts::licensed("bash", Some("GPL-3.0-or-later")));
        assert_eq!(facts.evaluate(TYPE.id, Value::Null).failing, ["GPL-3.0-or-later bash 1.0"]);
    }

    #[test]
    fn a_licence_that_is_not_known_does_not_fail_and_a_package_that_is_not_known_is_no_data() {
        let unknown = Facts::default().package(facts::licensed("curl", None));
        assert_eq!(unknown.clone().evaluate(TYPE.id, Value::Null).outcome, Outcome::Pass);
        let partial = unknown.state(ResultState::Partial);
        let evaluation = partial.clone().evaluate(TYPE.id, Value::Null);
        assert_eq!(evaluation.outcome, Outcome::NoData);
        assert_eq!(evaluation.reason.as_deref(), Some("the image is partial"));
        let fails = partial.package(facts::licensed("bash", Some("GPL-3.0-only")));
        assert_eq!(fails.evaluate(TYPE.id, Value::Null).outcome, Outcome::Fail);
    }

    #[test]
    fn a_package_that_is_no_package_url_is_refused() {
        assert!(build(&json!({"ignored_packages": ["curl"]})).is_err());
    }
}
