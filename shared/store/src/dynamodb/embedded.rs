//! A DynamoDB in this process, on a SQLite file: [dynoxide](https://docs.rs/dynoxide-rs) behind the client of the SDK.
//!
//! One process at a time may open the file, which a lock file guards: the engine's transactions begin deferred, so two
//! processes could each read before either writes. A second process asks the first over its socket instead.
//!
//! A write is answered when it is on the disk, as by DynamoDB; writes that are made at the same time wait for the disk
//! together. What is read may not be on the disk yet: whoever wrote it has no answer, so he does it again after a power cut,
//! and what is written on the ground of it comes after it in the log, so neither is there without the other.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use dynoxide::actions::transact_write_items::TransactWriteItemsRequest;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tidewatch_core::ports::table::TableError;
use tidewatch_core::retry::{Retry, Retryable};

use super::bridge::{self, Bridge};
use super::table::DynamoDbTable;
use super::transport::{Answer, Call, Transport};
use crate::group_sync::GroupSync;

const LOCK_FILE: &str = "table.lock";
const DATABASE_FILE: &str = "table.sqlite";

/// An embedded DynamoDB. Cloning it shares the engine; the file stays open, and locked, until the last clone, table and
/// client of it is gone.
#[derive(Clone, Debug)]
pub struct EmbeddedDynamoDb {
    engine: Arc<Engine>,
    client: Client,
}

impl EmbeddedDynamoDb {
    /// One that keeps everything in memory and forgets it.
    pub fn in_memory() -> Result<Self, EmbeddedError> {
        Ok(Self::on(Engine { database: Database::memory()?, log: None, _lock: None }))
    }

    /// One on `table.sqlite` in `folder`, which is made when it is not there.
    ///
    /// [`EmbeddedError::Running`] when another process, or another call of this one, has the file open.
    pub async fn open(folder: &Path) -> Result<Self, EmbeddedError> {
        let folder = folder.to_owned();
        blocking(move || Engine::open(&folder)).await?.map(Self::on)
    }

    fn on(engine: Engine) -> Self {
        let engine = Arc::new(engine);
        let client = Transport::InProcess(Arc::clone(&engine)).client();
        Self { engine, client }
    }

    /// The table `name`, of 3 to 255 letters, digits, `_`, `-` and `.`, which is made when it is not there.
    pub async fn table(&self, name: &str) -> Result<DynamoDbTable, TableError> {
        let table = DynamoDbTable::new(self.client.clone(), name);
        table.create().await?;
        Ok(table)
    }

    /// A client of the SDK that reaches this DynamoDB.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Removes the items whose time to live has passed by the clock of the machine, and says how many they were.
    pub async fn sweep_expired(&self) -> Result<usize, EmbeddedError> {
        let database = self.engine.database.clone();
        Ok(blocking(move || database.sweep_ttl()).await??)
    }

    /// Lets other processes of the same user work on this DynamoDB over a Unix socket at `socket`, until the
    /// [`Bridge`] is dropped. A socket that an earlier process left there is replaced. It needs a Tokio runtime
    /// around it.
    pub fn serve(&self, socket: &Path) -> Result<Bridge, EmbeddedError> {
        bridge::serve(Arc::clone(&self.engine), socket)
            .map_err(|source| EmbeddedError::Io { path: socket.to_owned(), source })
    }
}

/// The table `name` of the running instance that serves `socket`; the instance has made it.
///
/// [`EmbeddedError::NotRunning`] when nobody serves it.
pub async fn connect(socket: &Path, name: &str) -> Result<DynamoDbTable, EmbeddedError> {
    if !bridge::is_served(socket).await {
        return Err(EmbeddedError::NotRunning { socket: socket.to_owned() });
    }
    Ok(DynamoDbTable::new(Transport::Socket(socket.to_owned()).client(), name))
}

/// The table `name`: of the instance that serves `socket` where one is running, else of the file in `folder`.
///
/// [`EmbeddedError::Running`] when an instance has the file open and does not serve the socket.
pub async fn open_or_connect(
    folder: &Path,
    socket: &Path,
    name: &str,
) -> Result<DynamoDbTable, EmbeddedError> {
    match connect(socket, name).await {
        Err(EmbeddedError::NotRunning { .. }) => {
            Ok(EmbeddedDynamoDb::open(folder).await?.table(name).await?)
        }
        connected => connected,
    }
}

/// The engine with the lock on its file.
pub(super) struct Engine {
    database: Database,
    /// Of a database on a file.
    log: Option<GroupSync>,
    _lock: Option<File>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    fn open(folder: &Path) -> Result<Self, EmbeddedError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| EmbeddedError::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let lock_path = folder.join(LOCK_FILE);
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(failed(&lock_path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => EmbeddedError::Running { folder: folder.to_owned() },
            TryLockError::Error(source) => failed(&lock_path)(source),
        })?;
        let database_path = folder.join(DATABASE_FILE);
        let path =
            database_path.to_str().ok_or_else(|| EmbeddedError::NotUtf8 { path: database_path.clone() })?;
        let database = Database::new(path)?;
        // The engine's name for `synchronous = NORMAL` and the defaults of all else: a commit does not wait for the disk, and
        // whoever is answered does, with all others who wait.
        database.disable_bulk_loading()?;
        let log = GroupSync::of(&database_path).map_err(failed(&database_path))?;
        Ok(Self { database, log: Some(log), _lock: Some(lock) })
    }

    /// Does one request, and a write through to the disk. It runs on the threads for blocking work, because SQLite blocks;
    /// an error is one of those threads ending early.
    pub(super) async fn answer(self: Arc<Self>, call: Call) -> Result<Answer, tokio::task::JoinError> {
        let engine = Arc::clone(&self);
        let done = tokio::task::spawn_blocking(move || {
            let answer = engine.dispatch(&call.operation, call.body.get());
            let is_written = answer.is_ok() && is_write(&call.operation);
            (answer, engine.log.as_ref().filter(|_| is_written).map(GroupSync::note))
        });
        let (answer, commit) = done.await?;
        if let (Some(log), Some(commit)) = (&self.log, commit)
            && let Err(error) = log.wait_for(commit).await
        {
            return Ok(error_answer(&DynoxideError::InternalServerError(error.to_string())));
        }
        Ok(answer.unwrap_or_else(|error| error_answer(&error)))
    }

    fn dispatch(&self, operation: &str, body: &str) -> Result<Answer, DynoxideError> {
        let database = &self.database;
        match operation {
            "GetItem" => run(body, |request| database.get_item(request)),
            "BatchGetItem" => run(body, |request| database.batch_get_item(request)),
            "PutItem" => run(body, |request| database.put_item(request)),
            "DeleteItem" => run(body, |request| database.delete_item(request)),
            "UpdateItem" => run(body, |request| database.update_item(request)),
            "Query" => run(body, |request| database.query(request)),
            "TransactWriteItems" => run(body, |mut request: TransactWriteItemsRequest| {
                // The engine keeps the answers by token for ten minutes, and no request here is sent twice.
                request.client_request_token = None;
                database.transact_write_items(request)
            }),
            "CreateTable" => run(body, |request| database.create_table(request)),
            "DescribeTable" => run(body, |request| database.describe_table(request)),
            "DescribeTimeToLive" => run(body, |request| database.describe_time_to_live(request)),
            "UpdateTimeToLive" => run(body, |request| database.update_time_to_live(request)),
            _ => {
                Err(DynoxideError::ValidationException(format!("{operation} is no operation of this table")))
            }
        }
    }
}

/// Whether an operation changes the database.
fn is_write(operation: &str) -> bool {
    !matches!(operation, "GetItem" | "BatchGetItem" | "Query" | "DescribeTable" | "DescribeTimeToLive")
}

fn run<Request: DeserializeOwned, Response: Serialize>(
    body: &str,
    operation: impl FnOnce(Request) -> Result<Response, DynoxideError>,
) -> Result<Answer, DynoxideError> {
    let request = serde_json::from_str(body).map_err(|error| unreadable(&error))?;
    let response = operation(request)?;
    let body = serde_json::value::to_raw_value(&response)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))?;
    Ok(Answer { status: 200, body })
}

/// The engine validates while it reads a request, and marks what it found wrong so.
fn unreadable(error: &serde_json::Error) -> DynoxideError {
    let message = error.to_string();
    match message.strip_prefix("VALIDATION:") {
        Some(reason) => DynoxideError::ValidationException(reason.to_owned()),
        None => DynoxideError::SerializationException(message),
    }
}

fn error_answer(error: &DynoxideError) -> Answer {
    let body = RawValue::from_string(error.to_json()).unwrap_or_default();
    Answer { status: error.status_code(), body }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, EmbeddedError> {
    tokio::task::spawn_blocking(work).await.map_err(EmbeddedError::Interrupted)
}

/// An embedded DynamoDB could not be opened or reached.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Another process has the file open.
    #[error("failed to open the table in {folder:?}: another process has it open")]
    Running {
        /// The data folder.
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
    /// The engine takes paths in UTF-8 only.
    #[error("failed to open {path:?}: the path is not UTF-8")]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The engine could not open or change its database.
    #[error("failed to run the embedded database")]
    Engine(#[from] DynoxideError),
    /// The table could not be made.
    #[error("failed to make the table")]
    Table(#[from] TableError),
    /// The work ended early, because the process is ending or the engine panicked.
    #[error("failed to finish work on the embedded database")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl Retryable for EmbeddedError {
    fn retry(&self) -> Retry {
        match self {
            Self::Running { .. } | Self::NotRunning { .. } | Self::Interrupted(_) => Retry::Again,
            Self::Io { .. } | Self::NotUtf8 { .. } | Self::Engine(_) => Retry::Never,
            Self::Table(error) => error.retry(),
        }
    }
}
