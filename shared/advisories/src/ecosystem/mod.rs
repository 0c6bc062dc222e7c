//! The table of ecosystems: how each one's advisories name a package, order its versions and rate its vulnerabilities.
//! A new ecosystem is one file here and one line in [`FAMILIES`].

use tidewatch_core::Severity;
use tidewatch_core::package::{Distribution, Package, PackageType};

use crate::order::Compare;
use crate::record::{Affected, Record};

mod alpine;
mod debian;

/// Every family whose advisories are indexed.
pub static FAMILIES: &[&Family] = &[&alpine::FAMILY, &debian::FAMILY];

/// A family of ecosystems that share one index: all releases of a distribution, or one language's packages.
#[derive(Debug)]
pub struct Family {
    /// Id of the family and of its index: `debian`.
    pub id: &'static str,
    /// OSV's name of the ecosystem without a release, which is also the name of its folder: `Debian`.
    /// Names: <https://ossf.github.io/osv-schema/#defined-ecosystems>
    pub ecosystem: &'static str,
    /// The packages that it is about.
    pub package_type: PackageType,
    /// OSV's ecosystem, with its release, for the packages of an image of this distribution: `Debian:12`. `None` when
    /// the family has no advisories for it.
    pub scope: fn(Option<&Distribution>) -> Option<String>,
    /// The name and version of an installed package by which its advisories know it.
    pub subject: fn(&Package) -> (&str, &str),
    /// The order of its versions.
    pub compare: Compare,
    /// The distribution's own rating of a vulnerability in a package, where the record holds one.
    pub rating: fn(&Record, &Affected) -> Option<Severity>,
}

impl Family {
    /// Whether `ecosystem` belongs to this family: it is the family's name, alone or followed by `:` and a release.
    pub fn holds(&self, ecosystem: &str) -> bool {
        ecosystem.strip_prefix(self.ecosystem).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }

    /// The family with this id.
    pub fn of_id(id: &str) -> Option<&'static Self> {
        FAMILIES.iter().copied().find(|family| family.id == id)
    }

    /// The family of this ecosystem, by OSV's name of it without a release.
    pub fn of_ecosystem(ecosystem: &str) -> Option<&'static Self> {
        FAMILIES.iter().copied().find(|family| family.ecosystem == ecosystem)
    }

    /// The family whose advisories are about packages of this type in an image of this distribution, and the ecosystem
    /// in which they name them.
    pub fn of_packages(
        package_type: PackageType,
        distribution: Option<&Distribution>,
    ) -> Option<(&'static Self, String)> {
        let mut families = FAMILIES.iter().copied().filter(|family| family.package_type == package_type);
        families.find_map(|family| Some((family, (family.scope)(distribution)?)))
    }
}

/// Ids of the families whose indexes are needed to match these packages, sorted; without packages, those that the
/// distribution itself calls for. Empty when no advisories are known for any of it.
pub fn families_for(distribution: Option<&Distribution>, packages: &[Package]) -> Vec<&'static str> {
    let needed = |family: &&Family| {
        (family.scope)(distribution).is_some()
            && (packages.is_empty()
                || packages.iter().any(|package| package.package_type == family.package_type))
    };
    FAMILIES.iter().copied().filter(needed).map(|family| family.id).collect()
}

/// The release that chooses advisories, of the distribution with this os-release `ID`; `None` for another distribution,
/// or one that does not say.
fn release(distribution: Option<&Distribution>, id: &str) -> Option<String> {
    distribution.filter(|distribution| distribution.id == id)?.advisory_release()
}

/// The source package: Debian's and Alpine's advisories name these.
fn source_package(package: &Package) -> (&str, &str) {
    (package.source_name(), package.source_version())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(id: &str, version_id: Option<&str>) -> Option<String> {
        let version_id = version_id.map(str::to_owned);
        let distribution = Distribution { id: id.to_owned(), version_id, ..Distribution::default() };
        FAMILIES.iter().find_map(|family| (family.scope)(Some(&distribution)))
    }

    #[test]
    fn releases_are_named_as_osv_names_them() {
        let known = [
            ("debian", "12", "Debian:12"),
            ("debian", "12.5", "Debian:12"),
            ("debian", "6.0.10", "Debian:6.0"),
            ("debian", "6", "Debian:6.0"),
            ("debian", "3.1", "Debian:3.1"),
            ("alpine", "3.19.1", "Alpine:v3.19"),
            ("alpine", "3.9", "Alpine:v3.9"),
            ("alpine", "3.23_alpha20250612", "Alpine:edge"),
            ("alpine", "3.20.0_alpha20240329", "Alpine:edge"),
        ];
        for (id, version_id, ecosystem) in known {
            assert_eq!(scope(id, Some(version_id)).as_deref(), Some(ecosystem), "{id} {version_id}");
        }
    }

    #[test]
    fn other_distributions_and_rolling_releases_have_no_ecosystem() {
        for (id, version_id) in
            [("ubuntu", Some("22.04")), ("debian", None), ("alpine", Some("3")), ("", None)]
        {
            assert_eq!(scope(id, version_id), None, "{id} {version_id:?}");
        }
    }

    #[test]
    fn the_table_lists_every_family_once_and_in_order() {
        assert!(FAMILIES.is_sorted_by(|a, b| a.id < b.id));
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ecosystem");
        let files =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<_> = files.filter(|file| file != "mod.rs").collect();
        files.sort();
        let table: Vec<_> = FAMILIES.iter().map(|family| format!("{}.rs", family.id)).collect();
        assert_eq!(files, table, "a file without its line in the table, or a line without its file");
    }
}
