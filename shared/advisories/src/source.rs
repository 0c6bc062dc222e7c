//! The folder of advisories: for each ecosystem `<Ecosystem>/all.zip`, as the OSV service lays them out, or, where that is
//! absent, `<Ecosystem>/*.json`. Beside them what has another form: `Amazon Linux/<release>/updateinfo.xml`,
//! `KEV/known_exploited_vulnerabilities.json`, `EOL/endoflife.json`, and `NVD/*.json`, of which but these two each may be
//! packed with gzip.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tidewatch_core::problem::Problem;
use tidewatch_core::tables::TableDate;
use zip::ZipArchive;

use crate::build::BuildError;
use crate::reading::{ArchiveError, Reading};
use crate::updateinfo;

const ARCHIVE: &str = "all.zip";
/// The folder of feeds of Amazon Linux, which is an ecosystem.
const AMAZON_LINUX: &str = "Amazon Linux";
const UPDATEINFO: [&str; 2] = ["updateinfo.xml", "updateinfo.xml.gz"];
/// The folder of the catalogue of known exploited vulnerabilities, and its name there.
const KEV: (&str, &str) = ("KEV", "known_exploited_vulnerabilities.json");
/// The folder of the table of ends of life, and its name there.
const EOL: (&str, &str) = ("EOL", "endoflife.json");
/// The folder of feeds of the National Vulnerability Database.
const NVD: &str = "NVD";
/// Bytes of one record at most; the largest that OSV publishes is below 5 MB.
const RECORD_LIMIT: u64 = 16 << 20;
/// Bytes of all records of an archive together, at most.
pub(crate) const INFLATED_LIMIT: u64 = 32 << 30;

/// One ecosystem of the source, or something else that gives scores.
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
    /// Feeds of Amazon Linux, with their releases.
    Updateinfo(Vec<(String, PathBuf)>),
    Catalogue(PathBuf),
    EndOfLife(PathBuf),
    /// Feeds of the NVD.
    Feeds(Vec<PathBuf>),
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
        if let Some(form) = form(&name, &folder)? {
            ecosystems.push(Ecosystem { name, form });
        }
    }
    Ok(ecosystems)
}

/// What lies in the folder of this name; `None` where there is nothing.
fn form(name: &str, folder: &Path) -> Result<Option<Form>, BuildError> {
    let archive = folder.join(ARCHIVE);
    if archive.is_file() {
        return Ok(Some(Form::Archive(archive)));
    }
    let catalogue = folder.join(KEV.1);
    if name == KEV.0 {
        return Ok(catalogue.is_file().then_some(Form::Catalogue(catalogue)));
    }
    let table = folder.join(EOL.1);
    if name == EOL.0 {
        return Ok(table.is_file().then_some(Form::EndOfLife(table)));
    }
    let files = |is_wanted: fn(&Path) -> bool| -> Result<Vec<PathBuf>, BuildError> {
        Ok(entries(folder)?.into_iter().filter(|path| is_wanted(path)).collect())
    };
    if name == NVD {
        let feeds = files(is_feed)?;
        return Ok((!feeds.is_empty()).then_some(Form::Feeds(feeds)));
    }
    let records = files(is_record)?;
    if !records.is_empty() {
        return Ok(Some(Form::Files(records)));
    }
    let updateinfo = if name == AMAZON_LINUX { updateinfo_of(folder)? } else { Vec::new() };
    Ok((!updateinfo.is_empty()).then_some(Form::Updateinfo(updateinfo)))
}

/// The feeds `<release>/updateinfo.xml` in a folder, with their releases.
fn updateinfo_of(folder: &Path) -> Result<Vec<(String, PathBuf)>, BuildError> {
    let mut feeds = Vec::new();
    for release in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let Some(name) = release.file_name().and_then(|name| name.to_str()) else { continue };
        let files = UPDATEINFO.iter().map(|file| release.join(file)).filter(|file| file.is_file());
        feeds.extend(files.map(|file| (name.to_owned(), file)));
    }
    Ok(feeds)
}

impl Ecosystem {
    /// Reads all of it, always in the same order, and tells how far that is: how many files of how many. A record that
    /// cannot be read is a problem; an archive, a feed or a folder that cannot be read is an error.
    pub(crate) fn read(
        &self,
        now: tidewatch_core::Timestamp,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Reading, BuildError> {
        let mut reading = Reading::new(&self.name);
        let mut add = |record: RawRecord<'_>| {
            let (before, total) = record.position;
            reading.add(record, now);
            progress(before + 1, total);
        };
        match &self.form {
            Form::Archive(path) => read_archive(&self.name, open(path)?, INFLATED_LIMIT, &mut add)
                .map_err(|source| BuildError::Archive { path: path.clone(), source })?,
            Form::Files(files) => self.read_files(files, &mut add)?,
            Form::Updateinfo(feeds) => self.read_updateinfo(feeds, &mut add)?,
            Form::Catalogue(path) => {
                return Reading::of_catalogue(open(path)?).map_err(|source| of_archive(path, source));
            }
            Form::EndOfLife(path) => {
                let read = Reading::of_end_of_life(open(path)?, TableDate(now));
                return read.map_err(|source| of_archive(path, source));
            }
            Form::Feeds(feeds) => {
                for (number, path) in feeds.iter().enumerate() {
                    let feed = Reading::of_feed(open(path)?).map_err(|source| of_archive(path, source))?;
                    reading.merge(feed);
                    progress(number + 1, feeds.len());
                }
            }
        }
        Ok(reading)
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

    fn read_updateinfo(
        &self,
        feeds: &[(String, PathBuf)],
        each: &mut dyn FnMut(RawRecord<'_>),
    ) -> Result<(), BuildError> {
        for (release, path) in feeds {
            let records = updateinfo::records(release, unpacked(path)?)
                .map_err(|source| of_archive(path, ArchiveError::Updateinfo(source)))?;
            for (number, record) in records.iter().enumerate() {
                let json = serde_json::to_vec(record).map_err(|error| Problem::new(&record.id, error));
                let file = format!("{}/{}.json", self.name, record.id);
                each(RawRecord {
                    file,
                    json: json.as_deref().map_err(Clone::clone),
                    position: (number, records.len()),
                });
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<BufReader<File>, BuildError> {
    File::open(path).map(BufReader::new).map_err(|source| BuildError::Read { path: path.to_owned(), source })
}

/// The content of a file that may be packed, as its name says.
fn unpacked(path: &Path) -> Result<Box<dyn BufRead>, BuildError> {
    let file = open(path)?;
    let is_packed = path.extension().is_some_and(|extension| extension == "gz");
    Ok(if is_packed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) })
}

fn of_archive(path: &Path, source: ArchiveError) -> BuildError {
    BuildError::Archive { path: path.to_owned(), source }
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

/// Whether it is a feed of the NVD: `nvdcve-2.0-2024.json`, packed or not.
fn is_feed(path: &Path) -> bool {
    is_record(path)
        || (path.extension().is_some_and(|extension| extension == "gz")
            && is_record(&path.with_extension("")))
}

/// The paths in a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let list =
        || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>();
    let mut entries = list().map_err(|source| BuildError::Read { path: folder.to_owned(), source })?;
    entries.sort();
    Ok(entries)
}
