//! The advisory indexes as open files: fetched once per content hash into a folder, and kept open. The folder is a cache:
//! a file in it that cannot be opened is fetched again, and those of other hashes are removed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use tempfile::NamedTempFile;
use tidewatch_advisories::{Index, IndexSet, families_for};
use tidewatch_core::Digest;
use tidewatch_inventory::ImageInventory;
use tidewatch_store::records::{CurrentAdvisories, InForce, Records};

use crate::{Assessment, AssessmentError, assess};

/// Opens the indexes that images need.
#[derive(Debug)]
pub struct AdvisoryIndexes {
    folder: PathBuf,
    /// Family to the index that was opened last.
    opened: Mutex<BTreeMap<&'static str, (Digest, Arc<Index>)>>,
    /// One index is fetched at a time, so that a hundred workers that need it fetch it once.
    fetching: tokio::sync::Mutex<()>,
}

impl AdvisoryIndexes {
    /// Indexes that are kept in `folder`, which is made when it is not there.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), opened: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// [`assess`]es an inventory by what is in force, on a thread where that may block: reading the indexes does, and the
    /// versions of many packages take a while to compare.
    pub async fn assess(
        &self,
        records: &Records,
        inventory: ImageInventory,
        in_force: Arc<InForce>,
        now: Timestamp,
    ) -> Result<Assessment, AssessmentError> {
        let indexes = self.open(records, &inventory, &in_force.advisories).await?;
        let assessed = tokio::task::spawn_blocking(move || {
            assess(inventory, indexes, &in_force.advisories, &in_force.applied.config, now)
        });
        assessed.await.map_err(|_| AssessmentError::Thread)?
    }

    /// The indexes of the families that the packages of `inventory` need, as far as `current` has them.
    pub async fn open(
        &self,
        records: &Records,
        inventory: &ImageInventory,
        current: &CurrentAdvisories,
    ) -> Result<IndexSet, AssessmentError> {
        let mut indexes = IndexSet::default();
        for family in families_for(inventory.distribution.as_ref(), &inventory.packages) {
            if let Some(index) = self.open_family(records, family, current).await? {
                indexes.insert(index);
            }
        }
        Ok(indexes)
    }

    /// The index of one family; `None` when there is none yet.
    pub async fn open_family(
        &self,
        records: &Records,
        family: &'static str,
        current: &CurrentAdvisories,
    ) -> Result<Option<Arc<Index>>, AssessmentError> {
        match current.hash(family) {
            Some(hash) => self.index(records, family, &hash).await.map(Some),
            None => Ok(None),
        }
    }

    async fn index(
        &self,
        records: &Records,
        family: &'static str,
        hash: &Digest,
    ) -> Result<Arc<Index>, AssessmentError> {
        if let Some(index) = self.opened(family, hash) {
            return Ok(index);
        }
        let _one_at_a_time = self.fetching.lock().await;
        if let Some(index) = self.opened(family, hash) {
            return Ok(index);
        }
        let path = self.folder.join(format!("{family}-{}.redb", hash.hex()));
        let index = if let Some(Ok(index)) = path.exists().then(|| Index::open(&path)) {
            index
        } else {
            // It is not there, or spoilt.
            let file = self.fetch(records, family, hash).await?;
            keep(&self.folder, &path, &file).map_err(AssessmentError::IndexFolder)?;
            Index::open(&path)?
        };
        let index = Arc::new(index);
        self.remove_others(family, &path);
        self.lock().insert(family, (*hash, Arc::clone(&index)));
        Ok(index)
    }

    async fn fetch(
        &self,
        records: &Records,
        family: &'static str,
        hash: &Digest,
    ) -> Result<Bytes, AssessmentError> {
        let unusable = |reason| AssessmentError::IndexObject { family, hash: *hash, reason };
        let file = records.advisory_index(family, hash).await?.ok_or_else(|| unusable("it is not there"))?;
        if Digest::of(&file) != *hash {
            return Err(unusable("its content has another hash"));
        }
        Ok(file)
    }

    /// Removes the files of other hashes of a family. What cannot be removed is tried again with the next index, and
    /// who has one open keeps it.
    fn remove_others(&self, family: &str, path: &Path) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for other in entries.flatten().map(|entry| entry.path()).filter(|other| other != path) {
            if is_index_of(&other, family) {
                let _ = std::fs::remove_file(other);
            }
        }
    }

    fn opened(&self, family: &str, hash: &Digest) -> Option<Arc<Index>> {
        self.lock().get(family).filter(|(opened, _)| opened == hash).map(|(_, index)| Arc::clone(index))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, (Digest, Arc<Index>)>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the name of a file is that of an index of `family`.
fn is_index_of(path: &Path, family: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let hash = name.strip_prefix(family).and_then(|rest| rest.strip_prefix('-'));
    hash.and_then(|rest| rest.strip_suffix(".redb"))
        .is_some_and(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Writes the file under another name first, of its own for each process: what stands under its own name is whole.
fn keep(folder: &Path, path: &Path, file: &Bytes) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut half = NamedTempFile::new_in(folder)?;
    half.write_all(file)?;
    half.as_file().sync_all()?;
    half.persist(path)?;
    Ok(())
}
