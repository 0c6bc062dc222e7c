//! Which order the versions of each ecosystem of the OSV schema have.
//!
//! Not in the table, and so without an order: Android (versions of the system, beside dates of patch levels), FreeBSD
//! and OSS-Fuzz.

use super::{
    Order, apk, bitnami, conda, cran, dpkg, go, hackage, maven, npm, nuget, packagist, pub_dev, pypi, rpm,
    rubygems, semver,
};

/// Every ecosystem with an order, by OSV's name, and those of other sources.
/// Names: <https://ossf.github.io/osv-schema/#defined-ecosystems>
static ECOSYSTEMS: &[(&str, &Order)] = &[
    ("AlmaLinux", &rpm::ORDER),
    ("Alpaquita", &apk::ORDER),
    ("Alpine", &apk::ORDER),
    ("Amazon Linux", &rpm::ORDER),
    ("Azure Linux", &rpm::ORDER),
    ("BellSoft Hardened Containers", &apk::ORDER),
    ("Bioconductor", &cran::ORDER),
    ("Bitnami", &bitnami::ORDER),
    ("CRAN", &cran::ORDER),
    ("Chainguard", &apk::ORDER),
    ("CleanStart", &apk::ORDER),
    ("ConanCenter", &semver::ORDER),
    ("Conda", &conda::ORDER),
    ("Debian", &dpkg::ORDER),
    ("Echo", &dpkg::ORDER),
    ("GHC", &semver::ORDER),
    ("GitHub Actions", &semver::ORDER),
    ("Go", &go::ORDER),
    ("Hackage", &hackage::ORDER),
    ("Hex", &semver::ORDER),
    ("Julia", &semver::ORDER),
    ("Kubernetes", &semver::ORDER),
    ("Linux", &semver::ORDER),
    ("Mageia", &rpm::ORDER),
    ("Maven", &maven::ORDER),
    ("MinimOS", &apk::ORDER),
    ("NuGet", &nuget::ORDER),
    ("Packagist", &packagist::ORDER),
    ("Photon OS", &rpm::ORDER),
    ("Pub", &pub_dev::ORDER),
    ("PyPI", &pypi::ORDER),
    ("Red Hat", &rpm::ORDER),
    ("Rocky Linux", &rpm::ORDER),
    ("RubyGems", &rubygems::ORDER),
    ("SUSE", &rpm::ORDER),
    ("SwiftURL", &semver::ORDER),
    ("Ubuntu", &dpkg::ORDER),
    ("VSCode", &semver::ORDER),
    ("Wolfi", &apk::ORDER),
    ("crates.io", &semver::ORDER),
    ("npm", &npm::ORDER),
    ("opam", &dpkg::ORDER),
    ("openEuler", &rpm::ORDER),
    ("openSUSE", &rpm::ORDER),
];

/// Ecosystems of packages of others: `TuxCare:Alpine:v3.16`. The order is that of the ecosystem after the first colon.
const OF_OTHERS: [&str; 4] = ["Docker Hardened Images", "Echo", "Root", "TuxCare"];

/// What Echo's and Root's builds of npm packages say lies in the build, so there it counts: `1.2.3+echo.1`.
static REBUILT_NPM: &Order = &pub_dev::ORDER;

/// The order of an ecosystem, with or without a release, in capitals or not.
pub(super) fn order_of(ecosystem: &str) -> Option<&'static Order> {
    let (name, release) = ecosystem.split_once(':').unwrap_or((ecosystem, ""));
    let is_of_others = OF_OTHERS.iter().any(|other| other.eq_ignore_ascii_case(name));
    let inner = || {
        let inner = named(release.split(':').next()?)?;
        Some(if inner.name == npm::ORDER.name { REBUILT_NPM } else { inner })
    };
    is_of_others.then(inner).flatten().or_else(|| named(name))
}

fn named(name: &str) -> Option<&'static Order> {
    ECOSYSTEMS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, order)| *order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(ecosystem: &str) -> Option<&'static str> {
        order_of(ecosystem).map(|order| order.name)
    }

    #[test]
    fn an_ecosystem_has_its_order_with_a_release_and_without_in_capitals_or_not() {
        for (ecosystem, order) in [
            ("Debian", "dpkg"),
            ("Debian:12", "dpkg"),
            ("debian:12", "dpkg"),
            ("Ubuntu:22.04:LTS", "dpkg"),
            ("Ubuntu:Pro:18.04:LTS", "dpkg"),
            ("Alpine:v3.19", "apk"),
            ("Wolfi", "apk"),
            ("Red Hat:enterprise_linux:9::baseos", "rpm"),
            ("SUSE:Linux Enterprise Server 15 SP5", "rpm"),
            ("Amazon Linux:2023", "rpm"),
            ("npm", "npm"),
            ("PYPI", "pypi"),
            ("crates.io", "semver"),
            ("SwiftURL", "semver"),
            ("GitHub Actions", "semver"),
            ("Maven:https://maven.google.com", "maven"),
            ("Packagist:https://packages.drupal.org/8", "packagist"),
            ("Conda", "conda"),
        ] {
            assert_eq!(name_of(ecosystem), Some(order), "{ecosystem}");
        }
    }

    #[test]
    fn packages_of_others_have_the_order_of_those() {
        for (ecosystem, order) in [
            ("TuxCare:Alpine:v3.16", Some("apk")),
            ("Docker Hardened Images:Debian:trixie", Some("dpkg")),
            ("Root:PyPI", Some("pypi")),
            ("Echo", Some("dpkg")),
            ("Echo:13", Some("dpkg")),
            ("Echo:Maven", Some("maven")),
            ("Echo:npm", Some("pub")),
            ("TuxCare", None),
            ("TuxCare:TuxCare:Alpine", None),
            ("Root:unknown", None),
        ] {
            assert_eq!(name_of(ecosystem), order, "{ecosystem}");
        }
    }

    #[test]
    fn an_ecosystem_without_an_order_has_none() {
        for ecosystem in ["", ":12", "OSS-Fuzz", "Android:14", "Debian 12", "Slackware"] {
            assert_eq!(name_of(ecosystem), None, "{ecosystem}");
        }
    }

    #[test]
    fn the_table_lists_every_ecosystem_once_and_in_order() {
        assert!(ECOSYSTEMS.is_sorted_by(|a, b| a.0 < b.0));
        for (name, _) in ECOSYSTEMS {
            let same = ECOSYSTEMS.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
            assert_eq!(same.count(), 1, "{name}");
        }
    }
}
