//! The Runtime API of AWS Lambda on loopback: what runs a function's binary without Lambda, one event at a time.
//!
//! Protocol: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tidewatch_core::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::AbortHandle;

/// The address that a function in this environment is told.
const ADDRESS: &str = "AWS_LAMBDA_RUNTIME_API";

/// An event on its way to the function.
struct Invocation {
    id: String,
    deadline: Timestamp,
    event: Value,
}

/// What the function said.
struct Answer {
    /// Of which invocation; none when it could not even start.
    id: Option<String>,
    said: Result<Value, Value>,
}

struct Shared {
    events: Mutex<mpsc::UnboundedReceiver<Invocation>>,
    answers: mpsc::UnboundedSender<Answer>,
    /// Whether the function has asked for an event.
    asked: watch::Sender<bool>,
}

/// A Runtime API for one process. Dropping it closes it.
pub struct RuntimeApi {
    address: SocketAddr,
    events: mpsc::UnboundedSender<Invocation>,
    answers: Mutex<mpsc::UnboundedReceiver<Answer>>,
    asked: watch::Receiver<bool>,
    invocations: AtomicU64,
    server: AbortHandle,
}

impl RuntimeApi {
    /// Serves on a free port of 127.0.0.1. Needs a running tokio.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (events, waiting) = mpsc::unbounded_channel();
        let (answered, answers) = mpsc::unbounded_channel();
        let (asking, asked) = watch::channel(false);
        let shared = Shared { events: Mutex::new(waiting), answers: answered, asked: asking };
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .with_state(Arc::new(shared));
        let serving = axum::serve(listener, routes);
        let server = tokio::spawn(std::future::IntoFuture::into_future(serving)).abort_handle();
        let (answers, invocations) = (Mutex::new(answers), AtomicU64::new(0));
        Ok(Self { address, events, answers, asked, invocations, server })
    }

    /// The variables that Lambda sets for `function`, without those of its credentials.
    pub fn environment(&self, function: &str) -> Vec<(&'static str, String)> {
        vec![
            (ADDRESS, self.address.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", function.to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{function}")),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "stream".to_owned()),
            ("LANG", "en_US.UTF-8".to_owned()),
            ("TZ", ":UTC".to_owned()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ]
    }

    /// Waits until the function has asked for an event: it is set up then.
    pub async fn ready(&self) {
        self.asked.clone().wait_for(|asked| *asked).await.expect("the server runs");
    }

    /// Hands over an event that must be answered by `deadline`. Gives the answer, or the error that the function
    /// reports.
    pub async fn invoke(&self, event: Value, deadline: Timestamp) -> Result<Value, Value> {
        let number = self.invocations.fetch_add(1, Ordering::Relaxed) + 1;
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let invocation = Invocation { id: id.clone(), deadline, event };
        self.events.send(invocation).unwrap_or_else(|_| panic!("the server has ended"));
        let answer = self.answers.lock().await.recv().await.expect("the server runs");
        assert!(answer.id.is_none_or(|answered| answered == id), "the answer is to another event");
        answer.said
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    shared.asked.send_replace(true);
    let Some(invocation) = shared.events.lock().await.recv().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        ("lambda-runtime-aws-request-id", invocation.id),
        ("lambda-runtime-deadline-ms", invocation.deadline.as_millisecond().to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:tested".to_owned(),
        ),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, invocation.event.to_string()).into_response()
}

async fn response(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    answer(&shared, Some(id), Ok(&body))
}

async fn error(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    answer(&shared, Some(id), Err(&body))
}

async fn init_error(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    answer(&shared, None, Err(&body))
}

fn answer(shared: &Shared, id: Option<String>, said: Result<&Bytes, &Bytes>) -> StatusCode {
    let read = |bytes: &Bytes| serde_json::from_slice(bytes).expect("functions answer in JSON");
    let said = said.map(read).map_err(read);
    // Nobody waits any more when the test has ended.
    let _ = shared.answers.send(Answer { id, said });
    StatusCode::ACCEPTED
}
