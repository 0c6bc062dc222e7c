//! Amazon Linux: ALAS, ALAS2 and ALAS2023 advisories, by binary package, with epochs; the release is `2` or `2023`.
//!
//! OSV has none of them: [`crate::updateinfo`] makes records of the distribution's own feed.

use tidewatch_core::package::{Distribution, PackageType};

use super::{DISTRIBUTION, Family, Names};
use crate::order::rpm;
use crate::severity::of_database;

pub(super) static FAMILY: Family = Family {
    id: "amazon",
    ecosystem: "Amazon Linux",
    package_type: Some(PackageType::Rpm),
    scope,
    names: Names::Binary,
    compare: rpm::compare,
    rating: of_database,
    ..DISTRIBUTION
};

/// `2023` is `Amazon Linux:2023`.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    Some(FAMILY.of_release(&super::release(distribution, "amzn")?))
}
