//! openEuler: OESA records, by source package, without epochs; the release is `22.03-LTS-SP1`.
//! <https://repo.openeuler.org/security/data/osv/all.json>

use tidewatch_core::package::{Distribution, PackageType};

use super::{DISTRIBUTION, Family, without_epoch};
use crate::order::rpm;

pub(super) static FAMILY: Family = Family {
    id: "openeuler",
    ecosystem: "openEuler",
    package_type: Some(PackageType::Rpm),
    scope,
    version: without_epoch,
    compare: rpm::compare,
    rating: crate::severity::of_database,
    fixes_related: true,
    ..DISTRIBUTION
};

/// `openEuler:22.03-LTS-SP1` of the release `22.03`, whose service pack stands in its name for people alone:
/// `openEuler 22.03 (LTS-SP1)`.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    let distribution = super::of_id(distribution, "openeuler")?;
    let release = distribution.advisory_release()?;
    let kind = distribution.pretty_name.split_once('(').and_then(|(_, kind)| kind.split_once(')'));
    let kind = kind.map(|(kind, _)| kind.trim().replace(' ', "-")).filter(|kind| !kind.is_empty());
    Some(FAMILY.of_release(&kind.map_or_else(|| release.clone(), |kind| format!("{release}-{kind}"))))
}
