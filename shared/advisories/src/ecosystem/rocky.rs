//! Rocky Linux: RLSA and RXSA records, by source package, with epochs; the release is the major version.
//! <https://errata.rockylinux.org>

use tidewatch_core::package::{Distribution, PackageType};

use super::{DISTRIBUTION, Family, major, without_epoch};
use crate::order::rpm;
use crate::severity::of_summary;

pub(super) static FAMILY: Family = Family {
    id: "rocky",
    ecosystem: "Rocky Linux",
    package_type: Some(PackageType::Rpm),
    release: |release| Some(major(release).to_owned()),
    scope,
    version: without_epoch,
    compare: rpm::compare,
    rating: |record, _| of_summary(record),
    fixes_related: true,
    ..DISTRIBUTION
};

/// `9.3` is `Rocky Linux:9`.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    Some(FAMILY.of_release(&super::release(distribution, "rocky")?))
}
