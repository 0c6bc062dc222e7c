//! SUSE Linux Enterprise: SUSE-SU records, by source package, without epochs. Their releases are names of products.
//! <https://ftp.suse.com/pub/projects/security/osv/>
//!
//! The packages of one image come from several products, such as `Linux Enterprise Module for Basesystem 15 SP5` and
//! `Linux Enterprise Server 15 SP5-LTSS`, and none says from which: every product of one service pack is one release
//! here, `15 SP5`. SUSE Linux Micro is apart: `Micro 5.5`. What has no service pack keeps its name.

use tidewatch_core::package::{Distribution, PackageType};

use super::{DISTRIBUTION, Family, without_epoch};
use crate::order::rpm;

pub(super) static FAMILY: Family = Family {
    id: "suse",
    ecosystem: "SUSE",
    package_type: Some(PackageType::Rpm),
    release: |product| Some(of_product(product)),
    scope,
    ecosystems: |scope, _| {
        // The modules of version 12 have no service packs: they are for all of them.
        let base =
            scope.strip_suffix(|c: char| c.is_ascii_digit()).and_then(|scope| scope.strip_suffix("12 SP"));
        std::iter::once(scope.to_owned()).chain(base.map(|base| format!("{base}12"))).collect()
    },
    version: without_epoch,
    compare: rpm::compare,
    fixes_related: true,
    notices: &["SUSE-FU-", "SUSE-OU-", "SUSE-RU-"],
    ..DISTRIBUTION
};

/// `15.5` is `SUSE:15 SP5`, `16.0` is `SUSE:16.0`, and that of Micro `SUSE:Micro 5.5`.
fn scope(distribution: Option<&Distribution>) -> Option<String> {
    let distribution = distribution?;
    let release = distribution.advisory_release()?;
    match distribution.id.as_str() {
        "sle_hpc" | "sled" | "sles" | "sles_sap" => Some(FAMILY.of_release(&release)),
        "sl-micro" | "sle-micro" | "suse-microos" => Some(FAMILY.of_release(&format!("Micro {release}"))),
        _ => None,
    }
}

/// The release of a product: `15 SP5` of `Linux Enterprise Server for SAP Applications 15 SP5`.
fn of_product(product: &str) -> String {
    let is_number = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_pack = |word: &str| {
        word.strip_prefix("SP")
            .is_some_and(|pack| !pack.is_empty() && pack.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_linux = ["Linux ", "Real Time ", "Package Hub "].iter().any(|name| product.starts_with(name));
    // `15 SP5-LTSS` is two words and a kind of support.
    let words: Vec<_> = product.split([' ', '-']).filter(|word| !word.is_empty()).collect();
    let Some(position) = words.iter().rposition(is_number).filter(|_| is_linux) else {
        return product.to_owned();
    };
    let number = words[position];
    match words.get(position + 1) {
        _ if words.contains(&"Micro") => format!("Micro {number}"),
        Some(pack) if is_pack(pack) => format!("{number} {pack}"),
        _ => number.to_owned(),
    }
}
