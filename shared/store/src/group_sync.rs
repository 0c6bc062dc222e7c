//! Writing what SQLite has committed through to the disk, once for all who wait for it at the same time.
//!
//! A database in WAL mode with `synchronous = NORMAL` commits without waiting for the disk; what was committed is whole and
//! in order, and a power cut can only take away its end
//! (<https://sqlite.org/pragma.html#pragma_synchronous>). Whoever must know that it stays waits here: one `fdatasync` of the
//! log covers everything that was committed before it. With `FULL` each commit would wait for one of its own, while all others
//! wait for the connection.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// The write-ahead log of a database that this process has open.
#[derive(Debug)]
pub(crate) struct GroupSync {
    log: Arc<File>,
    /// How many commits were noted.
    committed: AtomicU64,
    /// How many of them are on the disk.
    synced: Mutex<u64>,
}

/// The number of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Commit(u64);

impl GroupSync {
    /// The log of the database at `database`, which must be open, in WAL mode, and have been read from: the log stays the same
    /// file until the last connection is closed.
    pub(crate) fn of(database: &Path) -> io::Result<Self> {
        let log = Arc::new(File::open(log_of(database))?);
        Ok(Self { log, committed: AtomicU64::new(0), synced: Mutex::new(0) })
    }

    /// Notes a commit, after it was made.
    pub(crate) fn note(&self) -> Commit {
        Commit(self.committed.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// Waits until a commit is on the disk.
    pub(crate) async fn wait_for(&self, commit: Commit) -> io::Result<()> {
        let mut synced = self.synced.lock().await;
        if *synced >= commit.0 {
            return Ok(());
        }
        // All of these were made before the file is written through.
        let covered = self.committed.load(Ordering::SeqCst);
        let log = Arc::clone(&self.log);
        tokio::task::spawn_blocking(move || log.sync_data()).await.map_err(io::Error::other)??;
        *synced = covered;
        Ok(())
    }
}

/// The file that SQLite keeps the log in: <https://sqlite.org/wal.html#the_wal_file>.
fn log_of(database: &Path) -> PathBuf {
    let mut path = OsString::from(database);
    path.push("-wal");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sync(folder: &tempfile::TempDir) -> GroupSync {
        let database = folder.path().join("some.sqlite");
        std::fs::write(log_of(&database), "log").unwrap();
        GroupSync::of(&database).unwrap()
    }

    #[tokio::test]
    async fn one_write_to_the_disk_covers_all_commits_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let sync = sync(&folder);
        let (first, second) = (sync.note(), sync.note());
        sync.wait_for(first).await.unwrap();
        assert_eq!(*sync.synced.lock().await, 2);
        let third = sync.note();
        sync.wait_for(second).await.unwrap();
        assert_eq!(*sync.synced.lock().await, 2, "nothing was to be done for the second");
        sync.wait_for(third).await.unwrap();
        assert_eq!(*sync.synced.lock().await, 3);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_takes_nothing_from_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let sync = sync(&folder);
        let commit = sync.note();
        let held = sync.synced.lock().await;
        drop(sync.wait_for(commit));
        drop(held);
        sync.wait_for(commit).await.unwrap();
        assert_eq!(*sync.synced.lock().await, 1);
    }

    #[test]
    fn a_database_without_a_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(GroupSync::of(&folder.path().join("none.sqlite")).is_err());
    }
}
