//! How far a long download is: told to whoever looks, by an item beside the source, and to the log.

use std::time::Duration;

use tidewatch_core::Timestamp;
use tidewatch_core::ports::Clock;
use tidewatch_runtime::messages::describe;
use tidewatch_store::Records;
use tidewatch_store::records::SourceProgress;

/// How often a line is logged.
const LOGGED: Duration = Duration::from_secs(30);

/// How far the download of a source is.
pub(crate) struct Progress<'a> {
    records: &'a Records,
    clock: &'a dyn Clock,
    source: &'a str,
    every: Duration,
    done: u64,
    total: Option<u64>,
    told_at: Timestamp,
    logged_at: Timestamp,
}

impl<'a> Progress<'a> {
    /// The beginning of a download of `source`, which is told `every` so long while it goes on.
    pub(crate) fn new(records: &'a Records, clock: &'a dyn Clock, source: &'a str, every: Duration) -> Self {
        let now = clock.now();
        Self { records, clock, source, every, done: 0, total: None, told_at: now, logged_at: now }
    }

    /// So many bytes more are to come, where that is known.
    pub(crate) fn expect(&mut self, bytes: Option<u64>) {
        self.total = bytes.map(|bytes| self.done + bytes);
    }

    /// So many bytes more are here. A failure to tell it is no failure of the download.
    pub(crate) async fn add(&mut self, bytes: u64) {
        self.done += bytes;
        let now = self.clock.now();
        if has_passed(self.told_at, now, self.every) {
            self.told_at = now;
            let progress = SourceProgress { done: self.done, total: self.total, at: now };
            if let Err(error) = self.records.put_advisory_progress(self.source, &progress).await {
                tracing::debug!(error = %describe(&error), "progress cannot be told");
            }
        }
        if has_passed(self.logged_at, now, LOGGED) {
            self.logged_at = now;
            tracing::info!(
                advisories.ecosystem = self.source,
                advisories.archive.bytes = self.total,
                advisories.fetched.bytes = self.done,
                "advisories are being fetched"
            );
        }
    }
}

fn has_passed(since: Timestamp, now: Timestamp, period: Duration) -> bool {
    Duration::try_from(now.duration_since(since)).is_ok_and(|passed| passed >= period)
}
