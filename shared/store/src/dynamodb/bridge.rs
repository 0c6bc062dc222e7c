//! The Unix socket over which a second process works on a running instance. The client sends one frame with a
//! [`Call`], the server answers one with an [`Answer`]; a connection carries any number of them in turn. A frame is its
//! length in four bytes, most significant first, and that many bytes of JSON.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use super::embedded::Engine;
use super::transport::{Answer, Call};

/// The largest frame: a batch answer holds at most 16 MiB of items, which JSON makes larger.
const MAX_FRAME_BYTES: u32 = 64 * 1024 * 1024;

/// The most connections at a time; more wait until one of them ends.
const MAX_CONNECTIONS: usize = 32;

/// How long accepting rests after it failed, as it does when there are no more file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Serves an embedded DynamoDB on a socket until it is dropped.
#[derive(Debug)]
pub struct Bridge {
    socket: PathBuf,
    accepting: JoinHandle<()>,
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.accepting.abort();
        // A socket that stays behind is no harm: nobody answers on it, and the next instance replaces it.
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Serves `engine` on a new socket at `path` that only this user may use.
pub(super) fn serve(engine: Arc<Engine>, path: &Path) -> io::Result<Bridge> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let owner = std::fs::metadata(path)?.uid();
    let accepting = tokio::spawn(accept(listener, owner, engine));
    Ok(Bridge { socket: path.to_owned(), accepting })
}

/// Whether a process answers at `path`.
pub(super) async fn is_served(path: &Path) -> bool {
    UnixStream::connect(path).await.is_ok()
}

/// Sends `call` to the process that serves `path`, and gives its answer.
pub(super) async fn ask(path: &Path, call: &Call) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(path).await?;
    write_frame(&mut stream, call).await?;
    read_frame(&mut stream).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

async fn accept(listener: UnixListener, owner: u32, engine: Arc<Engine>) {
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
                connections.spawn(converse(stream, Arc::clone(&engine)));
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
async fn converse(mut stream: UnixStream, engine: Arc<Engine>) {
    while let Ok(Some(call)) = read_frame::<Call>(&mut stream).await {
        let Ok(answer) = Arc::clone(&engine).answer(call).await else { return };
        if write_frame(&mut stream, &answer).await.is_err() {
            return;
        }
    }
}

async fn write_frame<T: Serialize + Sync>(stream: &mut UnixStream, frame: &T) -> io::Result<()> {
    let json = serde_json::to_vec(frame)?;
    let length = u32::try_from(json.len()).ok().filter(|length| *length <= MAX_FRAME_BYTES);
    let length = length.ok_or_else(|| too_large(json.len()))?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&json).await
}

/// The next frame; `None` at the end of the stream.
async fn read_frame<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<Option<T>> {
    let length = match stream.read_u32().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > MAX_FRAME_BYTES {
        return Err(too_large(length as usize));
    }
    let mut json = vec![0; length as usize];
    stream.read_exact(&mut json).await?;
    Ok(Some(serde_json::from_slice(&json)?))
}

fn too_large(bytes: usize) -> io::Error {
    let reason = format!("a frame of {bytes} bytes, over {MAX_FRAME_BYTES}");
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
