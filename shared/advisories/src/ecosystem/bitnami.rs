//! Bitnami: BIT records, by component. <https://github.com/bitnami/vulndb>

use std::borrow::Cow;

use tidewatch_core::package::PackageType;

use super::{Family, LANGUAGE};
use crate::order::bitnami;

pub(super) static FAMILY: Family = Family {
    id: "bitnami",
    ecosystem: "Bitnami",
    package_type: Some(PackageType::Bitnami),
    scope: |_| Some(FAMILY.ecosystem.to_owned()),
    last_affected: with_revision,
    compare: bitnami::compare,
    ..LANGUAGE
};

/// Components of images have revisions, which come after the version without one: what affects `17.2.0` affects `17.2.0-8`.
/// The greatest revision stands for all.
fn with_revision(version: &str) -> Cow<'_, str> {
    if version.contains('-') { Cow::Borrowed(version) } else { Cow::Owned(format!("{version}-{}", u32::MAX)) }
}
