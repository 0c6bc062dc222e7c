//! AlmaLinux: ALSA, ALBA and ALEA records, by binary package, with epochs where they are not 0; the release is the major
//! version. <https://github.com/AlmaLinux/osv-database>
//!
//! The CVEs that an advisory fixes stand in `related`, and its severity is the first word of its summary.

use tidewatch_core::package::{Distribution, PackageType};

use super::{DISTRIBUTION, Family, Names, major};
use crate::order::rpm;
use crate::severity::of_summary;

pub(super) static FAMILY: Family = Family {
    id: "almalinux",
    ecosystem: "AlmaLinux",
    package_type: Some(PackageType::Rpm),
    release: |release| Some(major(release).to_owned()),
    scope,
    names: Names::Binary,
    compare: rpm::compare,
    rating: |record, _| of_summary(record),
    fixes_related: true,
    notices: &["ALBA-", "ALEA-"],
    ..DISTRIBUTION
};

/// `9.4` is `AlmaLinux:9`.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    Some(FAMILY.of_release(&super::release(distribution, "almalinux")?))
}
