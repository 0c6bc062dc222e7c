//! How much is in the queues, which are those of all organisations of the instance.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tidewatch_core::ports::queue::{QueueError, QueueName};
use tidewatch_core::ports::queue_depths::QueueDepth;
use tidewatch_runtime::messages::describe;
use tidewatch_runtime::queue_depths::queue_depths;
use tidewatch_runtime::system::SystemSleeper;

use crate::instance::Instance;
use crate::output::{Table, cell, number_cell, print_line};

/// How long a queue may take: a request to one of a stack is tried again after some seconds.
const LIMIT: Duration = Duration::from_secs(10);

/// How much is in a queue. What is not known is `null`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct QueueRow {
    /// All messages but the dead letters.
    messages: Option<u64>,
    visible: Option<u64>,
    in_flight: Option<u64>,
    delayed: Option<u64>,
    dead_letters: Option<u64>,
    /// For how long the message that has waited longest is visible.
    longest_wait_seconds: Option<u64>,
    /// Why it cannot be asked.
    error: Option<String>,
}

impl From<Result<QueueDepth, QueueError>> for QueueRow {
    fn from(answer: Result<QueueDepth, QueueError>) -> Self {
        let (depth, error) = match answer {
            Ok(depth) => (Some(depth), None),
            Err(error) => (None, Some(describe(&error))),
        };
        Self {
            messages: depth.map(|depth| depth.messages()),
            visible: depth.map(|depth| depth.visible),
            in_flight: depth.map(|depth| depth.in_flight),
            delayed: depth.map(|depth| depth.delayed),
            dead_letters: depth.map(|depth| depth.dead_letters),
            longest_wait_seconds: depth.and_then(|depth| depth.longest_wait_seconds),
            error,
        }
    }
}

/// All queues. One that cannot be asked says why; nothing else of the status depends on it.
pub(super) async fn queues(instance: &Instance) -> BTreeMap<&'static str, QueueRow> {
    let answers = queue_depths(&*instance.depths, &SystemSleeper, LIMIT).await;
    let row = |(queue, answer): (QueueName, _)| (queue.as_str(), QueueRow::from(answer));
    answers.into_iter().map(row).collect()
}

/// Prints them as a table, and below it what went wrong.
pub(super) fn print(queues: &BTreeMap<&'static str, QueueRow>) {
    print_line("");
    let mut table = Table::new(["QUEUE", "VISIBLE", "IN FLIGHT", "DELAYED", "DEAD LETTERS", "LONGEST WAIT"]);
    for (name, row) in queues {
        let counts = [row.visible, row.in_flight, row.delayed, row.dead_letters];
        let numbers = counts.map(|count| shown(count, "")).into_iter();
        let numbers = numbers.chain([shown(row.longest_wait_seconds, "s")]).map(number_cell);
        table.row([cell(name)].into_iter().chain(numbers));
    }
    table.print();
    for (name, row) in queues {
        if let Some(error) = &row.error {
            print_line(&format!("{name}: {error}"));
        }
    }
}

/// A number, also one that is not known.
fn shown(number: Option<u64>, unit: &str) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number}{unit}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_of_a_queue_is_null_and_not_zero() {
        let row = |answer| serde_json::to_value(QueueRow::from(answer)).unwrap();
        let depth =
            QueueDepth { visible: 4, in_flight: 2, delayed: 1, dead_letters: 3, longest_wait_seconds: None };
        let expected = json!({
            "messages": 7, "visible": 4, "in_flight": 2, "delayed": 1, "dead_letters": 3,
            "longest_wait_seconds": null, "error": null,
        });
        assert_eq!(row(Ok(depth)), expected);
        let error = QueueError::Unavailable { queue: QueueName::Hints, source: "no answer".into() };
        let expected = json!({
            "messages": null, "visible": null, "in_flight": null, "delayed": null, "dead_letters": null,
            "longest_wait_seconds": null, "error": "failed to reach queue hints: no answer",
        });
        assert_eq!(row(Err(error)), expected);
    }
}
