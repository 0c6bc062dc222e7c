//! CleanStart's images: CLEANSTART records, by package or by the one that it was built with (`origin`). It has no releases.
//! <https://github.com/cleanstart-dev/cleanstart-security-advisories>

use tidewatch_core::package::PackageType;

use super::{DISTRIBUTION, Family, Names};
use crate::order::apk;

pub(super) static FAMILY: Family = Family {
    id: "cleanstart",
    ecosystem: "CleanStart",
    package_type: Some(PackageType::Apk),
    scope: |distribution| {
        (super::of_id(distribution, "cleanstart").is_some()
            || super::of_id(distribution, "clnstrt").is_some())
        .then(|| FAMILY.ecosystem.to_owned())
    },
    names: Names::Both,
    compare: apk::compare,
    ..DISTRIBUTION
};
