//! Real versions: those of the tables, and those that the records of OSV name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::tables::{Comparison, lines};

/// A file or folder of the shared data; `None`, and a word about it, where it is not there.
pub(crate) fn data(name: impl AsRef<Path>) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(name);
    if !path.exists() {
        tidewatch_testkit::skip::skipped(format_args!("{} is not there", path.display()));
        return None;
    }
    Some(path)
}

/// Every version in these tables.
pub(crate) fn of_tables(files: &[&str]) -> BTreeSet<String> {
    let lines = files.iter().filter_map(|file| lines(file)).flatten();
    lines
        .filter_map(|line| Comparison::of(&line).map(|line| [line.a, line.b].map(str::to_owned)))
        .flatten()
        .collect()
}

/// What a record says of versions.
#[derive(Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    affected: Option<Vec<Affected>>,
}

#[derive(Deserialize)]
pub(crate) struct Affected {
    versions: Option<Vec<String>>,
    ranges: Option<Vec<Range>>,
}

#[derive(Deserialize)]
struct Range {
    #[serde(rename = "type")]
    kind: String,
    events: Vec<BTreeMap<String, String>>,
}

impl Record {
    pub(crate) fn affected(&self) -> impl Iterator<Item = &Affected> {
        self.affected.iter().flatten()
    }
}

impl Affected {
    /// The versions that it lists.
    pub(crate) fn versions(&self) -> impl Iterator<Item = &str> {
        self.versions.iter().flatten().map(String::as_str)
    }

    /// The events of each of its ranges of versions: `introduced` and the like, with the version.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Vec<(&str, &str)>> {
        let ranges = self.ranges.iter().flatten().filter(|range| range.kind != "GIT");
        ranges.map(|range| {
            range.events.iter().flatten().map(|(kind, at)| (kind.as_str(), at.as_str())).collect()
        })
    }
}

/// Every record of an ecosystem.
pub(crate) fn records(ecosystem: &str) -> Vec<Record> {
    let Some(path) = data(Path::new("osv").join(ecosystem).join("all.zip")) else { return Vec::new() };
    let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let count = archive.len();
    let mut text = Vec::new();
    let mut read = |place| {
        text.clear();
        archive.by_index(place).unwrap().read_to_end(&mut text).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    (0..count).map(&mut read).collect()
}

/// Every version that the records of an ecosystem name.
pub(crate) fn of_records(ecosystem: &str) -> BTreeSet<String> {
    let mut versions = BTreeSet::new();
    for record in records(ecosystem) {
        for affected in record.affected() {
            versions.extend(affected.versions().map(str::to_owned));
            versions.extend(affected.ranges().flatten().map(|(_, version)| version.to_owned()));
        }
    }
    versions
}
