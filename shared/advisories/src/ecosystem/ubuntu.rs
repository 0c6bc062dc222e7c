//! Ubuntu: UBUNTU-CVE, USN and LSN records, by source package; the release has two numbers.
//! <https://github.com/canonical/ubuntu-security-notices>
//!
//! What is fixed for subscribers of Ubuntu Pro stands under a release of its own, `Pro:18.04`. Once a release is out of its
//! public support a record names the Pro release alone, and lists there the versions of both: an image without Pro is
//! vulnerable to what only Pro fixes. So packages are looked for in both. Where a record speaks of both, the one that the
//! package comes from decides: Pro for versions with `esm`, its builds for FIPS for those with `fips`, else the public one.

use tidewatch_core::Severity;
use tidewatch_core::package::{Distribution, Package, PackageType};

use super::{DISTRIBUTION, Family};
use crate::order::dpkg;
use crate::record::{Affected, Record};
use crate::severity::of_word;

pub(super) static FAMILY: Family = Family {
    id: "ubuntu",
    ecosystem: "Ubuntu",
    package_type: Some(PackageType::Deb),
    release: |release| Some(without_support(release)),
    scope,
    ecosystems,
    asked,
    compare: dpkg::compare,
    rating,
    ..DISTRIBUTION
};

/// The builds for FIPS, the one with the newest fixes first.
const FIPS: [&str; 3] = ["FIPS-updates", "FIPS-preview", "FIPS"];

/// `22.04` is `Ubuntu:22.04`.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    Some(FAMILY.of_release(&super::release(distribution, "ubuntu")?))
}

/// `Pro:22.04` of `Pro:22.04:LTS`: whether a release has long support is no part of its name in images.
fn without_support(release: &str) -> String {
    release.split(':').filter(|part| *part != "LTS").collect::<Vec<_>>().join(":")
}

/// The service knows every record of `Ubuntu:Pro:22.04:LTS` as one of `Ubuntu:22.04`, too, but not of `Ubuntu:22.04:LTS`.
fn asked(ecosystem: &str, canonical: &str) -> Vec<String> {
    let public =
        canonical.strip_prefix("Ubuntu:").filter(|release| ecosystem == canonical && !release.contains(':'));
    std::iter::once(canonical.to_owned())
        .chain(public.map(|release| format!("Ubuntu:Pro:{release}")))
        .collect()
}

fn ecosystems(scope: &str, package: &Package) -> Vec<String> {
    let release = scope.strip_prefix("Ubuntu:").unwrap_or_default();
    let version = package.source_version();
    let (public, pro) = (scope.to_owned(), format!("Ubuntu:Pro:{release}"));
    let is_fips = version.contains("fips") || version.contains("Fips");
    if is_fips {
        let fips = FIPS.iter().map(|kind| format!("Ubuntu:Pro:{kind}:{release}"));
        fips.chain([pro, public]).collect()
    } else if version.contains("esm") {
        vec![pro, public]
    } else {
        vec![public, pro]
    }
}

/// The priority that Ubuntu's security team gives, of the package where it differs from that of the vulnerability.
/// Priorities: <https://ubuntu.com/security/cves/about#priority>
fn rating(record: &Record, affected: &Affected) -> Option<Severity> {
    let specific =
        affected.ecosystem_specific.get("ubuntu_priority").and_then(|word| of_word(word.as_str()?));
    let scores = affected.severity.iter().chain(&record.severity);
    specific.or_else(|| scores.filter(|score| score.kind == "Ubuntu").find_map(|score| of_word(&score.score)))
}
