//! Compiled indexes to ask: those in force, or those in a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tidewatch_advisories::{Index, IndexInfo};
use tidewatch_assessment::AdvisoryIndexes;
use tidewatch_store::Records;
use tidewatch_store::records::CurrentAdvisories;

use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{Table, cell, number_cell, print_document};

/// Where indexes are.
pub(super) enum Indexes {
    /// In a folder, by family.
    Folder(BTreeMap<String, Arc<Index>>),
    /// Those in force.
    InForce { records: Records, current: Box<CurrentAdvisories>, opened: AdvisoryIndexes },
}

impl Indexes {
    /// Those in `folder`, or those in force.
    pub(super) async fn open(context: &Context, folder: Option<&Path>) -> Result<Self, Failure> {
        if let Some(folder) = folder {
            return Ok(Self::Folder(in_folder(folder)?));
        }
        let instance = context.existing_instance().await?;
        let current = Box::new(instance.records.current_advisories().await?);
        let opened = AdvisoryIndexes::new(instance.cache());
        Ok(Self::InForce { records: instance.records.clone(), current, opened })
    }

    /// The index of a family; `None` where there is none.
    pub(super) async fn of(&self, family: &'static str) -> Result<Option<Arc<Index>>, Failure> {
        match self {
            Self::Folder(indexes) => Ok(indexes.get(family).cloned()),
            Self::InForce { records, current, opened } => {
                Ok(opened.open_family(records, family, current).await?)
            }
        }
    }
}

/// The indexes at `path`: of a folder all that it holds, by family.
pub(super) fn in_folder(path: &Path) -> Result<BTreeMap<String, Arc<Index>>, Failure> {
    let mut indexes = BTreeMap::new();
    for file in files(path)? {
        let index = Index::open(&file)?;
        let family = index.info().family.clone();
        if indexes.insert(family.clone(), Arc::new(index)).is_some() {
            let twice = anyhow::anyhow!("{} holds two indexes of {family}", path.display());
            return Err(Failure::wrong_use(twice).hint("remove the older one, or give the file"));
        }
    }
    if indexes.is_empty() {
        let nothing = anyhow::anyhow!("{} holds no index", path.display());
        return Err(Failure::wrong_use(nothing)
            .hint("compile one: tidewatch advisories build --from DIR --output DIR"));
    }
    Ok(indexes)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let list =
        || std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    let files = list().with_context(|| format!("failed to read {}", path.display()));
    let mut files = files.map_err(Failure::wrong_use)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "redb"));
    files.sort();
    Ok(files)
}

#[derive(serde::Serialize)]
struct InfoRows<'a> {
    indexes: Vec<&'a IndexInfo>,
}

/// Prints what the indexes in `folder` hold.
pub(super) fn info(context: &Context, folder: &Path) -> Result<(), Failure> {
    let indexes = in_folder(folder)?;
    if context.is_json() {
        let rows = InfoRows { indexes: indexes.values().map(|index| index.info()).collect() };
        return print_document("advisory-indexes", 1, &rows);
    }
    let mut table =
        Table::new(["FAMILY", "RECORDS", "ADVISORIES", "WITHDRAWN", "RELEASES", "PACKAGES", "NEWEST"]);
    for index in indexes.values() {
        let info = index.info();
        let packages = info.releases.values().sum::<usize>();
        let counts = [info.records, info.advisories, info.withdrawn, info.releases.len(), packages];
        let newest = info.newest_modified.map_or_else(String::new, |newest| newest.to_string());
        let mut row = vec![cell(&info.family)];
        row.extend(counts.map(number_cell));
        row.push(cell(newest));
        table.row(row);
    }
    table.print();
    Ok(())
}
