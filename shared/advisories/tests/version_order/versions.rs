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

/// The versions of a record.
#[derive(Deserialize)]
struct Record {
    affected: Option<Vec<Affected>>,
}

#[derive(Deserialize)]
struct Affected {
    versions: Option<Vec<String>>,
    ranges: Option<Vec<Range>>,
}

#[derive(Deserialize)]
struct Range {
    #[serde(rename = "type")]
    kind: String,
    events: Vec<BTreeMap<String, String>>,
}

impl Affected {
    fn into_versions(self) -> impl Iterator<Item = String> {
        let ranges = self.ranges.into_iter().flatten().filter(|range| range.kind != "GIT");
        let bounds = ranges.flat_map(|range| range.events).flat_map(BTreeMap::into_values);
        self.versions.into_iter().flatten().chain(bounds)
    }
}

/// Every version that the records of an ecosystem name.
pub(crate) fn of_records(ecosystem: &str) -> BTreeSet<String> {
    let Some(path) = data(Path::new("osv").join(ecosystem).join("all.zip")) else { return BTreeSet::new() };
    let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut text = Vec::new();
    let mut versions = BTreeSet::new();
    for place in 0..archive.len() {
        text.clear();
        archive.by_index(place).unwrap().read_to_end(&mut text).unwrap();
        let record: Record = serde_json::from_slice(&text).unwrap();
        versions.extend(record.affected.into_iter().flatten().flat_map(Affected::into_versions));
    }
    versions
}
