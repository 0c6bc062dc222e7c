//! The metrics endpoint's texts: Docker Scout's families, names and labels ([`render`]), families of our own
//! ([`render_own`]), and those of the queues for operators ([`render_queues`]), in the Prometheus text format 0.0.4.
//!
//! Specifications: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>,
//! <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>

mod own;
mod queues;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use super::Totals;
use crate::names::{PolicyId, StreamName};
use crate::severity::Severity;

pub use own::{AdvisoryIndexTimes, AdvisorySourceTimes, OwnFacts, render_own, render_snapshot_times};
pub use queues::render_queues;

/// One stream and its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamTotals {
    /// The stream: the label `streamName`.
    pub name: StreamName,
    /// Its numbers.
    pub totals: Totals,
}

/// The text for `streams` and the enabled `policies` (id and display name): three families of gauges, the lines of
/// each sorted by their bytes, with every policy and every severity of every stream, zeros included.
pub fn render(streams: &[StreamTotals], policies: &[(PolicyId, String)]) -> String {
    let mut text = String::new();
    family(
        &mut text,
        "scout_policy_compliant_images",
        "Images of a stream that comply with a policy",
        policy_samples(streams, policies, |totals, id| totals.policy(id).compliant),
    );
    family(
        &mut text,
        "scout_policy_evaluated_images",
        "Images of a stream that a policy could judge",
        policy_samples(streams, policies, |totals, id| totals.policy(id).evaluated),
    );
    let severities = streams.iter().flat_map(|stream| {
        Severity::ALL.map(|severity| {
            let labels = labels([("streamName", stream.name.as_str()), ("severity", severity.as_str())]);
            (labels, stream.totals.vulnerabilities.of(severity))
        })
    });
    family(
        &mut text,
        "scout_stream_vulnerabilities",
        "Vulnerabilities of the images of a stream",
        severities,
    );
    text
}

/// A text of this module as OpenMetrics 1.0. Gauges are written alike in both formats, but for the end of an exposition:
/// without it a scraper takes the text for one that broke off.
pub fn open_metrics(text: &str) -> String {
    format!("{text}# EOF\n")
}

/// The numbers of each policy of each stream.
fn policy_samples(
    streams: &[StreamTotals],
    policies: &[(PolicyId, String)],
    value: fn(&Totals, &PolicyId) -> u64,
) -> impl Iterator<Item = (String, u64)> {
    policies.iter().flat_map(move |(id, display_name)| {
        streams.iter().map(move |stream| {
            let labels = labels([
                ("id", id.as_str()),
                ("displayName", display_name),
                ("streamName", stream.name.as_str()),
            ]);
            (labels, value(&stream.totals, id))
        })
    })
}

/// Writes a family of gauges, its samples (labels as [`labels`] gives them, and value) sorted by their bytes. `help` has
/// neither quotes nor backslashes, which the two formats escape differently.
fn family(text: &mut String, name: &str, help: &str, samples: impl IntoIterator<Item = (String, u64)>) {
    let mut lines: Vec<String> =
        samples.into_iter().map(|(labels, value)| format!("{name}{labels} {value}\n")).collect();
    lines.sort_unstable();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    text.extend(lines);
}

/// Labels as they stand in a line: names, and values that may hold anything. Nothing at all without any.
fn labels<const N: usize>(labels: [(&str, &str); N]) -> String {
    if N == 0 {
        return String::new();
    }
    let labels = labels.map(|(name, value)| format!("{name}=\"{}\"", escape(value)));
    format!("{{{}}}", labels.join(","))
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
