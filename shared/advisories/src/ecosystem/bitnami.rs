//! Bitnami: BIT records, by component. <https://github.com/bitnami/vulndb>

use tidewatch_core::package::PackageType;

use super::{Family, LANGUAGE};

pub(super) static FAMILY: Family = Family {
    id: "bitnami",
    ecosystem: "Bitnami",
    package_type: Some(PackageType::Bitnami),
    scope: |_| Some(FAMILY.ecosystem.to_owned()),
    compare: super::orders::bitnami,
    ..LANGUAGE
};
