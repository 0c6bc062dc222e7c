//! The data folder of local mode: opened by the process that runs it, or joined by a command beside it.

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tidewatch_core::ports::{Sleeper as _, Table};
use tidewatch_runtime::system::{SystemClock, SystemSleeper};
use tidewatch_store::counted::{CountedObjects, CountedTable, StoreCounts};
use tidewatch_store::{
    JoinedTable, LocalQueue, LocalTable, LocalTableError, ObjectStorage, Records, TableSocket,
};

use crate::failure::Failure;
use crate::instance::{Instance, Place, remove_leftovers};

/// The longest path of a Unix socket in bytes: `sun_path` holds 108, of which one ends it.
const MAX_SOCKET_PATH: usize = 107;

/// How often a table that another process has open is tried, and the pause between: five seconds in all, because
/// commands have it open for a moment only.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// What is in the data folder.
struct Layout {
    folder: PathBuf,
}

impl Layout {
    /// The data folder at `folder`, whether it is there or not.
    fn of(folder: &Path) -> Result<Self, Failure> {
        let layout = Self { folder: folder.to_owned() };
        let socket = layout.socket();
        let length = socket.as_os_str().as_bytes().len();
        if length > MAX_SOCKET_PATH {
            return Err(Failure::wrong_use(anyhow!(
                "the path of the data folder is too long: {} has {length} bytes, and a socket may have \
                 {MAX_SOCKET_PATH}",
                socket.display()
            ))
            .hint("give a shorter one by --data; one that is relative to the current folder will do"));
        }
        Ok(layout)
    }

    /// Makes the folder where it is missing, for this user alone: it holds who has which vulnerabilities.
    fn make(&self) -> Result<(), Failure> {
        let folder = &self.folder;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("failed to make the folder {}", folder.display()))?;
        Ok(())
    }

    fn table(&self) -> PathBuf {
        self.folder.join("table")
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("tidewatch.sock")
    }

    fn queue(&self) -> PathBuf {
        self.folder.join("queue.sqlite")
    }

    fn objects(&self) -> PathBuf {
        self.folder.join("objects")
    }

    /// The file that says where the process that runs the folder listens.
    fn address(&self) -> PathBuf {
        self.folder.join("address")
    }

    /// Where the process that runs the folder is reached; not known when it has not said so, or listens on every
    /// address.
    fn url(&self) -> Option<String> {
        let address: SocketAddr = std::fs::read_to_string(self.address()).ok()?.parse().ok()?;
        (!address.ip().is_unspecified()).then(|| format!("http://{address}"))
    }

    fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    /// The instance with this table and this queue.
    fn instance(
        &self,
        table: Arc<dyn Table>,
        queue: &LocalQueue,
        is_running: bool,
        counts: &Arc<StoreCounts>,
    ) -> Result<Instance, Failure> {
        let objects = Arc::new(ObjectStorage::folder(&self.objects())?);
        let objects = CountedObjects::new(objects, Arc::clone(counts));
        let table = CountedTable::new(table, Arc::clone(counts));
        Ok(Instance {
            records: Records::new(Arc::new(table), Arc::new(objects), Arc::new(SystemSleeper)),
            queue: Arc::new(queue.clone()),
            depths: Arc::new(queue.clone()),
            place: Place::Folder(self.folder.clone()),
            is_running,
            // What a process that was killed has left behind is no longer true.
            url: is_running.then(|| self.url()).flatten(),
            cache: self.cache(),
        })
    }
}

/// A data folder that this process runs: no other process does.
pub(crate) struct OwnedInstance {
    pub(crate) instance: Instance,
    pub(crate) queue: LocalQueue,
    pub(crate) table: LocalTable,
    /// What this process has asked of table and objects; what commands beside it ask is not in it.
    counts: Arc<StoreCounts>,
    /// Lets commands in other processes work on the table until it is dropped.
    _socket: TableSocket,
}

/// The table of a data folder.
enum OpenedTable {
    /// Of the process that runs the folder.
    Joined(JoinedTable),
    /// Its file: no other process has it open.
    Owned(LocalTable),
}

/// Whether there is something in the data folder `folder`.
pub(crate) fn exists(folder: &Path) -> bool {
    Layout { folder: folder.to_owned() }.table().is_dir()
}

/// Makes the data folder where it is missing; only its user may enter it. Gives the folder in it for files that can be
/// made again.
pub(crate) fn make_folder(folder: &Path) -> Result<PathBuf, Failure> {
    let layout = Layout::of(folder)?;
    layout.make()?;
    Ok(layout.cache())
}

/// The instance of `folder`, which is made where it is missing: through the process that runs it, or its files when
/// none does. While another command has the files open, it is waited for, up to five seconds.
pub(crate) async fn open(folder: &Path) -> Result<Instance, Failure> {
    let layout = Layout::of(folder)?;
    layout.make()?;
    let (table, is_running): (Arc<dyn Table>, _) = match open_table(&layout).await? {
        OpenedTable::Joined(table) => (Arc::new(table), true),
        OpenedTable::Owned(table) => (Arc::new(table), false),
    };
    let queue = LocalQueue::open(&layout.queue(), Arc::new(SystemClock)).await?;
    layout.instance(table, &queue, is_running, &Arc::default())
}

/// The table, as soon as no other command has its file open.
async fn open_table(layout: &Layout) -> Result<OpenedTable, Failure> {
    let mut tries = 0;
    loop {
        match LocalTable::join(&layout.socket()).await {
            Ok(table) => return Ok(OpenedTable::Joined(table)),
            Err(LocalTableError::NotRunning { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        match LocalTable::open(&layout.table()).await {
            Ok(table) => return Ok(OpenedTable::Owned(table)),
            Err(error @ LocalTableError::Running { .. }) if tries >= TRIES => {
                return Err(Failure::new(error)
                    .hint("another command or `tidewatch up` is using it: try again when that has ended"));
            }
            Err(LocalTableError::Running { .. }) => {}
            Err(error @ LocalTableError::Foreign { .. }) => {
                return Err(Failure::new(error).hint(
                    "an earlier version, or another program, has made it: give another data folder by --data",
                ));
            }
            Err(error) => return Err(error.into()),
        }
        tries += 1;
        SystemSleeper.sleep(PAUSE).await;
    }
}

impl OwnedInstance {
    /// Takes the data folder for this process, and makes it where it is missing.
    pub(crate) async fn take(folder: &Path) -> Result<Self, Failure> {
        let layout = Layout::of(folder)?;
        layout.make()?;
        let OpenedTable::Owned(table) = open_table(&layout).await? else {
            return Err(Failure::new(anyhow!("another `tidewatch up` runs on this data folder"))
                .hint("stop it, or give another data folder by --data"));
        };
        let socket = table.serve(&layout.socket())?;
        let queue = LocalQueue::open(&layout.queue(), Arc::new(SystemClock)).await?;
        let counts = Arc::default();
        let instance = layout.instance(Arc::new(table.clone()), &queue, true, &counts)?;
        // Whoever had received these messages is gone: this process has the folder for itself.
        queue.release_all().await?;
        remove_leftovers(&layout.cache());
        Ok(Self { instance, queue, table, counts, _socket: socket })
    }

    /// Logs how often this process has asked table and objects for what.
    pub(crate) fn log_counts(&self) {
        for (operation, kind, count) in self.counts.read() {
            tracing::debug!(
                store.operation = operation,
                store.kind = kind,
                store.requests = count.operations,
                store.items = count.items,
                "store was used"
            );
        }
    }

    /// Notes where this process listens, for commands beside it.
    pub(crate) fn note_address(folder: &Path, address: SocketAddr) -> Result<(), Failure> {
        let file = Layout::of(folder)?.address();
        let written = std::fs::write(&file, address.to_string());
        Ok(written.with_context(|| format!("failed to write {}", file.display()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_waits_for_another_that_has_the_table_open() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::of(folder.path()).unwrap();
        let other = LocalTable::open(&layout.table()).await.unwrap();
        let opening = tokio::spawn(async move { open(&layout.folder).await });
        SystemSleeper.sleep(PAUSE * 3).await;
        assert!(!opening.is_finished());
        drop(other);
        assert!(!opening.await.unwrap().unwrap().is_running);
    }

    #[tokio::test]
    async fn a_command_that_joins_an_instance_in_its_start_knows_that_it_runs() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::of(folder.path()).unwrap();
        let starting = LocalTable::open(&layout.table()).await.unwrap();
        let socket = layout.socket();
        let opening = tokio::spawn(async move { open(&layout.folder).await });
        SystemSleeper.sleep(PAUSE * 3).await;
        let _socket = starting.serve(&socket).unwrap();
        assert!(opening.await.unwrap().unwrap().is_running);
    }
}
