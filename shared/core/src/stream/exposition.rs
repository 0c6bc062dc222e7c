//! The metrics endpoint's text: Docker Scout's families, names and labels, in the Prometheus text format 0.0.4.
//!
//! Specification: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::fmt::Write as _;

use super::Totals;
use crate::names::{PolicyId, StreamName};
use crate::severity::Severity;

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
    let policy_lines = |name: &str, value: fn(&Totals, &PolicyId) -> u64| {
        let mut lines = Vec::with_capacity(streams.len() * policies.len());
        for (id, display_name) in policies {
            for stream in streams {
                let labels = [
                    ("id", id.as_str()),
                    ("displayName", display_name),
                    ("streamName", stream.name.as_str()),
                ];
                lines.push(line(name, &labels, value(&stream.totals, id)));
            }
        }
        lines
    };
    let mut text = String::new();
    family(
        &mut text,
        "scout_policy_compliant_images",
        "Images of a stream that comply with a policy",
        |name| policy_lines(name, |totals, id| totals.policies.get(id).map_or(0, |policy| policy.compliant)),
    );
    family(
        &mut text,
        "scout_policy_evaluated_images",
        "Images of a stream that a policy could judge",
        |name| policy_lines(name, |totals, id| totals.policies.get(id).map_or(0, |policy| policy.evaluated)),
    );
    family(&mut text, "scout_stream_vulnerabilities", "Vulnerabilities of the images of a stream", |name| {
        let mut lines = Vec::with_capacity(streams.len() * Severity::ALL.len());
        for stream in streams {
            for severity in Severity::ALL {
                let labels = [("streamName", stream.name.as_str()), ("severity", severity.as_str())];
                lines.push(line(name, &labels, stream.totals.vulnerabilities.of(severity)));
            }
        }
        lines
    });
    text
}

fn family(text: &mut String, name: &str, help: &str, lines: impl FnOnce(&str) -> Vec<String>) {
    let mut lines = lines(name);
    lines.sort_unstable();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    text.extend(lines);
}

fn line(name: &str, labels: &[(&str, &str)], value: u64) -> String {
    let labels: Vec<String> =
        labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect();
    format!("{name}{{{}}} {value}\n", labels.join(","))
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organisation_without_images_has_every_series_at_zero() {
        let streams = [StreamTotals { name: StreamName::latest_indexed(), totals: Totals::default() }];
        let policies = [("fixable-vulnerabilities".parse().unwrap(), "No \"fixable\" ones".to_owned())];
        insta::assert_snapshot!(render(&streams, &policies), @r#"
        # HELP scout_policy_compliant_images Images of a stream that comply with a policy
        # TYPE scout_policy_compliant_images gauge
        scout_policy_compliant_images{id="fixable-vulnerabilities",displayName="No \"fixable\" ones",streamName="latest-indexed"} 0
        # HELP scout_policy_evaluated_images Images of a stream that a policy could judge
        # TYPE scout_policy_evaluated_images gauge
        scout_policy_evaluated_images{id="fixable-vulnerabilities",displayName="No \"fixable\" ones",streamName="latest-indexed"} 0
        # HELP scout_stream_vulnerabilities Vulnerabilities of the images of a stream
        # TYPE scout_stream_vulnerabilities gauge
        scout_stream_vulnerabilities{streamName="latest-indexed",severity="CRITICAL"} 0
        scout_stream_vulnerabilities{streamName="latest-indexed",severity="HIGH"} 0
        scout_stream_vulnerabilities{streamName="latest-indexed",severity="LOW"} 0
        scout_stream_vulnerabilities{streamName="latest-indexed",severity="MEDIUM"} 0
        scout_stream_vulnerabilities{streamName="latest-indexed",severity="UNSPECIFIED"} 0
        "#);
    }

    #[test]
    fn the_text_ends_with_a_newline() {
        assert!(render(&[], &[]).ends_with("gauge\n"));
    }
}
