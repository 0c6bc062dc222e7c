//! The families of our own: what the numbers of the other text rest on, and what they leave out. None of their names and
//! labels contains `scout`: who asks a scraper for everything that does gets the other text alone, and pays for no more.

use std::collections::BTreeMap;

use super::{StreamTotals, family, labels};
use crate::Timestamp;
use crate::names::{PolicyId, StreamName};
use crate::result::ResultState;
use crate::severity::Severity;
use crate::stream::Served;

/// The states of images that are always there, zeros included. Images of the others are not in every kind of stream.
const STATES: [ResultState; 4] =
    [ResultState::Scanned, ResultState::Partial, ResultState::Unsupported, ResultState::Eol];

/// The times of the index of a family of advisories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdvisoryIndexTimes {
    /// When it was built.
    pub built_at: Timestamp,
    /// When the newest of its records was changed; none when no record says.
    pub newest_modified: Option<Timestamp>,
}

/// What is known of the last looks at a source of advisories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdvisorySourceTimes {
    /// When its server last gave it, or said that it is unchanged; none before the first time.
    pub checked_at: Option<Timestamp>,
    /// Whether the last try failed.
    pub has_failed: bool,
}

/// What the text is made of, beside the streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnFacts {
    /// The indexes in force, by family.
    pub indexes: BTreeMap<String, AdvisoryIndexTimes>,
    /// The sources of advisories, by name.
    pub sources: BTreeMap<String, AdvisorySourceTimes>,
}

/// The text for the streams that are served, the enabled `policies` and `facts`: families of gauges in the order of their
/// names, the lines of each sorted by their bytes. Times are seconds since 1970; a time that is not known has no line.
/// [`render_snapshot_times`] is its end.
pub fn render_own(served: &Served, policies: &[PolicyId], facts: &OwnFacts) -> String {
    let mut text = String::new();
    render_advisories(&mut text, facts);
    family(
        &mut text,
        "tidewatch_dropped_series",
        "Series that are not served because there are more than the configuration allows",
        [(String::new(), served.dropped_series())],
    );
    family(
        &mut text,
        "tidewatch_dropped_streams",
        "Streams that are not served because there are more series than the configuration allows",
        [(String::new(), served.dropped.len() as u64)],
    );
    render_streams(&mut text, &served.streams, policies);
    text
}

/// The end of the text: when the snapshot was made, and when a roll-up last found it right. The last moves on while the
/// rest stays.
pub fn render_snapshot_times(made_at: Timestamp, checked_at: Timestamp) -> String {
    let mut text = String::new();
    family(
        &mut text,
        "tidewatch_snapshot_checked_timestamp_seconds",
        "When the served numbers were last found right",
        [(String::new(), seconds(checked_at))],
    );
    family(
        &mut text,
        "tidewatch_snapshot_made_timestamp_seconds",
        "When the served numbers were computed",
        [(String::new(), seconds(made_at))],
    );
    text
}

fn render_advisories(text: &mut String, facts: &OwnFacts) {
    let indexes = || facts.indexes.iter();
    let of_family = |family: &str| labels([("family", family)]);
    family(
        text,
        "tidewatch_advisory_index_built_timestamp_seconds",
        "When the index of a family of advisories was built",
        indexes().map(|(name, index)| (of_family(name), seconds(index.built_at))),
    );
    family(
        text,
        "tidewatch_advisory_newest_timestamp_seconds",
        "When the newest advisory of a family was changed",
        indexes().filter_map(|(name, index)| Some((of_family(name), seconds(index.newest_modified?)))),
    );
    let of_source = |source: &str| labels([("source", source)]);
    family(
        text,
        "tidewatch_advisory_source_checked_timestamp_seconds",
        "When a source of advisories last answered",
        facts
            .sources
            .iter()
            .filter_map(|(name, source)| Some((of_source(name), seconds(source.checked_at?)))),
    );
    family(
        text,
        "tidewatch_advisory_source_failed",
        "Whether the last look at a source of advisories failed",
        facts.sources.iter().map(|(name, source)| (of_source(name), u64::from(source.has_failed))),
    );
}

fn render_streams(text: &mut String, streams: &[StreamTotals], policies: &[PolicyId]) {
    let of_stream = |name: &StreamName| labels([("streamName", name.as_str())]);
    let of_policy = |stream: &StreamTotals, id: &PolicyId| {
        labels([("id", id.as_str()), ("streamName", stream.name.as_str())])
    };
    let images = streams.iter().flat_map(|stream| {
        let mut states: BTreeMap<ResultState, u64> = STATES.map(|state| (state, 0)).into();
        states.extend(&stream.totals.states);
        states.into_iter().map(|(state, images)| {
            (labels([("streamName", stream.name.as_str()), ("state", state.as_str())]), images)
        })
    });
    family(text, "tidewatch_images", "Images of a stream by how far they could be scanned", images);
    family(
        text,
        "tidewatch_oldest_result_timestamp_seconds",
        "When the oldest result of the images of a stream was computed",
        streams
            .iter()
            .filter_map(|stream| Some((of_stream(&stream.name), seconds(stream.totals.oldest_result_at?)))),
    );
    family(
        text,
        "tidewatch_policy_no_data_images",
        "Images of a stream of which a policy cannot say whether they comply",
        policies.iter().flat_map(|id| {
            streams.iter().map(move |stream| (of_policy(stream, id), stream.totals.policy(id).no_data()))
        }),
    );
    family(
        text,
        "tidewatch_policy_unjudged_images",
        "Images of a stream that a policy has not judged yet",
        policies.iter().flat_map(|id| {
            streams.iter().map(move |stream| (of_policy(stream, id), stream.totals.unjudged(id)))
        }),
    );
    family(
        text,
        "tidewatch_suppressed_findings",
        "Vulnerabilities of the images of a stream that do not count because of an exception",
        streams.iter().flat_map(|stream| {
            Severity::ALL.map(|severity| {
                let labels = labels([("streamName", stream.name.as_str()), ("severity", severity.as_str())]);
                (labels, stream.totals.suppressed.of(severity))
            })
        }),
    );
}

/// A time as metrics have it: seconds since 1970, never less than none.
fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_second()).unwrap_or(0)
}
