//! crates.io, the packages of Rust: RUSTSEC records and GitHub's. <https://rustsec.org>

use tidewatch_core::package::PackageType;

use super::{Family, LANGUAGE};
use crate::order::semver;

pub(super) static FAMILY: Family = Family {
    id: "crates-io",
    ecosystem: "crates.io",
    package_type: Some(PackageType::Cargo),
    scope: |_| Some(FAMILY.ecosystem.to_owned()),
    compare: semver::compare,
    ..LANGUAGE
};
