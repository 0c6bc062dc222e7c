//! A server that means ill: it answers every request with the same trick, and notes what credentials it was sent.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// What it does with every request.
#[derive(Clone, Debug)]
pub enum Trick {
    /// It answers this, with these headers.
    Answer {
        /// The status.
        status: u16,
        /// Names and values.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Bytes,
    },
    /// It sends bytes without an end, as fast as they are taken.
    Endless,
    /// It sends one byte after each such pause, without an end.
    Drip(Duration),
    /// The same, with the status 403.
    DripRefusal(Duration),
}

/// The server.
pub struct HostileServer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Option<String>>>>,
    server: AbortHandle,
}

impl HostileServer {
    /// Starts one on a free port of the loopback address.
    ///
    /// # Errors
    /// When no port can be listened to.
    pub async fn start(trick: Trick) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let seen: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
        let noted = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Request| {
            let sent = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(sent.map(str::to_owned));
            let trick = trick.clone();
            async move { answer(trick) }
        });
        let serving = tokio::spawn(std::future::IntoFuture::into_future(axum::serve(listener, router)));
        Ok(Self { address, seen, server: serving.abort_handle() })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The header `Authorization` of each request.
    pub fn seen(&self) -> Vec<Option<String>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for HostileServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn answer(trick: Trick) -> Response {
    let endless = || stream::repeat(Ok::<_, Infallible>(Bytes::from(vec![b' '; 64 << 10])));
    match trick {
        Trick::Answer { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).expect("a status and headers that HTTP allows")
        }
        Trick::Endless => Response::new(Body::from_stream(endless())),
        Trick::Drip(pause) | Trick::DripRefusal(pause) => {
            let is_refusal = matches!(trick, Trick::DripRefusal(_));
            let drip = stream::repeat(()).then(move |()| async move {
                wait(pause).await;
                Ok::<_, Infallible>(Bytes::from_static(b" "))
            });
            let mut response = Response::new(Body::from_stream(drip));
            if is_refusal {
                *response.status_mut() = StatusCode::FORBIDDEN;
            }
            response
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a server that is slow is slow by the clock of the machine")]
async fn wait(pause: Duration) {
    tokio::time::sleep(pause).await;
}
