//! Writes OSV archives that hold each record several times: each clone under ids and package names of its own.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// Writes each archive `<Ecosystem>/all.zip` of `source` into `target`, with every record `clones` times.
pub(crate) fn write(source: &Path, clones: usize, target: &Path) -> anyhow::Result<()> {
    for folder in fs::read_dir(source)? {
        let folder = folder?.path();
        let archive = folder.join("all.zip");
        if archive.is_file() {
            let target = target.join(folder.file_name().context("a folder has no name")?);
            fs::create_dir(&target)?;
            clone(&archive, clones, &target.join("all.zip"))?;
        }
    }
    Ok(())
}

fn clone(source: &Path, clones: usize, target: &Path) -> anyhow::Result<()> {
    let mut source = ZipArchive::new(File::open(source)?)?;
    let mut target = ZipWriter::new(File::create(target)?);
    let mut json = String::new();
    for number in 0..source.len() {
        json.clear();
        source.by_index(number)?.read_to_string(&mut json)?;
        let record: Value = serde_json::from_str(&json)?;
        for clone in 0..clones {
            let record = renamed(record.clone(), clone);
            let name = format!("{}.json", record["id"].as_str().context("a record has no id")?);
            target.start_file(name, SimpleFileOptions::default())?;
            target.write_all(record.to_string().as_bytes())?;
        }
    }
    target.finish()?;
    Ok(())
}

/// The record, with `-<clone>` after each id of its own and each name of a package.
fn renamed(mut record: Value, clone: usize) -> Value {
    let rename = |value: &mut Value| {
        if let Some(text) = value.as_str() {
            *value = format!("{text}-{clone}").into();
        }
    };
    rename(&mut record["id"]);
    for list in ["aliases", "upstream"] {
        record.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().for_each(rename);
    }
    for affected in record.get_mut("affected").and_then(Value::as_array_mut).into_iter().flatten() {
        affected.pointer_mut("/package/name").into_iter().for_each(rename);
    }
    record
}
