//! The licence of a Python package. `License-Expression` is an SPDX expression; before it there were `License` in anybody's
//! words, and classifiers, of which some name one licence and others a family of them.
//!
//! Specification: <https://packaging.python.org/en/latest/specifications/license-expression/>, the classifiers:
//! <https://github.com/pypa/trove-classifiers>.

/// The classifiers below `OSI Approved`, or beside it, that name exactly one licence, with its SPDX identifier.
const CLASSIFIERS: &[(&str, &str)] = &[
    ("Boost Software License 1.0 (BSL-1.0)", "BSL-1.0"),
    ("CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", "CC0-1.0"),
    ("Eclipse Public License 1.0 (EPL-1.0)", "EPL-1.0"),
    ("Eclipse Public License 2.0 (EPL-2.0)", "EPL-2.0"),
    ("European Union Public Licence 1.1 (EUPL 1.1)", "EUPL-1.1"),
    ("European Union Public Licence 1.2 (EUPL 1.2)", "EUPL-1.2"),
    ("GNU Affero General Public License v3", "AGPL-3.0-only"),
    ("GNU Affero General Public License v3 or later (AGPLv3+)", "AGPL-3.0-or-later"),
    ("GNU General Public License v2 (GPLv2)", "GPL-2.0-only"),
    ("GNU General Public License v2 or later (GPLv2+)", "GPL-2.0-or-later"),
    ("GNU General Public License v3 (GPLv3)", "GPL-3.0-only"),
    ("GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later"),
    ("GNU Lesser General Public License v2 (LGPLv2)", "LGPL-2.0-only"),
    ("GNU Lesser General Public License v2 or later (LGPLv2+)", "LGPL-2.0-or-later"),
    ("GNU Lesser General Public License v3 (LGPLv3)", "LGPL-3.0-only"),
    ("GNU Lesser General Public License v3 or later (LGPLv3+)", "LGPL-3.0-or-later"),
    ("Historical Permission Notice and Disclaimer (HPND)", "HPND"),
    ("ISC License (ISCL)", "ISC"),
    ("MIT License", "MIT"),
    ("MIT No Attribution License (MIT-0)", "MIT-0"),
    ("Mozilla Public License 1.1 (MPL 1.1)", "MPL-1.1"),
    ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    ("The Unlicense (Unlicense)", "Unlicense"),
    ("zlib/libpng License", "Zlib"),
];

/// The licence from a package's own words and its classifiers below `License`: an SPDX expression where the words are one, or
/// the only classifier or the words stand for one, else the words, and else those of the classifiers.
pub(super) fn license(own: Option<String>, classifiers: &[String]) -> Option<String> {
    let own = own.filter(|words| !matches!(words.as_str(), "" | "UNKNOWN" | "Dual License" | "LICENSE"));
    let written = own.as_deref().filter(|words| spdx::Expression::parse(words).is_ok());
    let classified = || match classifiers {
        [one] => CLASSIFIERS.iter().find(|(name, _)| *name == last(one)).map(|(_, id)| (*id).to_owned()),
        _ => None,
    };
    let expression = written
        .map(str::to_owned)
        .or_else(classified)
        .or_else(|| own.as_deref().and_then(crate::license::expression));
    let words = || classifiers.iter().map(|words| last(words)).collect::<Vec<_>>().join(", ");
    expression.or(own).or_else(|| Some(words())).filter(|license| !license.is_empty())
}

fn last(classifier: &str) -> &str {
    classifier.rsplit_once(" :: ").map_or(classifier, |(_, last)| last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(own: &str, classifiers: &[&str]) -> Option<String> {
        let classifiers: Vec<String> =
            classifiers.iter().map(|classifier| (*classifier).to_owned()).collect();
        license(Some(own.to_owned()).filter(|own| !own.is_empty()), &classifiers)
    }

    #[test]
    fn an_expression_counts_before_a_classifier_and_a_classifier_before_words() {
        let bsd = "OSI Approved :: BSD License";
        for (own, classifiers, license) in [
            ("MIT OR Apache-2.0", &[bsd][..], Some("MIT OR Apache-2.0")),
            ("MIT License, see LICENSE", &["OSI Approved :: MIT License"], Some("MIT")),
            ("BSD", &[bsd], Some("BSD")),
            ("", &[bsd], Some("BSD License")),
            ("UNKNOWN", &["OSI Approved :: MIT License"], Some("MIT")),
            (
                "Dual License",
                &[bsd, "OSI Approved :: Apache Software License"],
                Some("BSD License, Apache Software License"),
            ),
            ("", &["OSI Approved :: MIT License", bsd], Some("MIT License, BSD License")),
            ("UNKNOWN", &[], None),
            ("", &[], None),
        ] {
            assert_eq!(found(own, classifiers).as_deref(), license, "{own} {classifiers:?}");
        }
    }

    #[test]
    fn every_classifier_stands_for_a_licence_of_spdx() {
        for (name, id) in CLASSIFIERS {
            assert!(spdx::license_id(id).is_some(), "{name}");
        }
        assert!(CLASSIFIERS.is_sorted());
    }
}
