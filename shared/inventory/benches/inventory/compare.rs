//! Compares our inventories with those of Syft, package by package, and prints a page in Markdown.
//!
//! Two packages are the same when purl type, name and version are. What Syft guesses from the bytes or names of programs
//! has no such type and is counted apart, and so are the packages of languages that belong to a package of the
//! distribution: Syft lists them, and we count them once, as that package.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tidewatch_core::package::PackageType;

use crate::layout::{images, read};

/// A name and a version.
type Named = (String, String);

/// Packages by their purl types.
type Packages = BTreeMap<String, BTreeSet<Named>>;

/// What the two say about the packages of one type.
#[derive(Default)]
struct Difference {
    both: BTreeSet<Named>,
    only_ours: BTreeSet<Named>,
    only_syft: BTreeSet<Named>,
    /// Syft lists them, and we count them as packages of the distribution.
    owned: BTreeSet<Named>,
}

/// Compares every image of the layouts `paths`; `syft` is its program.
pub(crate) fn run(syft: &Path, paths: &[PathBuf]) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let mut totals: BTreeMap<String, [usize; 4]> = BTreeMap::new();
    let mut pages = String::new();
    for path in paths {
        for image in
            images(path, scratch.path()).with_context(|| format!("failed to read {}", path.display()))?
        {
            eprintln!("comparing {}", image.name);
            let inventory = serde_json::to_value(read(&image.folder)?)?;
            let (theirs, guesses) = packages_of_syft(syft, &image.folder)?;
            let differences = differences(&ours(&inventory["packages"]), &ours(&inventory["owned"]), &theirs);
            for (kind, difference) in &differences {
                let total = totals.entry(kind.clone()).or_default();
                total.iter_mut().zip(difference.counts()).for_each(|(total, count)| *total += count);
            }
            pages += &page(&image.name, &differences, &guesses, &inventory["problems"]);
        }
    }
    println!("# Compared with Syft\n\n{}\n{pages}", table(totals));
    Ok(())
}

impl Difference {
    fn counts(&self) -> [usize; 4] {
        [&self.both, &self.only_ours, &self.only_syft, &self.owned].map(BTreeSet::len)
    }
}

fn differences(ours: &Packages, owned: &Packages, theirs: &Packages) -> BTreeMap<String, Difference> {
    let mut differences: BTreeMap<String, Difference> = BTreeMap::new();
    for (kind, packages) in ours {
        let difference = differences.entry(kind.clone()).or_default();
        for package in packages {
            let both = theirs.get(kind).is_some_and(|theirs| theirs.contains(package));
            let place = if both { &mut difference.both } else { &mut difference.only_ours };
            place.insert(package.clone());
        }
    }
    for (kind, packages) in theirs {
        let difference = differences.entry(kind.clone()).or_default();
        for package in packages.difference(&difference.both.clone()) {
            let is_owned = owned.get(kind).is_some_and(|owned| owned.contains(package));
            let place = if is_owned { &mut difference.owned } else { &mut difference.only_syft };
            place.insert(package.clone());
        }
    }
    differences
}

/// Our packages, from the JSON of an inventory.
fn ours(packages: &Value) -> Packages {
    let mut found = Packages::new();
    for package in packages.as_array().into_iter().flatten() {
        let text = |field: &str| package[field].as_str().unwrap_or_default().to_owned();
        found.entry(text("type")).or_default().insert((text("name"), text("version")));
    }
    found
}

/// Syft's packages, and what it guesses from the bytes or names of programs.
fn packages_of_syft(syft: &Path, folder: &Path) -> anyhow::Result<(Packages, BTreeSet<Named>)> {
    let output = Command::new(syft)
        .args(["scan", "--quiet", "--output", "json"])
        .arg(format!("oci-dir:{}", folder.display()))
        .env("SYFT_CHECK_FOR_APP_UPDATE", "false")
        .output()?;
    ensure!(output.status.success(), "Syft has failed: {}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout)?;
    let (mut packages, mut guesses) = (Packages::new(), BTreeSet::new());
    for artifact in document["artifacts"].as_array().context("Syft lists no artifacts")? {
        let text = |field: &str| artifact[field].as_str().unwrap_or_default();
        let (kind, name) = kind_and_name(text("purl"), text("name"));
        let package = (name, text("version").to_owned());
        let known = PackageType::ALL.iter().any(|known| known.as_str() == kind);
        if known && text("type") != "binary" {
            packages.entry(kind).or_default().insert(package);
        } else {
            guesses.insert((format!("{kind}:{}", package.0), package.1));
        }
    }
    Ok((packages, guesses))
}

/// The type of a purl, and the name as the tools of the type write it: `name` but for what Syft writes otherwise.
fn kind_and_name(purl: &str, name: &str) -> (String, String) {
    let Some((kind, rest)) = purl.strip_prefix("pkg:").and_then(|purl| purl.split_once('/')) else {
        return (String::new(), name.to_owned());
    };
    let path = rest.split(['@', '?', '#']).next().unwrap_or_default();
    let name = match (kind, path.rsplit_once('/')) {
        ("maven", Some((group, artifact))) => format!("{group}:{artifact}").replace("%2B", "+"),
        ("pypi", _) => normalised(name),
        _ => name.to_owned(),
    };
    (kind.to_owned(), name)
}

/// The name of a Python package:
/// <https://packaging.python.org/en/latest/specifications/name-normalization/>.
fn normalised(name: &str) -> String {
    let parts: Vec<&str> = name.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect();
    parts.join("-").to_ascii_lowercase()
}

fn page(
    image: &str,
    differences: &BTreeMap<String, Difference>,
    guesses: &BTreeSet<Named>,
    problems: &Value,
) -> String {
    let counts = differences.iter().map(|(kind, difference)| (kind.clone(), difference.counts()));
    let mut page = format!("\n## {image}\n\n{}", table(counts));
    for (kind, difference) in differences {
        page += &list(&format!("{kind}, only tidewatch"), &difference.only_ours);
        page += &list(&format!("{kind}, only Syft"), &difference.only_syft);
        page += &list(&format!("{kind}, of a package of the distribution"), &difference.owned);
    }
    page += &list("Guessed by Syft from programs", guesses);
    let problems: BTreeSet<Named> = problems
        .as_array()
        .into_iter()
        .flatten()
        .map(|problem| (problem.to_string(), String::new()))
        .collect();
    page + &list("Problems of tidewatch", &problems)
}

fn table(counts: impl IntoIterator<Item = (String, [usize; 4])>) -> String {
    let head = "| type | both | only tidewatch | only Syft | of a package of the distribution | of Syft's we have |\n\
                |---|---:|---:|---:|---:|---:|\n";
    let rows = counts.into_iter().map(|(kind, [both, only_ours, only_syft, owned])| {
        let all = both + owned + only_syft;
        // In tenths of a per cent, rounded down: 100 % is all of them.
        let share = ((both + owned) * 1000).checked_div(all);
        let share = share.map_or("–".to_owned(), |share| format!("{}.{} %", share / 10, share % 10));
        format!("| {kind} | {both} | {only_ours} | {only_syft} | {owned} | {share} |\n")
    });
    rows.fold(head.to_owned(), |table, row| table + &row)
}

fn list(title: &str, packages: &BTreeSet<Named>) -> String {
    if packages.is_empty() {
        return String::new();
    }
    let names: Vec<String> =
        packages.iter().map(|(name, version)| format!("{name} {version}").trim().to_owned()).collect();
    format!("\n{title} ({}): {}\n", packages.len(), names.join(", "))
}
