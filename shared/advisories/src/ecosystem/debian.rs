//! Debian: DSA, DLA and DTSA records and the tracker's own, by source package; the release is the major version.

use tidewatch_core::Severity;
use tidewatch_core::package::{Distribution, PackageType};

use super::{DISTRIBUTION, Family};
use crate::order::dpkg;
use crate::record::{Affected, Record};
use crate::severity::of_word;

pub(super) static FAMILY: Family = Family {
    id: "debian",
    ecosystem: "Debian",
    package_type: Some(PackageType::Deb),
    scope,
    compare: dpkg::compare,
    rating,
    ..DISTRIBUTION
};

/// `12.5` is `Debian:12`; releases before 7 kept their second number: `Debian:6.0`. Testing and unstable have no
/// `VERSION_ID`, and no advisories of their own.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    let release = super::release(distribution, "debian")?;
    let is_release = release.split('.').all(|part| part.parse::<u32>().is_ok());
    is_release.then(|| FAMILY.of_release(&release))
}

/// The urgency that the security tracker gives, such as `unimportant`; `**` marks one that no human has set.
/// Urgencies: <https://security-team.debian.org/security_tracker.html#severity-levels>
fn rating(record: &Record, affected: &Affected) -> Option<Severity> {
    let urgency =
        |specific: &serde_json::Value| of_word(specific.get("urgency")?.as_str()?.trim_end_matches('*'));
    [&affected.ecosystem_specific, &affected.database_specific, &record.database_specific]
        .into_iter()
        .find_map(urgency)
}
