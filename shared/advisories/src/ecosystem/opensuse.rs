//! openSUSE: openSUSE-SU and SUSE-SU records, by source package, without epochs; the release is `Leap 15.5` or
//! `Tumbleweed`. <https://ftp.suse.com/pub/projects/security/osv/>

use tidewatch_core::package::{Distribution, PackageType};

use super::{DISTRIBUTION, Family, without_epoch};
use crate::order::rpm;

pub(super) static FAMILY: Family = Family {
    id: "opensuse",
    ecosystem: "openSUSE",
    package_type: Some(PackageType::Rpm),
    // What is not free is in a product of its own.
    release: |product| Some(product.strip_suffix(" NonFree").unwrap_or(product).to_owned()),
    scope,
    version: without_epoch,
    compare: rpm::compare,
    fixes_related: true,
    notices: &["SUSE-FU-", "SUSE-OU-", "SUSE-RU-", "openSUSE-FU-", "openSUSE-OU-", "openSUSE-RU-"],
    ..DISTRIBUTION
};

/// `openSUSE:Leap 15.5`, `openSUSE:Leap Micro 5.5` and `openSUSE:Tumbleweed`, of which MicroOS is a part.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    let distribution = distribution?;
    let numbered = |name: &str| Some(format!("{name} {}", distribution.advisory_release()?));
    let release = match distribution.id.as_str() {
        "opensuse" | "opensuse-leap" => numbered("Leap")?,
        "opensuse-leap-micro" => numbered("Leap Micro")?,
        "opensuse-microos" | "opensuse-tumbleweed" => "Tumbleweed".to_owned(),
        _ => return None,
    };
    Some(FAMILY.of_release(&release))
}
