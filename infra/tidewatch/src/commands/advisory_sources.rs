//! The sources of advisories, as `tidewatch advisories info` and `sync` show them.

use std::collections::BTreeMap;

use indicatif::DecimalBytes;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tidewatch_store::records::{AdvisorySource, SourceError, SourceProgress, StoredSource};

use crate::output::{Table, ago, cell, number_cell};

/// One source.
#[derive(Default, Serialize)]
pub(super) struct SourceRow {
    ecosystem: String,
    url: Option<String>,
    checked_at: Option<Timestamp>,
    changed_at: Option<Timestamp>,
    /// When its publisher has released it, where that is said in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    released_at: Option<Timestamp>,
    /// Bytes of the archive.
    size: Option<u64>,
    records: Option<u64>,
    /// Number of things in it that could not be used.
    problems: Option<u64>,
    /// How far it is, while it is being fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    fetching: Option<Fetching>,
    error: Option<SourceError>,
}

/// How far a source is that is being fetched.
#[derive(Serialize)]
struct Fetching {
    /// Bytes that were fetched.
    done: u64,
    /// Bytes that there are; none when the server does not say.
    total: Option<u64>,
}

/// How long what was last told of a download is believed.
const FRESH: SignedDuration = SignedDuration::from_mins(2);

/// The rows of the sources.
pub(super) fn rows(
    sources: BTreeMap<String, StoredSource>,
    mut progress: BTreeMap<String, SourceProgress>,
    now: Timestamp,
) -> Vec<SourceRow> {
    let row = |(ecosystem, stored): (String, StoredSource)| {
        let told = progress.remove(&ecosystem);
        let fetching = told.filter(|told| is_going_on(told, &stored.source, now));
        let AdvisorySource { url, checked_at, changed_at, archive, error, .. } = stored.source;
        SourceRow {
            ecosystem,
            url,
            checked_at,
            changed_at,
            released_at: archive.as_ref().and_then(|archive| archive.released_at),
            size: archive.as_ref().map(|archive| archive.size),
            records: archive.as_ref().map(|archive| archive.records),
            problems: archive.as_ref().map(|archive| archive.problems),
            fetching: fetching.map(|told| Fetching { done: told.done, total: told.total }),
            error,
        }
    };
    let mut rows: Vec<_> = sources.into_iter().map(row).collect();
    // One that is fetched for the first time is no source yet.
    let begun = progress.into_iter().filter(|(_, told)| is_going_on(told, &AdvisorySource::default(), now));
    rows.extend(begun.map(|(ecosystem, told)| SourceRow {
        ecosystem,
        fetching: Some(Fetching { done: told.done, total: told.total }),
        ..SourceRow::default()
    }));
    rows.sort_by(|a, b| a.ecosystem.cmp(&b.ecosystem));
    rows
}

/// Whether a download that told this is likely to go on.
pub(super) fn is_going_on(told: &SourceProgress, source: &AdvisorySource, now: Timestamp) -> bool {
    let ended_at = source.checked_at.max(source.error.as_ref().map(|error| error.at));
    now.duration_since(told.at) < FRESH && ended_at.is_none_or(|ended_at| ended_at < told.at)
}

/// Prints the sources, where there are any.
pub(super) fn print(rows: &[SourceRow], now: Timestamp) {
    if rows.is_empty() {
        return;
    }
    let mut table =
        Table::new(["ECOSYSTEM", "RECORDS", "PROBLEMS", "SIZE", "CHECKED", "CHANGED", "FAILED", "ERROR"]);
    let number =
        |number: Option<u64>| number_cell(number.map_or_else(String::new, |number| number.to_string()));
    let time = |time: Option<Timestamp>| cell(time.map_or_else(String::new, |time| ago(time, now)));
    for row in rows {
        let size = match &row.fetching {
            Some(Fetching { done, total: Some(total) }) => {
                format!("{} of {}", DecimalBytes(*done), DecimalBytes(*total))
            }
            Some(Fetching { done, total: None }) => format!("{} so far", DecimalBytes(*done)),
            None => row.size.map_or_else(String::new, |size| DecimalBytes(size).to_string()),
        };
        let failed_at = row.error.as_ref().map(|error| error.at);
        let reason = row.error.as_ref().map_or("", |error| &error.reason);
        table.row([
            cell(&row.ecosystem),
            number(row.records),
            number(row.problems),
            number_cell(size),
            time(row.checked_at),
            time(row.changed_at),
            time(failed_at),
            cell(reason),
        ]);
    }
    table.print();
}
