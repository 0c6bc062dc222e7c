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

/// `3.19.1` is `Alpine:v3.19`; a snapshot of the rolling release is `Alpine:edge`.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    let release = super::release(distribution, "alpine")?;
    if release == "edge" {
        return Some("Alpine:edge".to_owned());
    }
    let is_release =
        release.split('.').count() == 2 && release.split('.').all(|part| part.parse::<u32>().is_ok());
    is_release.then(|| format!("Alpine:v{release}"))
}
