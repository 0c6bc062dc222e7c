//! Azure Linux, and CBL-Mariner, as it was called before: AZL records, by source package; the release is the major version.
//! <https://github.com/microsoft/AzureLinuxVulnerabilityData>

use tidewatch_core::package::{Distribution, PackageType};

use super::{DISTRIBUTION, Family, major, without_epoch};
use crate::order::rpm;

pub(super) static FAMILY: Family = Family {
    id: "azure-linux",
    ecosystem: "Azure Linux",
    package_type: Some(PackageType::Rpm),
    release: |release| Some(major(release).to_owned()),
    scope,
    version: |version| without_tag(without_epoch(version)),
    compare: rpm::compare,
    ..DISTRIBUTION
};

/// `3.0` is `Azure Linux:3`, CBL-Mariner `2.0` is `Azure Linux:2`.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    let release =
        super::release(distribution, "azurelinux").or_else(|| super::release(distribution, "mariner"));
    Some(FAMILY.of_release(&release?))
}

/// A version without the tag of its release, `.azl3` or `.cm2`: the records have none, and what they call the last affected
/// version would be older than the same version as it is installed.
fn without_tag(version: &str) -> &str {
    let tagged = version.rsplit_once('.').filter(|(_, tag)| {
        ["azl", "cm"].into_iter().any(|name| {
            tag.strip_prefix(name)
                .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        })
    });
    tagged.map_or(version, |(version, _)| version)
}
