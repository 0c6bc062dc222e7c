//! Echo's images, which are built on Debian: ECHO records, by source package. It has no releases.
//! <https://advisory.echohq.com/osv/all.json>

use tidewatch_core::package::PackageType;

use super::{DISTRIBUTION, Family};
use crate::order::dpkg;

pub(super) static FAMILY: Family = Family {
    id: "echo",
    ecosystem: "Echo",
    package_type: Some(PackageType::Deb),
    // `Echo:PyPI` and its kind are packages of languages.
    release: |_| None,
    scope: |distribution| super::of_id(distribution, "echo").map(|_| FAMILY.ecosystem.to_owned()),
    compare: dpkg::compare,
    ..DISTRIBUTION
};
