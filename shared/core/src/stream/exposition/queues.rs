//! The families of the queues, for operators: they are of the whole deployment, and change without a new snapshot. So
//! they are no part of the text that is stored, and are written when they are asked for.

use std::collections::BTreeMap;

use super::{family, labels};
use crate::ports::queue::QueueName;
use crate::ports::queue_depths::QueueDepth;

/// The text for the queues that were asked, `None` for one that did not say: families of gauges in the order of their names,
/// the lines of each sorted by their bytes. What is not known has no line, but for `tidewatch_queue_up`, which then is 0.
pub fn render_queues(queues: &BTreeMap<QueueName, Option<QueueDepth>>) -> String {
    let known = || queues.iter().filter_map(|(queue, depth)| Some((queue.as_str(), (*depth)?)));
    let mut text = String::new();
    family(
        &mut text,
        "tidewatch_queue_longest_wait_seconds",
        "For how long the message of a queue that has waited longest can be received",
        known().filter_map(|(queue, depth)| Some((labels([("queue", queue)]), depth.longest_wait_seconds?))),
    );
    family(
        &mut text,
        "tidewatch_queue_messages",
        "Messages of a queue of the deployment by what becomes of them next",
        known().flat_map(|(queue, depth)| {
            states(depth).map(|(state, messages)| (labels([("queue", queue), ("state", state)]), messages))
        }),
    );
    family(
        &mut text,
        "tidewatch_queue_up",
        "Whether a queue of the deployment said how much is in it",
        queues.iter().map(|(queue, depth)| (labels([("queue", queue.as_str())]), u64::from(depth.is_some()))),
    );
    text
}

/// The numbers of a queue by the label `state`; a message is in one of them.
const fn states(depth: QueueDepth) -> [(&'static str, u64); 4] {
    [
        ("dead_letter", depth.dead_letters),
        ("delayed", depth.delayed),
        ("in_flight", depth.in_flight),
        ("visible", depth.visible),
    ]
}
