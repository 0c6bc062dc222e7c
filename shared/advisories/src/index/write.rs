//! Writes an index file. The same advisories give the same bytes: everything is written in order, in one transaction.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use redb::Database;
use sha2::{Digest as _, Sha256};
use tidewatch_core::Digest;

use super::{Advisory, FORMAT, FORMAT_KEY, INFO_KEY, IndexInfo, META, PACKAGES};

/// (ecosystem with release, package name) → advisories, sorted by id.
pub(crate) type Packages = BTreeMap<(String, String), Vec<Advisory>>;

/// An index file that was written.
pub(crate) struct Written {
    pub(crate) hash: Digest,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// Why an index file could not be written.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) enum WriteError {
    Io(#[from] std::io::Error),
    Redb(#[from] redb::Error),
    Encode(#[from] postcard::Error),
}

/// Writes an index to `<folder>/<family>-<hash>.redb`. The file appears under that name only when it is complete.
pub(crate) fn write(folder: &Path, info: &IndexInfo, packages: &Packages) -> Result<Written, WriteError> {
    let file = tempfile::Builder::new()
        .prefix(&info.family)
        .suffix(".partial")
        .tempfile_in(folder)?
        .into_temp_path();
    fill(&file, info, packages)?;
    let (hash, size) = hash(&file)?;
    let path = folder.join(format!("{}-{}.redb", info.family, hash.hex()));
    file.persist(&path).map_err(|error| error.error)?;
    Ok(Written { hash, path, size })
}

fn fill(path: &Path, info: &IndexInfo, packages: &Packages) -> Result<(), WriteError> {
    let mut database = Database::create(path).map_err(redb::Error::from)?;
    let transaction = database.begin_write().map_err(redb::Error::from)?;
    {
        let mut meta = transaction.open_table(META).map_err(redb::Error::from)?;
        meta.insert(FORMAT_KEY, FORMAT.to_le_bytes().as_slice()).map_err(redb::Error::from)?;
        meta.insert(INFO_KEY, postcard::to_allocvec(info)?.as_slice()).map_err(redb::Error::from)?;
        let mut table = transaction.open_table(PACKAGES).map_err(redb::Error::from)?;
        for ((ecosystem, name), advisories) in packages {
            let key = (ecosystem.as_str(), name.as_str());
            table.insert(key, postcard::to_allocvec(advisories)?.as_slice()).map_err(redb::Error::from)?;
        }
    }
    transaction.commit().map_err(redb::Error::from)?;
    // Until nothing is left to gain: each pass frees what the one before it could only mark as free.
    while database.compact().map_err(redb::Error::from)? {}
    Ok(())
}

fn hash(path: &Path) -> Result<(Digest, u64), std::io::Error> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let (mut size, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((Digest::from_bytes(hasher.finalize().into()), size)),
            read => {
                hasher.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
}
