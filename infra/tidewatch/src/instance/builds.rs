//! The folders in which advisories are compiled, under a cache folder. Each is locked while its command lives, so that
//! what a killed one has left is known and removed.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::failure::Failure;

const PREFIX: &str = "build-";
const LOCK_FILE: &str = "lock";

/// Held while folders are made or removed: between its making and its locking, a folder looks like one that was left.
const ALL_LOCK_FILE: &str = "builds.lock";

/// A folder for one compilation. It is removed when it is dropped.
pub(crate) struct BuildFolder {
    folder: TempDir,
    _lock: File,
}

impl BuildFolder {
    /// Makes one in the cache folder `cache`, which is made where it is missing.
    pub(crate) fn make(cache: &Path) -> Result<Self, Failure> {
        let made = || {
            std::fs::create_dir_all(cache)?;
            let _all = lock_all(cache)?;
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(cache)?;
            let lock = File::create(folder.path().join(LOCK_FILE))?;
            lock.lock()?;
            std::io::Result::Ok(Self { folder, _lock: lock })
        };
        Ok(made().with_context(|| format!("failed to make a folder in {}", cache.display()))?)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders in `cache` whose commands have ended without doing so. What cannot be removed stays: it takes
/// space and does no other harm.
pub(crate) fn remove_leftovers(cache: &Path) {
    // Where there is no cache folder, there is nothing to remove.
    let Ok(_all) = lock_all(cache) else { return };
    for entry in std::fs::read_dir(cache).into_iter().flatten().flatten() {
        let is_build = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let lock = File::open(entry.path().join(LOCK_FILE));
        if is_build && lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            // Tried again the next time.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn lock_all(cache: &Path) -> std::io::Result<File> {
    let lock = File::create(cache.join(ALL_LOCK_FILE))?;
    lock.lock()?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_command_left_is_removed_and_what_another_works_on_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let index = cache.join("index");
        let left = cache.join("build-left");
        std::fs::create_dir_all(&left).unwrap();
        File::create(left.join(LOCK_FILE)).unwrap();
        File::create(&index).unwrap();
        let at_work = BuildFolder::make(&cache).unwrap();
        remove_leftovers(&cache);
        assert!(!left.exists() && index.exists() && at_work.path().exists());
        let path = at_work.path().to_owned();
        drop(at_work);
        assert!(!path.exists());
    }
}
