//! The advisory indexes as open files: fetched once per content hash into a folder, and kept open. The folder is a cache:
//! a file in it that cannot be opened is fetched again, and those of other hashes are removed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use tempfile::NamedTempFile;
use tidewatch_advisories::{Index, IndexSet, Memo, Memos, families_for};
use tidewatch_core::result::Inventory;
use tidewatch_core::{Digest, Retry, Retryable as _};
use tidewatch_store::records::{CurrentAdvisories, InForce, Records};

use crate::assess::{Against, Subject, assess, assess_unless};
use crate::{Assessment, AssessmentError};

/// How many packages and vulnerabilities are remembered of each index. Images have the same packages again and again: a
/// process that matches many evaluates each version of each of them once.
const REMEMBERED: usize = 400_000;

/// An open index, and what it was found to say so far.
#[derive(Clone, Debug)]
struct Opened {
    hash: Digest,
    index: Arc<Index>,
    memo: Arc<Memo>,
}

/// Opens the indexes that images need.
#[derive(Debug)]
pub struct AdvisoryIndexes {
    folder: PathBuf,
    /// Family to the index that was opened last.
    opened: Mutex<BTreeMap<&'static str, Opened>>,
    /// One index is fetched at a time, so that a hundred workers that need it fetch it once.
    fetching: tokio::sync::Mutex<()>,
}

impl AdvisoryIndexes {
    /// Indexes that are kept in `folder`, which is made when it is not there.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), opened: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// Matches and judges an image by what is in force, on a thread where that may block: reading the indexes does, and
    /// the versions of many packages take a while to compare.
    pub async fn assess(
        &self,
        records: &Records,
        subject: impl Into<Subject>,
        in_force: Arc<InForce>,
        now: Timestamp,
    ) -> Result<Assessment, AssessmentError> {
        let subject = subject.into();
        let opened = self.open_with_memos(records, &subject.inventory, &in_force.advisories).await?;
        on_a_thread(move || assess(subject, against(&opened, &in_force), now)).await
    }

    /// The same, or `None` when matching finds what it found before: all that the fingerprint `known` names. Then nothing
    /// is judged.
    pub async fn assess_unless(
        &self,
        records: &Records,
        subject: Subject,
        known: Option<Digest>,
        in_force: Arc<InForce>,
        now: Timestamp,
    ) -> Result<Option<Assessment>, AssessmentError> {
        let opened = self.open_with_memos(records, &subject.inventory, &in_force.advisories).await?;
        on_a_thread(move || assess_unless(subject, known, against(&opened, &in_force), now)).await
    }

    /// The indexes of the families that the packages of `inventory` need, as far as `current` has them.
    pub async fn open(
        &self,
        records: &Records,
        inventory: &Inventory,
        current: &CurrentAdvisories,
    ) -> Result<IndexSet, AssessmentError> {
        Ok(self.open_with_memos(records, inventory, current).await?.0)
    }

    async fn open_with_memos(
        &self,
        records: &Records,
        inventory: &Inventory,
        current: &CurrentAdvisories,
    ) -> Result<(IndexSet, Memos), AssessmentError> {
        let (mut indexes, mut memos) = (IndexSet::default(), Memos::default());
        for family in families_for(inventory.distribution.as_ref(), &inventory.packages) {
            if let Some(hash) = current.hash(family) {
                let opened = self.current(records, family, &hash).await?;
                indexes.insert(opened.index);
                memos.insert(family, opened.memo);
            }
        }
        Ok((indexes, memos))
    }

    /// The index of one family; `None` when there is none yet.
    pub async fn open_family(
        &self,
        records: &Records,
        family: &'static str,
        current: &CurrentAdvisories,
    ) -> Result<Option<Arc<Index>>, AssessmentError> {
        match current.hash(family) {
            Some(hash) => self.current(records, family, &hash).await.map(|opened| Some(opened.index)),
            None => Ok(None),
        }
    }

    /// An index that was in force before, without a place among those that are; `None` when it cannot be had any more, or
    /// not be read by this version.
    pub async fn open_former(
        &self,
        records: &Records,
        family: &'static str,
        hash: &Digest,
    ) -> Result<Option<Index>, AssessmentError> {
        let file = match self.fetch(records, family, hash).await {
            Ok(file) => file,
            Err(AssessmentError::IndexObject { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        // It is open, or it is not needed: it need not stay in the folder for either.
        let temporary = self.write(|folder| {
            let mut temporary = NamedTempFile::new_in(folder)?;
            temporary.write_all(&file)?;
            Ok(temporary.into_temp_path())
        })?;
        match Index::open(&temporary) {
            Ok(index) => Ok(Some(index)),
            Err(error) if error.retry() == Retry::Never => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn current(
        &self,
        records: &Records,
        family: &'static str,
        hash: &Digest,
    ) -> Result<Opened, AssessmentError> {
        if let Some(opened) = self.opened(family, hash) {
            return Ok(opened);
        }
        let _one_at_a_time = self.fetching.lock().await;
        if let Some(opened) = self.opened(family, hash) {
            return Ok(opened);
        }
        let path = self.folder.join(format!("{family}-{}.redb", hash.hex()));
        let index = if let Some(Ok(index)) = path.exists().then(|| Index::open(&path)) {
            index
        } else {
            // It is not there, or spoilt.
            let file = self.fetch(records, family, hash).await?;
            self.write(|folder| keep(folder, &path, &file))?;
            Index::open(&path)?
        };
        let opened = Opened { hash: *hash, index: Arc::new(index), memo: Arc::new(Memo::new(REMEMBERED)) };
        self.remove_others(family, &path);
        self.lock().insert(family, opened.clone());
        Ok(opened)
    }

    /// Writes something into the folder, which is made when it is not there.
    fn write<T>(&self, write: impl FnOnce(&Path) -> std::io::Result<T>) -> Result<T, AssessmentError> {
        let written = std::fs::create_dir_all(&self.folder).and_then(|()| write(&self.folder));
        written.map_err(AssessmentError::IndexFolder)
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

    fn opened(&self, family: &str, hash: &Digest) -> Option<Opened> {
        self.lock().get(family).filter(|opened| opened.hash == *hash).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Opened>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn against<'a>((indexes, memos): &'a (IndexSet, Memos), in_force: &'a InForce) -> Against<'a> {
    let InForce { advisories, criteria, tables, .. } = in_force;
    Against { indexes, memos, advisories, criteria, tables }
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AssessmentError> + Send + 'static,
) -> Result<T, AssessmentError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| AssessmentError::Thread)?
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
    let mut half = NamedTempFile::new_in(folder)?;
    half.write_all(file)?;
    half.as_file().sync_all()?;
    half.persist(path)?;
    Ok(())
}
