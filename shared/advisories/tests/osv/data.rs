//! The data, and the indexes that are built from them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tidewatch_advisories::{Advisory, Build, BuildOptions, Index, IndexSet, build};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");

/// Where the data `name` is; `None`, and a word about it, where it is not.
pub(crate) fn present(name: &str) -> Option<PathBuf> {
    let path = Path::new(DATA).join(name);
    if !path.exists() {
        tidewatch_testkit::skip::skipped(format_args!("{} is not there", path.display()));
        return None;
    }
    Some(path)
}

/// The indexes built from the data, once for all tests; `None`, and a word about it, where there are no data.
pub(crate) fn built() -> Option<&'static (TempDir, Build)> {
    static BUILT: OnceLock<Option<(TempDir, Build)>> = OnceLock::new();
    BUILT.get_or_init(|| present("osv").map(|source| compile(&source))).as_ref()
}

pub(crate) fn compile(source: &Path) -> (TempDir, Build) {
    let folder = TempDir::new().unwrap();
    let options =
        BuildOptions { output: folder.path().to_owned(), now: "2026-11-22T00:00:00Z".parse().unwrap() };
    let build = build(source, &options, &mut |_| {}).unwrap();
    (folder, build)
}

/// All of them, open.
pub(crate) fn indexes() -> Option<IndexSet> {
    let (_, build) = built()?;
    Some(build.families.iter().map(|family| Index::open(&family.path).unwrap()).collect())
}

pub(crate) fn index(family: &str) -> Option<Index> {
    let family = built()?.1.families.iter().find(|built| built.family == family).unwrap();
    Some(Index::open(&family.path).unwrap())
}

/// The records of an ecosystem's archive, of each what is looked at here; read once for all tests.
pub(crate) fn records(ecosystem: &'static str) -> Arc<Vec<Value>> {
    static RECORDS: Mutex<BTreeMap<&str, Arc<Vec<Value>>>> = Mutex::new(BTreeMap::new());
    Arc::clone(RECORDS.lock().unwrap().entry(ecosystem).or_insert_with(|| Arc::new(read(ecosystem))))
}

fn read(ecosystem: &str) -> Vec<Value> {
    let path = Path::new(DATA).join("osv").join(ecosystem).join("all.zip");
    let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let kept = [
        "id",
        "summary",
        "withdrawn",
        "affected",
        "aliases",
        "upstream",
        "modified",
        "published",
        "database_specific",
    ];
    let count = archive.len();
    let record = |number| {
        let mut record: Value = serde_json::from_reader(archive.by_index(number).unwrap()).unwrap();
        record.as_object_mut().unwrap().retain(|field, _| kept.contains(&field.as_str()));
        record
    };
    (0..count).map(record).collect()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Every advisory of the index.
pub(crate) fn advisories(index: &Index) -> Vec<Advisory> {
    let of = |(ecosystem, name): (String, String)| {
        let statements = index.statements(&ecosystem, &name).unwrap().unwrap();
        statements.read().unwrap().map(|statement| statement.unwrap().advisory).collect::<Vec<_>>()
    };
    let numbers: BTreeSet<_> = index.packages().unwrap().into_iter().flat_map(of).collect();
    numbers.into_iter().map(|number| index.advisory(number).unwrap()).collect()
}

/// One line of the recorded answers of the OSV service.
#[derive(Deserialize)]
pub(crate) struct Recorded {
    pub(crate) ecosystem: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) ids: BTreeSet<String>,
}

/// Every recorded answer, with its line; `None`, and a word about it, where they are not there.
pub(crate) fn recorded() -> Option<Vec<(String, Recorded)>> {
    let lines = std::fs::read_to_string(present("osv-api/queries.ndjson")?).unwrap();
    Some(lines.lines().map(|line| (line.to_owned(), serde_json::from_str(line).unwrap())).collect())
}
