//! The folder of OSV archives: for each ecosystem `<Ecosystem>/all.zip`, as the OSV service lays them out, or, where
//! that is absent, `<Ecosystem>/*.json`.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use tidewatch_core::problem::Problem;
use zip::ZipArchive;

use crate::build::BuildError;
use crate::reading::ArchiveError;

const ARCHIVE: &str = "all.zip";
/// Bytes of one record at most; the largest that OSV publishes is below 5 MB.
const RECORD_LIMIT: u64 = 16 << 20;
/// Bytes of all records of an archive together, at most.
pub(crate) const INFLATED_LIMIT: u64 = 16 << 30;

/// One ecosystem of the source.
#[derive(Debug)]
pub(crate) struct Ecosystem {
    /// Its name, which is its folder's.
    pub(crate) name: String,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Archive(PathBuf),
    /// The records' files, sorted.
    Files(Vec<PathBuf>),
}

/// A record as it lies in the source.
pub(crate) struct RawRecord<'a> {
    /// `Debian/DSA-1-1.json`
    pub(crate) file: String,
    /// Its bytes, or why they cannot be had.
    pub(crate) json: Result<&'a [u8], Problem>,
    /// Number of files before this one and in all.
    pub(crate) position: (usize, usize),
}

/// The ecosystems of the source folder that have records, sorted by name.
pub(crate) fn ecosystems(source: &Path) -> Result<Vec<Ecosystem>, BuildError> {
    let mut ecosystems = Vec::new();
    for folder in entries(source)?.into_iter().filter(|entry| entry.is_dir()) {
        // OSV's ecosystem names are ASCII; another folder is none of them.
        let Some(name) = folder.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
            continue;
        };
        let archive = folder.join(ARCHIVE);
        let form = if archive.is_file() {
            Form::Archive(archive)
        } else {
            Form::Files(entries(&folder)?.into_iter().filter(|path| is_record(path)).collect())
        };
        if !matches!(&form, Form::Files(files) if files.is_empty()) {
            ecosystems.push(Ecosystem { name, form });
        }
    }
    Ok(ecosystems)
}

impl Ecosystem {
    /// Gives every record to `each`, in the same order every time. A record that is too large is one that cannot be
    /// read; an archive or folder that cannot be read is an error.
    pub(crate) fn for_each(&self, each: &mut dyn FnMut(RawRecord<'_>)) -> Result<(), BuildError> {
        match &self.form {
            Form::Archive(path) => {
                let file =
                    File::open(path).map_err(|source| BuildError::Read { path: path.clone(), source })?;
                read_archive(&self.name, BufReader::new(file), INFLATED_LIMIT, each)
                    .map_err(|source| BuildError::Archive { path: path.clone(), source })
            }
            Form::Files(files) => self.read_files(files, each),
        }
    }

    fn read_files(&self, files: &[PathBuf], each: &mut dyn FnMut(RawRecord<'_>)) -> Result<(), BuildError> {
        let mut buffer = Vec::new();
        for (number, path) in files.iter().enumerate() {
            buffer.clear();
            File::open(path)
                .and_then(|file| file.take(RECORD_LIMIT + 1).read_to_end(&mut buffer))
                .map_err(|source| BuildError::Read { path: path.clone(), source })?;
            let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            each(raw(&self.name, &name, &buffer, (number, files.len())));
        }
        Ok(())
    }
}

/// Gives every record of a zip archive of `ecosystem` to `each`. A record that is too large is one that cannot be read.
/// An archive that cannot be read, or of which all records together have more than `limit` bytes, is an error.
pub(crate) fn read_archive(
    ecosystem: &str,
    archive: impl Read + Seek,
    limit: u64,
    each: &mut dyn FnMut(RawRecord<'_>),
) -> Result<(), ArchiveError> {
    let mut archive = ZipArchive::new(archive).map_err(ArchiveError::zip)?;
    let total = archive.len();
    let (mut buffer, mut inflated) = (Vec::new(), 0);
    for number in 0..total {
        let mut file = archive.by_index(number).map_err(ArchiveError::zip)?;
        let name = file.name().map_err(ArchiveError::zip)?.into_owned();
        if !is_record(Path::new(&name)) {
            continue;
        }
        buffer.clear();
        file.by_ref()
            .take(RECORD_LIMIT + 1)
            .read_to_end(&mut buffer)
            .map_err(|error| ArchiveError::zip(error.into()))?;
        inflated += buffer.len() as u64;
        if inflated > limit {
            return Err(ArchiveError::TooLarge { limit });
        }
        each(raw(ecosystem, &name, &buffer, (number, total)));
    }
    Ok(())
}

fn raw<'a>(ecosystem: &str, name: &str, bytes: &'a [u8], position: (usize, usize)) -> RawRecord<'a> {
    let file = format!("{ecosystem}/{name}");
    let too_large = bytes.len() as u64 > RECORD_LIMIT;
    let json = if too_large {
        Err(Problem::new(&file, format_args!("it is larger than {RECORD_LIMIT} bytes")))
    } else {
        Ok(bytes)
    };
    RawRecord { file, json, position }
}

fn is_record(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// The paths in a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let list =
        || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>();
    let mut entries = list().map_err(|source| BuildError::Read { path: folder.to_owned(), source })?;
    entries.sort();
    Ok(entries)
}
