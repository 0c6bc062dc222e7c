//! What the fuzz targets in `fuzz/` need of this crate: each reader alone, by its id. Only with the feature `fuzzing`, and
//! no part of the interface.

use tidewatch_core::package::{Distribution, Package};

use crate::contents::Contents;
use crate::readers::{Access, READERS, SCANNERS, reader_for, reader_with_id};
use crate::reading::{InputFile, RandomFile, Reading};

/// The most problems that one file reports one by one.
pub const PROBLEMS: usize = crate::reading::PROBLEMS;

/// The most bytes of a name, a version, or whatever else one value is.
pub const TEXT_BYTES: usize = crate::reading::TEXT_BYTES;

/// What a file says.
#[derive(Debug, PartialEq, Eq)]
pub struct Findings {
    /// The packages that it names.
    pub packages: Vec<Package>,
    /// The distribution that it names.
    pub distribution: Option<Distribution>,
    /// The licence that it names.
    pub license: Option<String>,
    /// How many files it says that its packages have put in place.
    pub owned_files: usize,
    /// What could not be used.
    pub problems: Vec<String>,
}

/// The ids of all readers of files that are known by their paths.
pub fn reader_ids() -> Vec<&'static str> {
    READERS.iter().map(|reader| reader.id).collect()
}

/// The ids of all readers of programs.
pub fn scanner_ids() -> Vec<&'static str> {
    SCANNERS.iter().map(|scanner| scanner.id).collect()
}

/// The id of the reader for the file at `path`.
pub fn reader_id_for(path: &str) -> Option<&'static str> {
    Some(reader_for(path)?.id)
}

/// A path for each pattern of the reader `id`; none when there is no such reader.
pub fn paths(id: &str) -> Vec<String> {
    let paths = reader_with_id(id).map(|reader| reader.paths).unwrap_or_default();
    paths.iter().map(|path| path.example()).collect()
}

/// Whether the reader `id` also gets files whose end is cut off.
pub fn takes_cut_files(id: &str) -> bool {
    reader_with_id(id).is_some_and(|reader| matches!(reader.access, Access::Whole(_)))
}

/// What the reader `id` finds in the file at `path`, at most `packages` packages; `None` when there is no such reader.
pub fn read(id: &str, path: &str, bytes: &[u8], complete: bool, packages: usize) -> Option<Findings> {
    let reading = match reader_with_id(id)?.access {
        Access::Whole(read) => read(&InputFile { path, bytes, complete, packages }),
        Access::Random(read) => {
            read(&RandomFile { path, contents: &Contents::from(bytes.to_vec()), packages })
        }
        Access::RandomWith { read, .. } => {
            let (file, companion) = bytes.split_at(bytes.len() / 2);
            let [file, companion, whole] =
                [file, companion, bytes].map(|bytes| Contents::from(bytes.to_vec()));
            let [file, companion, whole] =
                [&file, &companion, &whole].map(|contents| RandomFile { path, contents, packages });
            // Either may be of any form beside the other.
            let with_companion = read(&file, Some(&companion));
            let alone = read(&whole, None);
            if complete { alone } else { with_companion }
        }
    };
    Some(reading.into())
}

/// What the reader `id` finds in the program that comes in `pieces`, at most `packages` packages; `None` when there is no
/// such reader.
pub fn scan<'a>(
    id: &str,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    complete: bool,
    packages: usize,
) -> Option<Findings> {
    let mut scan = (SCANNERS.iter().find(|scanner| scanner.id == id)?.start)();
    pieces.into_iter().for_each(|piece| scan.push(piece));
    Some(scan.finish(complete, packages).into())
}

impl From<Reading> for Findings {
    fn from(reading: Reading) -> Self {
        Self {
            packages: reading.packages,
            distribution: reading.distribution,
            license: reading.license,
            owned_files: reading.owned.into_hashes().len(),
            problems: reading.problems.into_reasons(),
        }
    }
}
