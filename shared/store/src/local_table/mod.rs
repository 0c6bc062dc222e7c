//! The table of local mode: items in one SQLite file, with the semantics of the port.
//!
//! One process at a time has the file open, which a lock file guards; a second process asks the first over its socket
//! ([`TableSocket`]). All writes go through one thread (`writer.rs`): those that wait at the same time become one commit, and
//! each is answered when that is on the disk. Reads have connections of their own, wait for nobody, and see what is committed.
//! Conditions and updates are those of the table in memory, on the attributes as they are read.

mod database;
mod encoding;
mod joined;
mod lock;
mod socket;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::Connection;
use tidewatch_core::Timestamp;
use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{
    Attributes, Condition, Item, Key, Page, Query, TableError, Update, Write,
};
use tidewatch_core::retry::{Retry, Retryable};

use crate::limits;
use database::OpenError;
use lock::FolderLock;
use writer::{Work, Writer};

pub use joined::JoinedTable;
pub use socket::TableSocket;

const DATABASE_FILE: &str = "table.sqlite";

/// The most connections that are kept open for later reads.
const MAX_IDLE_READERS: usize = 8;

/// A table in a file. Cloning it shares the file, which stays open, and locked, until the last clone and the last
/// [`TableSocket`] of it are gone.
#[derive(Clone)]
pub struct LocalTable {
    file: Arc<TableFile>,
}

/// The open file. Fields are dropped in their order: the lock goes last.
struct TableFile {
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
    path: PathBuf,
    _lock: FolderLock,
}

impl std::fmt::Debug for LocalTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalTable").field("path", &self.file.path).finish_non_exhaustive()
    }
}

impl LocalTable {
    /// The table on `table.sqlite` in `folder`; both are made where they are missing.
    ///
    /// [`LocalTableError::Running`] when another process, or another call of this one, has the file open.
    pub async fn open(folder: &Path) -> Result<Self, LocalTableError> {
        let owned = folder.to_owned();
        let opened = tokio::task::spawn_blocking(move || TableFile::open(&owned)).await;
        let interrupted = |source| LocalTableError::Interrupted { folder: folder.to_owned(), source };
        Ok(Self { file: Arc::new(opened.map_err(interrupted)??) })
    }

    /// Removes the items whose time to live has passed by `now`, and says how many they were.
    pub async fn sweep_expired(&self, now: Timestamp) -> Result<usize, TableError> {
        self.file.writer.sweep_expired(now.as_second()).await
    }

    /// Lets other processes of the same user work on this table over a Unix socket at `socket`, until the [`TableSocket`]
    /// is dropped. A socket that an earlier process left there is replaced. It needs a Tokio runtime around it.
    pub fn serve(&self, socket: &Path) -> Result<TableSocket, LocalTableError> {
        socket::serve(Arc::new(self.clone()), socket)
            .map_err(|source| LocalTableError::Io { path: socket.to_owned(), source })
    }

    /// The table of the process that serves `socket`.
    ///
    /// [`LocalTableError::NotRunning`] when nobody serves it.
    pub async fn join(socket: &Path) -> Result<JoinedTable, LocalTableError> {
        if !socket::is_served(socket).await {
            return Err(LocalTableError::NotRunning { socket: socket.to_owned() });
        }
        Ok(JoinedTable::new(socket))
    }

    /// Does one write, and gives the attributes that its item has after it, of updates only.
    async fn write(&self, write: Write) -> Result<Option<Attributes>, TableError> {
        limits::check_write(&write)?;
        self.file.writer.do_work(Work::Write(vec![write])).await
    }

    /// Reads many items, on the threads for blocking work.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, TableError> + Send + 'static,
    ) -> Result<T, TableError> {
        let file = Arc::clone(&self.file);
        let done = tokio::task::spawn_blocking(move || file.with_reader(work)).await;
        done.map_err(|error| TableError::Unavailable { source: error.into() })?
    }
}

impl TableFile {
    fn open(folder: &Path) -> Result<Self, LocalTableError> {
        let lock = FolderLock::take(folder)?;
        let path = folder.join(DATABASE_FILE);
        let connection = database::open(&path).map_err(|error| match error {
            OpenError::Sqlite(source) => LocalTableError::Unusable { path: path.clone(), source },
            OpenError::Foreign => LocalTableError::Foreign { path: path.clone() },
            OpenError::Version(version) => LocalTableError::Newer { path: path.clone(), version },
        })?;
        let writer =
            Writer::start(connection).map_err(|source| LocalTableError::Io { path: path.clone(), source })?;
        Ok(Self { writer, readers: Mutex::default(), path, _lock: lock })
    }

    /// Reads on a connection that nobody else uses meanwhile.
    fn with_reader<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, TableError>,
    ) -> Result<T, TableError> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => database::open_reader(&self.path).map_err(database::unavailable)?,
        };
        let done = work(&connection);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < MAX_IDLE_READERS {
            readers.push(connection);
        }
        done
    }
}

#[async_trait]
impl Table for LocalTable {
    // On this thread: one item is there in microseconds, and a thread of its own costs more than that.
    async fn get(&self, key: &Key) -> Result<Option<Item>, TableError> {
        limits::check_key(key)?;
        self.file.with_reader(|connection| database::item(connection, key))
    }

    async fn get_batch(&self, keys: &[Key]) -> Result<Vec<Item>, TableError> {
        limits::check_batch(keys)?;
        let keys = keys.to_vec();
        self.read(move |connection| database::items(connection, &keys)).await
    }

    async fn put(&self, item: Item, condition: Condition) -> Result<(), TableError> {
        self.write(Write::Put(item, condition)).await.map(drop)
    }

    async fn delete(&self, key: &Key, condition: Condition) -> Result<(), TableError> {
        self.write(Write::Delete(key.clone(), condition)).await.map(drop)
    }

    async fn update(&self, key: &Key, update: Update, condition: Condition) -> Result<Item, TableError> {
        let attributes = self.write(Write::Update(key.clone(), update, condition)).await?;
        Ok(Item { key: key.clone(), attributes: attributes.unwrap_or_default() })
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TableError> {
        limits::check_transaction(&writes)?;
        self.file.writer.do_work(Work::Write(writes)).await.map(drop)
    }

    async fn query(&self, query: Query) -> Result<Page, TableError> {
        limits::check_query(&query)?;
        self.read(move |connection| database::page(connection, &query)).await
    }
}

/// The table: of the process that serves `socket` where one does, else of the file in `folder`.
///
/// [`LocalTableError::Running`] when a process has the file open and does not serve the socket.
pub async fn open_or_join(folder: &Path, socket: &Path) -> Result<Arc<dyn Table>, LocalTableError> {
    match LocalTable::join(socket).await {
        Ok(joined) => Ok(Arc::new(joined)),
        Err(LocalTableError::NotRunning { .. }) => Ok(Arc::new(LocalTable::open(folder).await?)),
        Err(error) => Err(error),
    }
}

/// A table in a file could not be opened or reached.
#[derive(Debug, thiserror::Error)]
pub enum LocalTableError {
    /// Another process has the file open.
    #[error("failed to open the table in {folder:?}: another process has it open")]
    Running {
        /// The folder.
        folder: PathBuf,
    },
    /// No process serves the socket.
    #[error("failed to reach a running instance at {socket:?}: none is there")]
    NotRunning {
        /// The socket.
        socket: PathBuf,
    },
    /// The folder, the lock file or the socket could not be made or used.
    #[error("failed to use {path:?}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// SQLite cannot open or prepare the file.
    #[error("failed to open the table in {path:?}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The file is a database that no table of this program is in.
    #[error("failed to open the table in {path:?}: the file is another database")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was made by a newer Tidewatch.
    #[error("failed to open the table in {path:?}: its format {version} is newer than this program")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        version: i64,
    },
    /// The work ended early, because the process is ending.
    #[error("failed to finish opening the table in {folder:?}")]
    Interrupted {
        /// The folder.
        folder: PathBuf,
        /// What the runtime says.
        source: tokio::task::JoinError,
    },
}

impl Retryable for LocalTableError {
    fn retry(&self) -> Retry {
        match self {
            Self::Running { .. } | Self::NotRunning { .. } | Self::Interrupted { .. } => Retry::Again,
            Self::Io { .. } | Self::Unusable { .. } | Self::Foreign { .. } | Self::Newer { .. } => {
                Retry::Never
            }
        }
    }
}
