//! Maven, the packages of Java: GitHub's records, by `group:artifact`.

use tidewatch_core::package::PackageType;

use super::{Family, LANGUAGE};
use crate::order::maven;

pub(super) static FAMILY: Family = Family {
    id: "maven",
    ecosystem: "Maven",
    package_type: Some(PackageType::Maven),
    scope: |_| Some(FAMILY.ecosystem.to_owned()),
    compare: maven::compare,
    ..LANGUAGE
};
