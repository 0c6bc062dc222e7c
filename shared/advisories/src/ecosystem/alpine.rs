//! Alpine: the secfixes of its security database, by source package (`origin`); the release is `v` and two numbers.

use tidewatch_core::package::{Distribution, PackageType};

use super::{DISTRIBUTION, Family};
use crate::order::apk;

pub(super) static FAMILY: Family = Family {
    id: "alpine",
    ecosystem: "Alpine",
    package_type: Some(PackageType::Apk),
    release: |release| Some(of_number(release)),
    scope,
    compare: apk::compare,
    ..DISTRIBUTION
};

/// `3.19.1` is `Alpine:v3.19`; a snapshot of the rolling release is `Alpine:edge`.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    let release = super::release(distribution, "alpine")?;
    let is_release =
        release.split('.').count() == 2 && release.split('.').all(|part| part.parse::<u32>().is_ok());
    (is_release || release == "edge").then(|| FAMILY.of_release(&of_number(&release)))
}

/// `v3.19` of `3.19`.
fn of_number(release: &str) -> String {
    if release.starts_with(|c: char| c.is_ascii_digit()) { format!("v{release}") } else { release.to_owned() }
}
