//! `tidewatch advisories diff`: the packages about which two builds say something different.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use tidewatch_advisories::{Index, IndexError, changed_packages};

use super::indexes;
use crate::cli::DiffAdvisories;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{Table, advise, cell, print_document};

/// A package, and what has become of what is said about it.
#[derive(Serialize)]
struct ChangeRow {
    family: String,
    ecosystem: String,
    /// Empty for the ecosystem itself, which is covered by one of the builds only.
    package: String,
    change: &'static str,
}

#[derive(Serialize)]
struct ChangeRows {
    changes: Vec<ChangeRow>,
}

pub(super) fn run(context: &Context, arguments: &DiffAdvisories) -> Result<(), Failure> {
    let changes = changes(&arguments.old, &arguments.new)?;
    if context.is_json() {
        return print_document("advisory-diff", 1, &ChangeRows { changes });
    }
    if changes.is_empty() {
        advise(context.quiet, "they say the same about every package");
        return Ok(());
    }
    let mut table = Table::new(["ECOSYSTEM", "PACKAGE", "CHANGE"]);
    for ChangeRow { ecosystem, package, change, .. } in changes {
        let package = if package.is_empty() { "(all)".to_owned() } else { package };
        table.row([cell(ecosystem), cell(package), cell(change)]);
    }
    table.print();
    Ok(())
}

fn changes(old: &Path, new: &Path) -> Result<Vec<ChangeRow>, Failure> {
    let (old, new) = (indexes::in_folder(old)?, indexes::in_folder(new)?);
    let mut changes = Vec::new();
    for family in old.keys().chain(new.keys().filter(|family| !old.contains_key(*family))) {
        let (before, after) = (old.get(family), new.get(family));
        let packages = match (before, after) {
            (Some(before), Some(after)) => changed_packages(before, after)?,
            (only, None) | (None, only) => {
                only.map(|index| index.packages()).transpose()?.unwrap_or_default()
            }
        };
        for (ecosystem, package) in packages {
            let [had, has] = [before, after].map(|index| knows(index, &ecosystem, &package));
            let change = match (had?, has?) {
                (false, _) => "new",
                (true, false) => "gone",
                (true, true) => "changed",
            };
            changes.push(ChangeRow { family: family.clone(), ecosystem, package, change });
        }
    }
    Ok(changes)
}

/// Whether an index says anything about a package; about an ecosystem, where the name is empty.
fn knows(index: Option<&Arc<Index>>, ecosystem: &str, package: &str) -> Result<bool, IndexError> {
    match index {
        None => Ok(false),
        Some(index) if package.is_empty() => Ok(index.covers(ecosystem)),
        Some(index) => Ok(index.statements(ecosystem, package)?.is_some()),
    }
}
