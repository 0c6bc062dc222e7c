//! Packages of Python, under the name by which the index knows them.

use tidewatch_core::package::{Package, PackageType};

use crate::reading::{Reading, excerpt, short_text};

/// The name in lower case, with `-` for every run of `-`, `_` and `.`.
///
/// Specification: <https://packaging.python.org/en/latest/specifications/name-normalization/>
pub(crate) fn normalized(name: &str) -> String {
    let mut normalized = String::with_capacity(name.len());
    for character in name.chars().map(|character| character.to_ascii_lowercase()) {
        match character {
            '-' | '_' | '.' if normalized.ends_with('-') => {}
            '-' | '_' | '.' => normalized.push('-'),
            character => normalized.push(character),
        }
    }
    normalized
}

/// The package `name` in the version that stands in a file of the reader `reader`; `None`, and a problem of `reading`, when
/// it has no name or version that can be one.
pub(crate) fn package(name: &str, version: &str, reader: &str, reading: &mut Reading) -> Option<Package> {
    let name = reading.problems.ok_or_add(short_text("package name", name.trim().as_bytes()))?;
    let version = reading.problems.ok_or_add(short_text("version", version.trim().as_bytes()))?;
    if name.is_empty() {
        reading.problems.add(|| "names a package without a name".to_owned());
        return None;
    }
    if version.is_empty() {
        reading.problems.add(|| format!("names no version of {}", excerpt(&name)));
        return None;
    }
    Some(Package::new(PackageType::Pypi, normalized(&name), version, reader))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_form() {
        for name in [
            "friendly-bard",
            "Friendly-Bard",
            "FRIENDLY-BARD",
            "friendly.bard",
            "friendly_bard",
            "friendly--bard",
            "FrIeNdLy-._.-bArD",
        ] {
            assert_eq!(normalized(name), "friendly-bard");
        }
        assert_eq!(normalized("zope.interface"), "zope-interface");
    }

    #[test]
    fn a_package_without_name_or_version_is_a_problem() {
        let mut reading = Reading::default();
        assert!(package(" ", "1", "x", &mut reading).is_none());
        assert!(package("a", "", "x", &mut reading).is_none());
        assert!(package("a", &"1".repeat(1025), "x", &mut reading).is_none());
        assert_eq!(
            reading.problems.into_reasons(),
            [
                "names a package without a name",
                "names no version of a",
                "holds a version of more than 1024 bytes"
            ]
        );
    }
}
