//! Archives of records in the form that the OSV service publishes, for sources that have their advisories in another one.

use std::collections::HashMap;
use std::io::{Seek, Write};

use tidewatch_core::{Retry, Retryable};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::record::Record;

/// An archive cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write an archive of records")]
pub struct WriteArchiveError {
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Retryable for WriteArchiveError {
    fn retry(&self) -> Retry {
        Retry::Again
    }
}

/// Writes `records` as a zip archive of `<id>.json`, sorted by id. The same records in any order give the same bytes.
pub fn write(records: &[Record], writer: impl Write + Seek) -> Result<(), WriteArchiveError> {
    let mut files = Vec::with_capacity(records.len());
    for record in records {
        files.push((record.id.as_str(), serde_json::to_vec(record).map_err(failed)?));
    }
    files.sort();
    files.dedup();
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default());
    let mut archive = ZipWriter::new(writer);
    let mut names = Names::default();
    for (id, json) in files {
        archive.start_file(names.next(id), options).map_err(failed)?;
        archive.write_all(&json).map_err(failed)?;
    }
    archive.finish().map_err(failed)?;
    Ok(())
}

/// The names of files that are taken, with the number of records of which they were to be.
#[derive(Default)]
struct Names {
    taken: HashMap<String, usize>,
}

impl Names {
    /// The name of the file of the next record with this id: what cannot stand in the name of a file is `_`.
    fn next(&mut self, id: &str) -> String {
        let stem: String = id.chars().map(|c| if matches!(c, '/' | '\\' | '\0') { '_' } else { c }).collect();
        let mut number = self.taken.get(&stem).copied().unwrap_or_default();
        loop {
            number += 1;
            let name = if number == 1 { stem.clone() } else { format!("{stem}~{number}") };
            if !self.taken.contains_key(&name) {
                self.taken.insert(name.clone(), 1);
                self.taken.insert(stem, number);
                return format!("{name}.json");
            }
        }
    }
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WriteArchiveError {
    WriteArchiveError { source: source.into() }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::reading::{ReadOptions, Reading};

    fn record(id: &str, summary: &str) -> Record {
        Record { id: id.to_owned(), summary: summary.to_owned(), ..Record::default() }
    }

    fn bytes(records: &[Record]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        write(records, &mut bytes).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn an_archive_is_read_as_it_was_written_and_the_order_of_records_makes_no_difference() {
        let records = ["ALAS2-2018-1", "a/b", "a_b", "ALSA-2024:1"].map(|id| record(id, "x"));
        let archive = bytes(&records);
        let backwards: Vec<_> = records.iter().rev().cloned().collect();
        assert_eq!(archive, bytes(&backwards));
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let reading =
            Reading::of_archive("Amazon Linux", Cursor::new(archive), &ReadOptions::at(now)).unwrap();
        assert_eq!((reading.records(), reading.problems()), (4, [].as_slice()));
    }

    #[test]
    fn two_records_with_one_id_are_two_files_and_one_that_occurs_twice_is_one() {
        let twice = [record("A-1", "a"), record("A-1", "b"), record("A-1", "a")];
        let archive = zip::ZipArchive::new(Cursor::new(bytes(&twice))).unwrap();
        assert_eq!(archive.file_names().map(Result::unwrap).collect::<Vec<_>>(), ["A-1.json", "A-1~2.json"]);
        let alike = [record("a", "a"), record("a", "b"), record("a~2", "a"), record("a", "c")];
        assert_eq!(zip::ZipArchive::new(Cursor::new(bytes(&alike))).unwrap().len(), 4);
    }
}
