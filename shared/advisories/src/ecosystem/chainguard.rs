//! Chainguard's images: CGA records, by package or by the one that it was built with (`origin`). It has no releases.
//! <https://packages.cgr.dev/chainguard/osv/all.json>

use tidewatch_core::package::PackageType;

use super::{DISTRIBUTION, Family, Names};
use crate::order::apk;

pub(super) static FAMILY: Family = Family {
    id: "chainguard",
    ecosystem: "Chainguard",
    package_type: Some(PackageType::Apk),
    scope: |distribution| {
        (super::of_id(distribution, "chainguard").is_some()).then(|| FAMILY.ecosystem.to_owned())
    },
    names: Names::Both,
    compare: apk::compare,
    ..DISTRIBUTION
};
