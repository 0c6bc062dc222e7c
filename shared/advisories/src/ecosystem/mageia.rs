//! Mageia: MGASA and MGAA records, by source package; the release is a number.
//! <https://advisories.mageia.org>

use tidewatch_core::package::{Distribution, PackageType};

use super::{DISTRIBUTION, Family, without_epoch};
use crate::order::rpm;

pub(super) static FAMILY: Family = Family {
    id: "mageia",
    ecosystem: "Mageia",
    package_type: Some(PackageType::Rpm),
    scope,
    version: without_epoch,
    compare: rpm::compare,
    fixes_related: true,
    notices: &["MGAA-"],
    ..DISTRIBUTION
};

/// `9` is `Mageia:9`.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    Some(FAMILY.of_release(&super::release(distribution, "mageia")?))
}
