//! BellSoft's Alpaquita Linux: BELL-CVE records, by source package; the release is a year, `23`, or `stream`.
//! <https://github.com/bell-sw/osv-database>

use tidewatch_core::package::{Distribution, PackageType};

use super::{DISTRIBUTION, Family};
use crate::order::apk;

pub(super) static FAMILY: Family = Family {
    id: "alpaquita",
    ecosystem: "Alpaquita",
    package_type: Some(PackageType::Apk),
    scope,
    compare: apk::compare,
    ..DISTRIBUTION
};

/// `23` is `Alpaquita:23`.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    Some(FAMILY.of_release(&super::release(distribution, "alpaquita")?))
}
