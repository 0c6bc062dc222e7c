//! Bitnami: BIT records, by component. <https://github.com/bitnami/vulndb>

use tidewatch_core::package::PackageType;

use super::{Family, LANGUAGE};
use crate::order::bitnami;

pub(super) static FAMILY: Family = Family {
    id: "bitnami",
    ecosystem: "Bitnami",
    package_type: Some(PackageType::Bitnami),
    scope: |_| Some(FAMILY.ecosystem.to_owned()),
    compare: bitnami::compare,
    ..LANGUAGE
};
