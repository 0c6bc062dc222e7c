//! The table of ecosystems: how each one's advisories name a package and its release, order its versions and rate its
//! vulnerabilities. A new ecosystem is one file here and one line in [`FAMILIES`].
//!
//! Keys of an index are (canonical ecosystem, normal name): advisories spell one release in several ways, and several
//! products of a vendor are one release for the images that are built on it.

use std::borrow::Cow;

use tidewatch_core::Severity;
use tidewatch_core::package::{Distribution, Package, PackageType};

use crate::order::{Compare, semver};
use crate::record::{Affected, Record};

mod almalinux;
mod alpaquita;
mod alpine;
mod amazon;
mod azure_linux;
mod bellsoft;
mod bitnami;
mod chainguard;
mod cleanstart;
mod cran;
mod crates_io;
mod debian;
mod echo;
mod ghc;
mod github_actions;
mod go;
mod hackage;
mod hex;
mod julia;
mod mageia;
mod maven;
mod minimos;
mod npm;
mod nuget;
mod openeuler;
mod opensuse;
mod packagist;
mod photon;
mod pub_;
mod pypi;
mod red_hat;
mod rocky;
mod rubygems;
mod suse;
mod swift;
mod ubuntu;
mod wolfi;

/// Every family whose advisories are indexed.
pub static FAMILIES: &[&Family] = &[
    &almalinux::FAMILY,
    &alpaquita::FAMILY,
    &alpine::FAMILY,
    &amazon::FAMILY,
    &azure_linux::FAMILY,
    &bellsoft::FAMILY,
    &bitnami::FAMILY,
    &chainguard::FAMILY,
    &cleanstart::FAMILY,
    &cran::FAMILY,
    &crates_io::FAMILY,
    &debian::FAMILY,
    &echo::FAMILY,
    &ghc::FAMILY,
    &github_actions::FAMILY,
    &go::FAMILY,
    &hackage::FAMILY,
    &hex::FAMILY,
    &julia::FAMILY,
    &mageia::FAMILY,
    &maven::FAMILY,
    &minimos::FAMILY,
    &npm::FAMILY,
    &nuget::FAMILY,
    &openeuler::FAMILY,
    &opensuse::FAMILY,
    &packagist::FAMILY,
    &photon::FAMILY,
    &pub_::FAMILY,
    &pypi::FAMILY,
    &red_hat::FAMILY,
    &rocky::FAMILY,
    &rubygems::FAMILY,
    &suse::FAMILY,
    &swift::FAMILY,
    &ubuntu::FAMILY,
    &wolfi::FAMILY,
];

/// A family of ecosystems that share one index: all releases of a distribution, or one language's packages.
#[derive(Debug)]
pub struct Family {
    /// Id of the family and of its index: `debian`.
    pub id: &'static str,
    /// OSV's name of the ecosystem without a release, which is also the name of its folder: `Debian`.
    /// Names: <https://ossf.github.io/osv-schema/#defined-ecosystems>
    pub ecosystem: &'static str,
    /// The packages of images that it is about; `None` where no reader finds any: such a family only answers questions.
    pub package_type: Option<PackageType>,
    /// What follows the `:` of OSV's ecosystem in canonical form: of `22.04:LTS` it is `22.04`. Empty where the family
    /// has no releases; `None` for what belongs to another order of versions, or is no release.
    pub release: fn(&str) -> Option<String>,
    /// The canonical ecosystem for the packages of an image of this distribution: `Debian:12`. `None` when the family
    /// has no advisories for it.
    pub scope: fn(Option<&Distribution>) -> Option<String>,
    /// The canonical ecosystems of a scope in which advisories about a package stand, the one that knows it best first.
    /// That of all releases is not among them.
    pub ecosystems: fn(&str, &Package) -> Vec<String>,
    /// The canonical ecosystems that a question for one of OSV's ecosystems is about, given as it was asked and in
    /// canonical form. The service holds some for more than one.
    pub asked: fn(&str, &str) -> Vec<String>,
    /// Which of a package's names its advisories use.
    pub names: Names,
    /// The normal form of a name, in the index and in look-ups.
    pub name: fn(&str) -> Cow<'_, str>,
    /// The normal form of a version, in the index and in look-ups.
    pub version: fn(&str) -> &str,
    /// The last of the versions that a record means by a last affected one, in normal form.
    pub last_affected: fn(&str) -> Cow<'_, str>,
    /// The order of its versions.
    pub compare: Compare,
    /// The distribution's own rating of a vulnerability in a package, where the record holds one.
    pub rating: fn(&Record, &Affected) -> Option<Severity>,
    /// Whether the CVEs that its records call related are those that they fix.
    pub fixes_related: bool,
    /// How the ids of advisories begin that tell of changes that are no fixes of vulnerabilities. Those that name a CVE,
    /// or are rated, count all the same.
    pub notices: &'static [&'static str],
}

/// Which of a package's names advisories use, each with the version that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// The package's own.
    Binary,
    /// That of the source package that it was built from.
    Source,
    /// Either.
    Both,
}

impl Names {
    /// In a word, for documents: `source`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Source => "source",
            Self::Both => "binary and source",
        }
    }
}

/// What most languages have in common.
const LANGUAGE: Family = Family {
    id: "",
    ecosystem: "",
    package_type: None,
    // Other registries than the usual one are named there; their packages have names of their own.
    release: |_| Some(String::new()),
    scope: |_| None,
    ecosystems: |scope, _| vec![scope.to_owned()],
    asked: |_, canonical| vec![canonical.to_owned()],
    names: Names::Binary,
    name: |name| Cow::Borrowed(name),
    version: |version| version,
    last_affected: |version| Cow::Borrowed(version),
    compare: semver::compare,
    rating: |_, _| None,
    fixes_related: false,
    notices: &[],
};

/// What most distributions have in common.
const DISTRIBUTION: Family =
    Family { release: |release| Some(release.to_owned()), names: Names::Source, ..LANGUAGE };

impl Family {
    /// Whether `ecosystem` belongs to this family: it is the family's name, alone or followed by `:` and a release.
    pub fn holds(&self, ecosystem: &str) -> bool {
        self.suffix(ecosystem).is_some()
    }

    /// What follows the family's name and a `:` in `ecosystem`; empty where nothing does.
    fn suffix<'a>(&self, ecosystem: &'a str) -> Option<&'a str> {
        let rest = ecosystem.strip_prefix(self.ecosystem)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix(':') }
    }

    /// The canonical form of an ecosystem of this family: `Ubuntu:22.04` of `Ubuntu:22.04:LTS`. `None` for one of another
    /// family, and for one that the family cannot tell anything about.
    pub fn canonical(&self, ecosystem: &str) -> Option<String> {
        let release = match self.suffix(ecosystem)? {
            "" => String::new(),
            suffix => (self.release)(suffix)?,
        };
        Some(self.of_release(&release))
    }

    /// The canonical ecosystem of a release in canonical form.
    fn of_release(&self, release: &str) -> String {
        if release.is_empty() { self.ecosystem.to_owned() } else { format!("{}:{release}", self.ecosystem) }
    }

    /// The family with this id.
    pub fn of_id(id: &str) -> Option<&'static Self> {
        FAMILIES.iter().copied().find(|family| family.id == id)
    }

    /// The family of this ecosystem, by OSV's name of it without a release.
    pub fn of_ecosystem(ecosystem: &str) -> Option<&'static Self> {
        FAMILIES.iter().copied().find(|family| family.ecosystem == ecosystem)
    }

    /// The family whose advisories are about packages of this type in an image of this distribution, and the canonical
    /// ecosystem of it.
    pub fn of_packages(
        package_type: PackageType,
        distribution: Option<&Distribution>,
    ) -> Option<(&'static Self, String)> {
        let mut families =
            FAMILIES.iter().copied().filter(|family| family.package_type == Some(package_type));
        families.find_map(|family| Some((family, (family.scope)(distribution)?)))
    }
}

/// The family of any of OSV's ecosystems, and the ecosystem's canonical form, which is that of the keys of its index:
/// `Ubuntu:22.04:LTS` is of Ubuntu's family, and there `Ubuntu:22.04`. `None` for an ecosystem of no family.
pub fn canonical(ecosystem: &str) -> Option<(&'static Family, String)> {
    FAMILIES.iter().copied().find_map(|family| Some((family, family.canonical(ecosystem)?)))
}

/// Ids of the families whose indexes are needed to match these packages, sorted; without packages, those that the
/// distribution itself calls for. Empty when no advisories are known for any of it.
pub fn families_for(distribution: Option<&Distribution>, packages: &[Package]) -> Vec<&'static str> {
    let needed = |family: &&Family| {
        let Some(package_type) = family.package_type else { return false };
        let is_met = if packages.is_empty() {
            package_type.is_of_distribution()
        } else {
            packages.iter().any(|package| package.package_type == package_type)
        };
        is_met && (family.scope)(distribution).is_some()
    };
    FAMILIES.iter().copied().filter(needed).map(|family| family.id).collect()
}

/// The release that chooses advisories, of the distribution with this os-release `ID`; `None` for another distribution,
/// or one that does not say.
fn release(distribution: Option<&Distribution>, id: &str) -> Option<String> {
    of_id(distribution, id)?.advisory_release()
}

/// The distribution, if it is the one with this os-release `ID`.
fn of_id<'a>(distribution: Option<&'a Distribution>, id: &str) -> Option<&'a Distribution> {
    distribution.filter(|distribution| distribution.id == id)
}

/// The major version of a release: `9` of `9.2`.
fn major(release: &str) -> &str {
    release.split('.').next().unwrap_or(release)
}

/// The version of a package of RPM without its epoch.
///
/// The name of a source package's file, from which its version is known, has no epoch, and neither have the records of
/// most distributions that name source packages. Within one release the epoch of a source package does not change, so
/// nothing is lost where both sides leave it out. The epoch of the binary package cannot stand in for it: subpackages
/// have epochs of their own (those of Perl).
fn without_epoch(version: &str) -> &str {
    match version.split_once(':') {
        Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => version,
    }
}

#[cfg(test)]
mod tests;
