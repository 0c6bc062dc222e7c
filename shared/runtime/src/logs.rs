//! Logs: constant messages with dotted fields, on standard error. For people as text; deployed as JSON lines, one object
//! per event with the keys `timestamp`, `level`, `message`, the fields of the event, and `span`, which names the request.

use std::panic::PanicHookInfo;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// What is logged when the filter cannot be read.
const DEFAULT_FILTER: &str = "info";

/// What `lambda_runtime` is not to log, whatever the filter: errors of invocations, which the entry logs, and at `trace`
/// whole events, in which secrets of hooks and tokens stand.
const NEVER: [&str; 2] = ["lambda_runtime::layers::panic=off", "lambda_runtime::layers::api_response=info"];

/// How lines are written.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Json,
}

/// Begins to write logs of the given level and worse, as text. `filter` is a directive list such as
/// `info,tidewatch=debug`; in place of one that cannot be read, `info` is taken, and the first line says so. Calling it
/// again changes nothing.
pub fn start(filter: &str) {
    begin(filter, Form::Text);
}

/// The same as JSON lines, which logs every panic too.
pub fn start_deployed(filter: &str) {
    begin(filter, Form::Json);
    std::panic::set_hook(Box::new(report_panic));
}

fn begin(filter: &str, form: Form) {
    let (subscriber, problem) = subscriber(filter, form, std::io::stderr);
    // A second start in one process, as in tests, keeps the first, which has reported its own filter.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        report(filter, problem.as_ref());
    }
}

fn report(filter: &str, problem: Option<&ParseError>) {
    if let Some(error) = problem {
        tracing::warn!(
            filter.given = filter, filter.used = DEFAULT_FILTER, error = %error, "log filter cannot be read"
        );
    }
}

fn report_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let error = panic.payload_as_str().unwrap_or_default();
    tracing::error!(code.place = place, error, "thread panicked");
}

/// What writes events to `writer`, and what is wrong with `filter`.
fn subscriber<W>(
    filter: &str,
    form: Form,
    writer: W,
) -> (Box<dyn Subscriber + Send + Sync>, Option<ParseError>)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, problem) = match EnvFilter::try_new(filter) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(DEFAULT_FILTER), Some(error)),
    };
    let never = NEVER.iter().filter_map(|directive| directive.parse::<Directive>().ok());
    let filter = never.fold(filter, EnvFilter::add_directive);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(false)
        .with_target(false);
    let subscriber: Box<dyn Subscriber + Send + Sync> = match form {
        Form::Text => Box::new(lines.finish()),
        Form::Json => {
            Box::new(lines.json().flatten_event(true).with_current_span(true).with_span_list(false).finish())
        }
    };
    (subscriber, problem)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;

    /// The lines that a process with this filter writes of what `happens`.
    fn written(filter: &str, form: Form, happens: impl FnOnce()) -> Vec<String> {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let (subscriber, problem) = subscriber(filter, form, Arc::new(writer));
        tracing::subscriber::with_default(subscriber, || {
            report(filter, problem.as_ref());
            happens();
        });
        let mut written = String::new();
        reader.read_to_string(&mut written).unwrap();
        written.lines().map(str::to_owned).collect()
    }

    fn an_event_of_each_level() {
        tracing::error!("an error");
        tracing::info!("an event");
        tracing::debug!("a detail");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_reported_once_and_info_is_taken() {
        let lines = written("tidewatch=loud", Form::Text, an_event_of_each_level);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains("log filter cannot be read") && lines[0].contains("tidewatch=loud"));
        assert!(lines[1].contains("an error") && lines[2].contains("an event"));
    }

    #[test]
    fn a_filter_chooses_what_is_logged_and_is_not_reported() {
        for (filter, count) in [("error", 1), ("info", 2), ("info,tidewatch_runtime=debug", 3), ("off", 0)] {
            for form in [Form::Text, Form::Json] {
                assert_eq!(written(filter, form, an_event_of_each_level).len(), count, "{filter}");
            }
        }
    }

    #[test]
    fn no_filter_shows_the_events_of_lambda_in_which_secrets_stand() {
        let lines = written("trace", Form::Json, || {
            tracing::trace!(target: "lambda_runtime::layers::api_response", body = "twh_secret", "raw event");
            tracing::trace!("a detail");
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("a detail"));
    }

    #[test]
    fn a_deployed_function_writes_one_json_object_per_event_that_names_the_request() {
        let lines = written("warn", Form::Json, || {
            let invocation = tracing::error_span!("invocation", request.id = "8476a536");
            invocation.in_scope(|| {
                tracing::warn!(queue.name = %"hints", message.receives = 3_u32, retry = true, "message\nfailed");
            });
        });
        let mut lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 1);
        let timestamp = lines[0].as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(timestamp.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{timestamp}");
        let expected = serde_json::json!({
            "level": "WARN",
            "message": "message\nfailed",
            "queue.name": "hints",
            "message.receives": 3,
            "retry": true,
            "span": {"name": "invocation", "request.id": "8476a536"},
        });
        assert_eq!(lines[0], expected);
    }

    #[test]
    fn an_error_that_the_entry_has_logged_is_not_logged_again() {
        let lines = written("info", Form::Json, || {
            tracing::error!(target: "lambda_runtime::layers::panic", "the same in other words");
            tracing::error!(target: "lambda_runtime::runtime", "another");
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
}
