//! VMware's Photon OS: PHSA records, by package; the release has two numbers.
//! <https://github.com/vmware/photon/wiki/Security-Advisories>

use tidewatch_core::package::{Distribution, PackageType};

use super::{DISTRIBUTION, Family, Names, without_epoch};
use crate::order::rpm;

pub(super) static FAMILY: Family = Family {
    id: "photon",
    ecosystem: "Photon OS",
    package_type: Some(PackageType::Rpm),
    release: |release| Some(of_number(release)),
    scope,
    names: Names::Both,
    version: without_epoch,
    compare: rpm::compare,
    fixes_related: true,
    ..DISTRIBUTION
};

/// `4.0` is `Photon OS:4.0`.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    Some(FAMILY.of_release(&of_number(&super::release(distribution, "photon")?)))
}

/// `4.0` of `4`.
fn of_number(release: &str) -> String {
    if release.contains('.') { release.to_owned() } else { format!("{release}.0") }
}
