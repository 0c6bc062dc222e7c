//! Red Hat: RHSA, RHBA and RHEA records, by binary package, with epochs. Their releases are CPE names of products.
//! <https://security.access.redhat.com/data/osv/>
//!
//! An image of Red Hat Enterprise Linux 9 has packages of several repositories, `enterprise_linux:9::baseos` and
//! `::appstream` among them; they are one release here, `9`, as no package says of which repository it is. So are the
//! point releases of version 10, and the extended life phase (`rhel_els:7`): what is fixed only there is vulnerable in an
//! image without it. Other products keep their names.

use tidewatch_core::package::{Distribution, PackageType};

use super::{DISTRIBUTION, Family, Names, major};
use crate::order::rpm;
use crate::severity::{of_database, of_summary};

pub(super) static FAMILY: Family = Family {
    id: "red-hat",
    ecosystem: "Red Hat",
    package_type: Some(PackageType::Rpm),
    release: |cpe| Some(of_cpe(cpe)),
    scope,
    names: Names::Binary,
    compare: rpm::compare,
    rating: |record, affected| of_summary(record).or_else(|| of_database(record, affected)),
    notices: &["RHBA-", "RHEA-"],
    ..DISTRIBUTION
};

/// `9.4` is `Red Hat:9`, also of CentOS up to 8, which was built from the same sources. CentOS Stream has versions of its
/// own.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    let distribution = distribution?;
    let is_rebuild = distribution.id == "centos" && !distribution.pretty_name.contains("Stream");
    let release = distribution.advisory_release().filter(|_| distribution.id == "rhel" || is_rebuild)?;
    Some(FAMILY.of_release(&release))
}

/// `9` of `enterprise_linux:9::baseos`.
fn of_cpe(cpe: &str) -> String {
    let mut parts = cpe.split(':');
    match (parts.next(), parts.next()) {
        (Some("enterprise_linux" | "rhel_els"), Some(version)) if !version.is_empty() => {
            major(version).to_owned()
        }
        _ => cpe.to_owned(),
    }
}
