//! A server of OSV archives in the process of the test, laid out as the OSV service does it: `/<Ecosystem>/all.zip`,
//! with validators and conditional requests, and with faults to order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::header::{
    CONTENT_LENGTH, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION, USER_AGENT,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use serde_json::Value;
use tidewatch_core::Digest;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::advisory::archive;

/// What goes wrong with an archive, until the test says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status.
    Status(u16),
    /// The connection ends in the middle of it.
    Truncated,
    /// It ends before the length that was announced.
    TooShort,
    /// It is half of what it should be, and nothing says so.
    Half,
    /// It begins, and then nothing comes any more.
    Hangs,
    /// It is answered with 302 and this URL.
    Redirect(String),
}

/// Which validators answers have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validators {
    /// `ETag` and `Last-Modified`.
    #[default]
    Both,
    /// `Last-Modified` only.
    LastModified,
    /// None: every answer is the whole archive.
    None,
}

/// A request that the server got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveRequest {
    /// `/Debian/all.zip`, percent-encoded as it came.
    pub path: String,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
    /// The status of the answer.
    pub status: u16,
}

/// A server that listens on this machine, and stops when it is dropped.
pub struct ArchiveServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: AbortHandle,
}

#[derive(Default)]
struct State {
    /// Path to archive, and the number of its change, which stands for its time.
    archives: BTreeMap<String, (Bytes, u32)>,
    changes: u32,
    faults: BTreeMap<String, Fault>,
    validators: Validators,
    requests: Vec<ArchiveRequest>,
}

impl ArchiveServer {
    /// A server without archives on a free port of 127.0.0.1. Needs a running tokio.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let state = Arc::<Mutex<State>>::default();
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let serving = axum::serve(listener, routes);
        let server = tokio::spawn(std::future::IntoFuture::into_future(serving)).abort_handle();
        Ok(Self { address, state, server })
    }

    /// `http://127.0.0.1:PORT`, under which the archives are.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves an archive of these records for `ecosystem`.
    pub fn put(&self, ecosystem: &str, records: &[Value]) {
        self.put_bytes(ecosystem, archive(records));
    }

    /// Serves an archive of the records `<folder>/<Ecosystem>/*.json` for each ecosystem there.
    pub fn put_folder(&self, folder: &Path) {
        let read = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for ecosystem in read(folder).filter(|path| path.is_dir()) {
            let mut files: Vec<_> = read(&ecosystem).collect();
            files.sort();
            let records: Vec<Value> = files
                .iter()
                .map(|file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
                .collect();
            self.put(ecosystem.file_name().unwrap().to_str().unwrap(), &records);
        }
    }

    /// Serves these bytes as the archive of `ecosystem`.
    pub fn put_bytes(&self, ecosystem: &str, bytes: impl Into<Bytes>) {
        self.put_file(&path_of(ecosystem), bytes);
    }

    /// Serves these bytes at this path, which begins with a slash.
    pub fn put_file(&self, path: &str, bytes: impl Into<Bytes>) {
        let mut state = self.state();
        state.changes += 1;
        let change = state.changes;
        state.archives.insert(path.to_owned(), (bytes.into(), change));
    }

    /// From now on this goes wrong with the archive of `ecosystem`.
    pub fn fail(&self, ecosystem: &str, fault: Fault) {
        self.fail_file(&path_of(ecosystem), fault);
    }

    /// From now on this goes wrong with what is at this path.
    pub fn fail_file(&self, path: &str, fault: Fault) {
        self.state().faults.insert(path.to_owned(), fault);
    }

    /// Nothing goes wrong any more.
    pub fn recover(&self) {
        self.state().faults.clear();
    }

    /// From now on answers have these validators.
    pub fn validators(&self, validators: Validators) {
        self.state().validators = validators;
    }

    /// The requests so far, oldest first.
    pub fn requests(&self) -> Vec<ArchiveRequest> {
        self.state().requests.clone()
    }

    /// The statuses of the answers about `ecosystem` so far, oldest first.
    pub fn statuses(&self, ecosystem: &str) -> Vec<u16> {
        self.statuses_of(&path_of(ecosystem))
    }

    /// The statuses of the answers about this path so far, oldest first.
    pub fn statuses_of(&self, path: &str) -> Vec<u16> {
        let state = self.state();
        state.requests.iter().filter(|request| request.path == path).map(|request| request.status).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for ArchiveServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn path_of(ecosystem: &str) -> String {
    format!("/{}/all.zip", ecosystem.replace(' ', "%20"))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(Shared(state): Shared<Arc<Mutex<State>>>, request: Request) -> Response<Body> {
    let mut state = lock(&state);
    let path = request.uri().path().to_owned();
    let response = state.answer(&path, request.headers());
    let user_agent =
        request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
    state.requests.push(ArchiveRequest { path, user_agent, status: response.status().as_u16() });
    response
}

impl State {
    fn answer(&self, path: &str, asked: &HeaderMap) -> Response<Body> {
        let Some((bytes, change)) = self.archives.get(path) else { return status(StatusCode::NOT_FOUND) };
        let length = bytes.len();
        let half = bytes.slice(..length / 2);
        let mut response = match self.faults.get(path) {
            None => Response::new(Body::from(bytes.clone())),
            Some(Fault::Status(code)) => return status(StatusCode::from_u16(*code).unwrap()),
            Some(Fault::Redirect(target)) => {
                let mut response = status(StatusCode::FOUND);
                response.headers_mut().insert(LOCATION, target.parse().unwrap());
                return response;
            }
            Some(Fault::Half) => Response::new(Body::from(half)),
            Some(Fault::Truncated) => {
                return parts(length, vec![Ok(half), Err(std::io::Error::other("the test asked for this"))]);
            }
            Some(Fault::TooShort) => return parts(length + 1, vec![Ok(bytes.clone())]),
            Some(Fault::Hangs) => {
                let begun = futures::stream::iter([Ok::<_, std::io::Error>(half)]);
                let body = futures::StreamExt::chain(begun, futures::stream::pending());
                return Response::new(Body::from_stream(body));
            }
        };
        let etag = format!("\"{}\"", Digest::of(bytes).hex());
        // A change is an hour.
        let last_modified = format!("Mon, 01 Jan 2024 {:02}:00:00 GMT", change % 24);
        let (etag, last_modified) = match self.validators {
            Validators::Both => (Some(etag), Some(last_modified)),
            Validators::LastModified => (None, Some(last_modified)),
            Validators::None => (None, None),
        };
        let is = |name: HeaderName, value: &Option<String>| {
            asked.get(name).zip(value.as_ref()).map(|(asked, value)| asked.as_bytes() == value.as_bytes())
        };
        // If-None-Match goes first: https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2
        if is(IF_NONE_MATCH, &etag).or(is(IF_MODIFIED_SINCE, &last_modified)) == Some(true) {
            response = status(StatusCode::NOT_MODIFIED);
        }
        for (name, value) in [(ETAG, etag), (LAST_MODIFIED, last_modified)] {
            if let Some(value) = value {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
        }
        response
    }
}

/// An answer of these parts, which says that it has `length` bytes.
fn parts(length: usize, parts: Vec<std::io::Result<Bytes>>) -> Response<Body> {
    let mut response = Response::new(Body::from_stream(futures::stream::iter(parts)));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
