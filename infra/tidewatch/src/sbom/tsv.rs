//! Lines `TYPE<TAB>NAME<TAB>VERSION`, sorted by their bytes, each once: for `diff`, `comm` and `join`.

use std::collections::BTreeSet;

use super::Sbom;
use crate::output::visible;

pub(super) fn text(sbom: &Sbom<'_>) -> String {
    let lines: BTreeSet<String> = sbom
        .listed()
        .map(|package| {
            let (name, version) = (visible(&package.name), visible(&package.version));
            format!("{}\t{name}\t{version}\n", package.package_type.as_str())
        })
        .collect();
    lines.into_iter().collect()
}
