//! npm, the packages of JavaScript: GitHub's records, and those of malicious packages. Names have a case.

use tidewatch_core::package::PackageType;

use super::{Family, LANGUAGE};
use crate::order::npm;

pub(super) static FAMILY: Family = Family {
    id: "npm",
    ecosystem: "npm",
    package_type: Some(PackageType::Npm),
    scope: |_| Some(FAMILY.ecosystem.to_owned()),
    compare: npm::compare,
    ..LANGUAGE
};
