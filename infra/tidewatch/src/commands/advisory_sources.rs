//! `tidewatch advisories sync`, and what `tidewatch advisories info` says of the sources.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::DecimalBytes;
use jiff::Timestamp;
use serde::Serialize;
use tidewatch_core::ports::queue::QueueName;
use tidewatch_core::work::AdvisoriesMessage;
use tidewatch_runtime::messages::send;
use tidewatch_store::records::{AdvisorySource, SourceError, StoredSource};
use tidewatch_sync_advisories::parse_ecosystems;

use super::Context;
use crate::cli::Ecosystems;
use crate::failure::Failure;
use crate::output::{Table, advise, ago, cell, number_cell, print_document, print_line};

#[derive(Serialize)]
struct Sent {
    /// The ecosystems that were sent for.
    ecosystems: Vec<String>,
}

/// One source, as `advisories info` shows it.
#[derive(Serialize)]
pub(super) struct SourceRow {
    ecosystem: String,
    url: Option<String>,
    checked_at: Option<Timestamp>,
    changed_at: Option<Timestamp>,
    /// Bytes of the archive.
    size: Option<u64>,
    records: Option<u64>,
    /// Number of things in it that could not be used.
    problems: Option<u64>,
    error: Option<SourceError>,
}

/// Sends for ecosystems, and says how to look what comes of it.
pub(super) async fn sync(context: &Context, arguments: Ecosystems) -> Result<(), Failure> {
    let ecosystems =
        parse_ecosystems(arguments.names.iter().map(String::as_str)).map_err(Failure::wrong_use)?;
    let instance = context.existing_instance().await?;
    let message = |ecosystem: &String| AdvisoriesMessage { ecosystem: ecosystem.clone(), failures: 0 };
    let messages: Vec<_> = ecosystems.iter().map(message).collect();
    send(&*instance.queue, QueueName::Advisories, &messages, Duration::ZERO).await?;
    let ecosystems: Vec<String> = ecosystems.into_iter().collect();
    if context.is_json() {
        return print_document("advisories-sync", 1, &Sent { ecosystems });
    }
    print_line(&format!("sent for: {}", ecosystems.join(", ")));
    if instance.is_running {
        advise(context.quiet, "see what came of it: tidewatch advisories info");
    } else {
        advise(
            context.quiet,
            "nothing runs on this data folder; it waits for: tidewatch up --advisories-url URL",
        );
    }
    Ok(())
}

/// The rows of the sources.
pub(super) fn rows(sources: BTreeMap<String, StoredSource>) -> Vec<SourceRow> {
    let row = |(ecosystem, stored): (String, StoredSource)| {
        let AdvisorySource { url, checked_at, changed_at, archive, error, .. } = stored.source;
        SourceRow {
            ecosystem,
            url,
            checked_at,
            changed_at,
            size: archive.as_ref().map(|archive| archive.size),
            records: archive.as_ref().map(|archive| archive.records),
            problems: archive.as_ref().map(|archive| archive.problems),
            error,
        }
    };
    sources.into_iter().map(row).collect()
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
        let size = row.size.map_or_else(String::new, |size| DecimalBytes(size).to_string());
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
