//! A table for people, with a line about the whole.

use std::collections::BTreeMap;

use comfy_table::Cell;
use tidewatch_core::package::{Location, Package};

use super::{Layout, Sbom};
use crate::output::{Table, cell, visible};

const TITLES: [&str; 7] = ["TYPE", "NAME", "VERSION", "ARCH", "SOURCE", "LICENCE", "FOUND IN"];

/// How many of the columns are shown unless it is wide.
const NARROW: usize = 3;

pub(super) fn text(sbom: &Sbom<'_>, layout: Layout) -> String {
    let shown = if layout.wide { TITLES.len() } else { NARROW };
    let mut table = Table::laid_out(TITLES.get(..shown).unwrap_or(&TITLES), layout.terminal);
    let mut rows: Vec<&Package> = sbom.listed().collect();
    rows.sort();
    let is_empty = rows.is_empty();
    for package in rows {
        table.row(cells(package).into_iter().take(shown));
    }
    let summary = visible(&summary(sbom)).into_owned();
    if is_empty { summary + "\n" } else { format!("{}\n{summary}\n", table.text()) }
}

fn cells(package: &Package) -> [Cell; 7] {
    let source = package.source.as_ref().map(|source| match &source.version {
        version if *version == package.version => source.name.clone(),
        version => format!("{} {version}", source.name),
    });
    [
        cell(package.package_type.as_str()),
        cell(&package.name),
        cell(&package.version),
        cell(package.architecture.as_deref().unwrap_or_default()),
        cell(source.unwrap_or_default()),
        cell(package.license.as_deref().unwrap_or_default()),
        cell(place(&package.locations)),
    ]
}

/// The first place, and how many more there are.
fn place(locations: &[Location]) -> String {
    match locations {
        [] => String::new(),
        [only] => only.path.clone(),
        [first, others @ ..] => format!("{} (+{})", first.path, others.len()),
    }
}

/// `Debian GNU/Linux 12 (bookworm): 88 packages (deb 85, pypi 3), 1 problem`.
fn summary(sbom: &Sbom<'_>) -> String {
    let inventory = &sbom.image.inventory;
    let distribution = inventory.distribution.as_ref().map_or_else(
        || "no distribution".to_owned(),
        |distribution| match (distribution.pretty_name.as_str(), &distribution.version_id) {
            ("", Some(version)) => format!("{} {version}", distribution.id),
            ("", None) => distribution.id.clone(),
            (name, _) => name.to_owned(),
        },
    );
    let mut types: BTreeMap<&str, usize> = BTreeMap::new();
    for package in &inventory.packages {
        *types.entry(package.package_type.as_str()).or_default() += 1;
    }
    let types: Vec<String> = types.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let types = if types.is_empty() { String::new() } else { format!(" ({})", types.join(", ")) };
    let owned = match inventory.owned.len() {
        0 => String::new(),
        count => format!(", {count} more within packages of the distribution"),
    };
    let problems = inventory.problems.len();
    format!(
        "{distribution}: {}{types}{owned}, {}",
        counted(inventory.packages.len(), "package"),
        counted(problems, "problem")
    )
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
