//! The Unix socket over which a second process works on the table of a running instance. The client sends one frame with a
//! [`Call`], the server answers one with an [`Answer`]; a connection carries any number of them in turn. A frame is its length in
//! four bytes, most significant first, and that many bytes: the version of this protocol, then postcard. Another version is
//! answered by a frame without anything behind the version.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tidewatch_core::ports::Table;
use tidewatch_core::ports::table::{Condition, Item, Key, Page, Query, TableError, Update, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

/// The version of the protocol, to be raised with every change of a type in a frame.
const VERSION: u8 = 1;

/// The largest frame: a batch has at most 100 items of 400 KiB.
const MAX_FRAME_BYTES: u32 = 64 * 1024 * 1024;

/// The most connections at a time; more wait until one of them ends.
const MAX_CONNECTIONS: usize = 32;

/// How long accepting rests after it failed, as it does when there are no more file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// What is asked of the table: its port.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Call {
    Get(Key),
    GetBatch(Vec<Key>),
    Put(Item, Condition),
    Delete(Key, Condition),
    Update(Key, Update, Condition),
    Transact(Vec<Write>),
    Query(Query),
}

/// What the table answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Item(Option<Item>),
    Items(Vec<Item>),
    Page(Page),
    Done,
    Failed(Failure),
}

/// A [`TableError`] on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Failure {
    ConditionFailed(u32),
    TransactionConflict,
    Invalid(String),
    Unavailable(String),
}

impl From<TableError> for Failure {
    fn from(error: TableError) -> Self {
        match error {
            // A transaction has at most 100 writes.
            TableError::ConditionFailed { position } => {
                Self::ConditionFailed(u32::try_from(position).unwrap_or(u32::MAX))
            }
            TableError::TransactionConflict => Self::TransactionConflict,
            TableError::Invalid { reason } => Self::Invalid(reason),
            TableError::Unavailable { source } => Self::Unavailable(source.to_string()),
        }
    }
}

impl From<Failure> for TableError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::ConditionFailed(position) => Self::ConditionFailed { position: position as usize },
            Failure::TransactionConflict => Self::TransactionConflict,
            Failure::Invalid(reason) => Self::Invalid { reason },
            Failure::Unavailable(reason) => Self::Unavailable { source: reason.into() },
        }
    }
}

/// Serves a table on a socket until it is dropped.
#[derive(Debug)]
pub struct TableSocket {
    path: PathBuf,
    accepting: JoinHandle<()>,
}

impl Drop for TableSocket {
    fn drop(&mut self) {
        self.accepting.abort();
        // A socket that stays behind is no harm: nobody answers on it, and the next instance replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Serves `table` on a new socket at `path` that only this user may use.
pub(super) fn serve(table: Arc<dyn Table>, path: &Path) -> io::Result<TableSocket> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let owner = std::fs::metadata(path)?.uid();
    let accepting = tokio::spawn(accept(listener, owner, table));
    Ok(TableSocket { path: path.to_owned(), accepting })
}

/// Whether a process answers at `path`.
pub(super) async fn is_served(path: &Path) -> bool {
    UnixStream::connect(path).await.is_ok()
}

/// Sends `call` to the process that serves `path`, and gives its answer.
pub(super) async fn ask(path: &Path, call: &Call) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(path).await?;
    write_frame(&mut stream, &to_frame(call)?).await?;
    let frame = read_frame(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let reason = "the running instance is of another version of this program: stop it and start it again";
    from_frame(&frame)?.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, reason))
}

async fn accept(listener: UnixListener, owner: u32, table: Arc<dyn Table>) {
    // Dropping the set ends the connections with the task.
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            // Between binding and setting the mode the socket was open to whoever the umask lets in.
            Ok((stream, _)) if stream.peer_cred().is_ok_and(|peer| [owner, 0].contains(&peer.uid())) => {
                connections.spawn(converse(stream, Arc::clone(&table)));
            }
            Ok(_) => {}
            Err(_) => rest().await,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "guards the process against a full file table; nothing waits for it"
)]
async fn rest() {
    tokio::time::sleep(ACCEPT_REST).await;
}

/// Answers the calls of one connection until its end. A frame that cannot be read ends it, which the client sees.
async fn converse(mut stream: UnixStream, table: Arc<dyn Table>) {
    while let Ok(Some(frame)) = read_frame(&mut stream).await {
        let answer = match from_frame(&frame) {
            Ok(Some(call)) => to_frame(&answer(&*table, call).await),
            Ok(None) => Ok(vec![VERSION]),
            Err(_) => return,
        };
        let Ok(answer) = answer else { return };
        if write_frame(&mut stream, &answer).await.is_err() {
            return;
        }
    }
}

async fn answer(table: &dyn Table, call: Call) -> Answer {
    let answered = match call {
        Call::Get(key) => table.get(&key).await.map(Answer::Item),
        Call::GetBatch(keys) => table.get_batch(&keys).await.map(Answer::Items),
        Call::Put(item, condition) => table.put(item, condition).await.map(|()| Answer::Done),
        Call::Delete(key, condition) => table.delete(&key, condition).await.map(|()| Answer::Done),
        Call::Update(key, update, condition) => {
            table.update(&key, update, condition).await.map(|item| Answer::Item(Some(item)))
        }
        Call::Transact(writes) => table.transact(writes).await.map(|()| Answer::Done),
        Call::Query(query) => table.query(query).await.map(Answer::Page),
    };
    answered.unwrap_or_else(|error| Answer::Failed(error.into()))
}

fn to_frame(content: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_extend(content, vec![VERSION]).map_err(invalid)
}

/// What is in a frame; `None` when it is of another version.
fn from_frame<T: DeserializeOwned>(frame: &[u8]) -> io::Result<Option<T>> {
    match frame.split_first() {
        Some((&VERSION, [])) => Ok(None),
        Some((&VERSION, content)) => postcard::from_bytes(content).map(Some).map_err(invalid),
        Some(_) => Ok(None),
        None => Err(invalid("an empty frame")),
    }
}

async fn write_frame(stream: &mut UnixStream, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).ok().filter(|length| *length <= MAX_FRAME_BYTES);
    let length = length.ok_or_else(|| too_large(frame.len()))?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(frame).await
}

/// The next frame; `None` at the end of the stream.
async fn read_frame(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u32().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > MAX_FRAME_BYTES {
        return Err(too_large(length as usize));
    }
    let mut frame = vec![0; length as usize];
    stream.read_exact(&mut frame).await?;
    Ok(Some(frame))
}

fn too_large(bytes: usize) -> io::Error {
    invalid(format!("a frame of {bytes} bytes, over {MAX_FRAME_BYTES}"))
}

fn invalid(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
