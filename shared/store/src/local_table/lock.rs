//! The lock that keeps a second process out of the folder of a table.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::LocalTableError;

const LOCK_FILE: &str = "table.lock";

/// Holds the lock of a folder until it is dropped; the system lets go of it when the process ends.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock of `folder`, which is made where it is missing. [`LocalTableError::Running`] when somebody has it.
    pub(super) fn take(folder: &Path) -> Result<Self, LocalTableError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| LocalTableError::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let path = folder.join(LOCK_FILE);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(failed(&path))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => LocalTableError::Running { folder: folder.to_owned() },
            TryLockError::Error(source) => failed(&path)(source),
        })?;
        Ok(Self { _file: file })
    }
}
