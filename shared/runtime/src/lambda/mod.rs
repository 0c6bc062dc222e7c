//! The entry of every deployed function: takes the events of AWS Lambda, and hands them to what the function has
//! registered for a schedule, for queues or for HTTP requests.
//!
//! It speaks the [Runtime API](https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html) by `lambda_runtime`, one
//! event at a time. Whatever an event leads to is logged here, once, in JSON lines that name the request. Nothing is to
//! be done before the process is ended: what was answered is durable, so no signal is listened to.

mod event;
mod http;
mod queues;

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::sqs::SqsBatchResponse;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use lambda_runtime::{Context, Diagnostic, LambdaEvent, Runtime, service_fn};
use serde::Serialize;
use serde_json::Value;
use tracing::Instrument as _;

use crate::messages::{Deadline, describe};
use crate::{environment, logs};

pub use event::{Event, UnknownEvent};
pub use queues::Queues;

/// The variable by which Lambda says where its Runtime API is.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

type Schedule = Box<dyn Fn() -> LocalBoxFuture<'static, Result<(), String>>>;
type Http = Box<dyn Fn(ApiGatewayV2httpRequest) -> LocalBoxFuture<'static, ApiGatewayV2httpResponse>>;

/// What a function answers. An event of a kind that nothing is registered for fails the invocation.
#[derive(Default)]
pub struct Entry {
    schedule: Option<Schedule>,
    queues: Option<Queues>,
    http: Option<Http>,
}

/// The answer to an event, in the form that its sender wants.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To a schedule, which reads none: `null`.
    Done,
    /// To a batch of a queue: the messages that failed.
    Batch(SqsBatchResponse),
    /// To an HTTP request.
    Http(Box<ApiGatewayV2httpResponse>),
}

/// Why an invocation fails, so that Lambda counts it and, where it tries again, does.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// The event is of no kind that is known.
    #[error(transparent)]
    Event(#[from] UnknownEvent),
    /// The event is of a kind that this function does not take.
    #[error("failed to take {0}: this function takes none")]
    Unexpected(&'static str),
    /// A scheduled tick failed.
    #[error("failed to do the scheduled work: {0}")]
    Schedule(String),
    /// A message has no identifier, so that the whole batch must come again.
    #[error("failed to report a message that has no identifier")]
    Unidentified,
    /// A handler panicked; the panic is logged where it happened.
    #[error("failed to handle the event: the handler panicked")]
    Panic,
}

impl InvocationError {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Event(_) => "UnknownEvent",
            Self::Unexpected(_) => "UnexpectedEvent",
            Self::Schedule(_) => "ScheduleFailed",
            Self::Unidentified => "UnidentifiedMessage",
            Self::Panic => "Panic",
        }
    }
}

impl From<InvocationError> for Diagnostic {
    fn from(error: InvocationError) -> Self {
        Self { error_type: error.kind().to_owned(), error_message: describe(&error) }
    }
}

impl Entry {
    /// A function that takes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does `tick` at each event of a schedule. Its error fails the invocation.
    #[must_use]
    pub fn schedule<T, E>(mut self, tick: impl AsyncFn() -> Result<T, E> + Clone + 'static) -> Self
    where
        E: Error,
    {
        self.schedule = Some(Box::new(move || {
            let tick = tick.clone();
            async move { tick().await.map(drop).map_err(|error| describe(&error)) }.boxed_local()
        }));
        self
    }

    /// Takes the messages of these queues.
    #[must_use]
    pub fn queues(mut self, queues: Queues) -> Self {
        self.queues = Some(queues);
        self
    }

    /// Answers HTTP requests by `handler`. When it panics, the client gets a 500 without details.
    #[must_use]
    pub fn http(
        mut self,
        handler: impl AsyncFn(ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse + Clone + 'static,
    ) -> Self {
        self.http = Some(Box::new(move |request| {
            let handler = handler.clone();
            async move { handler(request).await }.boxed_local()
        }));
        self
    }

    /// Answers one event, which must be done with by `deadline`. Failures are logged.
    pub async fn answer(&self, event: Value, deadline: Deadline) -> Result<Answer, InvocationError> {
        let answer = self.dispatch(event, deadline).await;
        if let Err(error) = &answer {
            tracing::error!(error.kind = error.kind(), error = %describe(error), "invocation failed");
        }
        answer
    }

    async fn dispatch(&self, event: Value, deadline: Deadline) -> Result<Answer, InvocationError> {
        let event = match Event::read(event) {
            Err(error @ UnknownEvent::Http(_)) if self.http.is_some() => {
                tracing::error!(error = %describe(&error), "request cannot be read");
                return Ok(Answer::Http(Box::new(http::internal_error())));
            }
            event => event?,
        };
        match (event, self) {
            (Event::Schedule, Self { schedule: Some(tick), .. }) => {
                let done = AssertUnwindSafe(tick()).catch_unwind().await;
                done.map_err(|_| InvocationError::Panic)?.map_err(InvocationError::Schedule)?;
                Ok(Answer::Done)
            }
            (Event::Messages(records), Self { queues: Some(queues), .. }) => {
                Ok(Answer::Batch(queues.take(records, deadline).await?))
            }
            (Event::Http(request), Self { http: Some(handler), .. }) => {
                Ok(Answer::Http(Box::new(http::answer(handler, *request, deadline).await)))
            }
            (event, _) => Err(InvocationError::Unexpected(event.kind())),
        }
    }

    /// Serves events until Lambda ends the process.
    async fn serve(self) -> Result<(), lambda_runtime::Error> {
        let entry = &self;
        let service = service_fn(async |event: LambdaEvent<Value>| {
            let LambdaEvent { payload, context } = event;
            // Of the highest level, so that no filter leaves the request out of a line.
            let span = tracing::error_span!("invocation", request.id = context.request_id);
            entry.answer(payload, deadline(&context)).instrument(span).await
        });
        Runtime::new(service).run().await
    }
}

/// An empty folder for temporary files of this process, whose name begins with `name`. Those of processes that are gone
/// are removed: one that Lambda has killed leaves its files to the next one in the same environment.
pub fn scratch_folder(name: &str) -> std::io::Result<PathBuf> {
    let (temporary, own) = (std::env::temp_dir(), std::process::id());
    let owner =
        |file: &std::ffi::OsStr| file.to_str()?.strip_prefix(name)?.strip_prefix('-')?.parse::<u32>().ok();
    for left in std::fs::read_dir(&temporary)?.flatten() {
        let is_gone = |owner: u32| owner == own || !Path::new("/proc").join(owner.to_string()).exists();
        if owner(&left.file_name()).is_some_and(is_gone) {
            // What cannot be removed takes space and does no other harm; it is tried again at the next start.
            let _ = std::fs::remove_dir_all(left.path());
        }
    }
    let folder = temporary.join(format!("{name}-{own}"));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// When Lambda ends the invocation.
fn deadline(context: &Context) -> Deadline {
    let end = i64::try_from(context.deadline).ok().and_then(|end| Timestamp::from_millisecond(end).ok());
    end.map_or(Deadline::NONE, Deadline::at)
}

/// Runs a function: starts the logs (`TIDEWATCH_LOG`, else `info`), makes its entry by `set_up`, and serves events until
/// Lambda ends the process. It returns only when the function cannot be set up, or Lambda cannot be reached: that is
/// logged.
pub async fn run<E: Into<Box<dyn Error + Send + Sync>>>(
    set_up: impl AsyncFnOnce() -> Result<Entry, E>,
) -> ExitCode {
    logs::start_deployed(&environment::variable("TIDEWATCH_LOG").unwrap_or_else(|| "info".to_owned()));
    if environment::variable(RUNTIME_API).is_none() {
        tracing::error!(
            variable.name = RUNTIME_API,
            "not in AWS Lambda, where alone functions run: the command is tidewatch"
        );
        return ExitCode::FAILURE;
    }
    let done = match set_up().await {
        Ok(entry) => entry.serve().await,
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %describe(&*error), "function cannot run");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests;
