//! Logs: constant messages with dotted fields, as text for people, on standard error.

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// What is logged when the filter cannot be read.
const DEFAULT_FILTER: &str = "info";

/// Begins to write logs of the given level and worse. `filter` is a directive list such as `info,tidewatch=debug`; in
/// place of one that cannot be read, `info` is taken, and the first line says so. Calling it again changes nothing.
pub fn start(filter: &str) {
    let (subscriber, problem) = subscriber(filter, std::io::stderr);
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

/// What writes events to `writer`, and what is wrong with `filter`.
fn subscriber<W>(filter: &str, writer: W) -> (impl Subscriber + use<W>, Option<ParseError>)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, problem) = match EnvFilter::try_new(filter) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(DEFAULT_FILTER), Some(error)),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(false)
        .with_target(false)
        .finish();
    (subscriber, problem)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::Arc;

    use super::*;

    /// The lines that a process with this filter writes for an event of each level.
    fn logged(filter: &str) -> Vec<String> {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let (subscriber, problem) = subscriber(filter, Arc::new(writer));
        tracing::subscriber::with_default(subscriber, || {
            report(filter, problem.as_ref());
            tracing::error!("an error");
            tracing::info!("an event");
            tracing::debug!("a detail");
        });
        let mut written = String::new();
        reader.read_to_string(&mut written).unwrap();
        written.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_reported_once_and_info_is_taken() {
        let lines = logged("tidewatch=loud");
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains("log filter cannot be read") && lines[0].contains("tidewatch=loud"));
        assert!(lines[1].contains("an error") && lines[2].contains("an event"));
    }

    #[test]
    fn a_filter_chooses_what_is_logged_and_is_not_reported() {
        for (filter, count) in [("error", 1), ("info", 2), ("info,tidewatch_runtime=debug", 3), ("off", 0)] {
            assert_eq!(logged(filter).len(), count, "{filter}");
        }
    }
}
