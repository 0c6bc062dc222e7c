//! Alpine: the secfixes of its security database, by source package (`origin`); the release is `v` and two numbers.

use tidewatch_core::package::{Distribution, PackageType};

use super::Family;
use crate::order::apk;

pub(super) static FAMILY: Family = Family {
    id: "alpine",
    ecosystem: "Alpine",
    package_type: PackageType::Apk,
    scope,
    subject: super::source_package,
    compare: apk::compare,
    // The security database rates nothing.
    rating: |_, _| None,
};

/// `3.19.1` is `Alpine:v3.19`; an `_alpha` version is the rolling release, `Alpine:edge`.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    let version_id = super::release(distribution, "alpine")?;
    if version_id.contains("_alpha") {
        return Some("Alpine:edge".to_owned());
    }
    let mut numbers = version_id.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some(format!("Alpine:v{major}.{minor}")),
        _ => None,
    }
}
