//! Makes the snapshot of an organisation from the totals of its streams, and publishes it.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use tidewatch_core::Digest;
use tidewatch_core::names::StreamName;
use tidewatch_core::stream::{StreamTotals, render};
use tidewatch_store::records::{AppliedConfig, PartState, Snapshot};

use crate::groups::Pass;
use crate::{RollUpError, RollUpStreams, sum};

/// The largest compressed snapshot: a table item holds 400 KB.
const MOST_BYTES: usize = 300 * 1024;

/// More than the totals of all groups ever change under one list of streams.
const CHANGES: i64 = 1 << 40;

/// How long a snapshot waits at most for images to be judged under a new configuration: what then is not judged is counted
/// as it was.
const LONGEST_SWITCH: Duration = Duration::from_secs(15 * 60);

/// The snapshot could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It could not be compressed.
    #[error("failed to compress the metrics")]
    Compression(#[source] std::io::Error),
    /// It is too large; the one before stays published.
    #[error("failed to publish metrics of {bytes} bytes compressed: at most {MOST_BYTES} fit")]
    TooLarge {
        /// Its compressed size.
        bytes: usize,
    },
}

impl RollUpStreams {
    /// Publishes a snapshot of these streams, the list of which has this `revision`, or notes that the published one is
    /// still right. While images are judged anew, because the policies or exceptions have changed, the published one stays
    /// as it is: its numbers are those of the old ones, until all are of the new ones.
    pub(crate) async fn publish(
        &self,
        pass: &Pass<'_>,
        revision: i64,
        streams: Vec<(StreamName, Vec<PartState>)>,
    ) -> Result<bool, RollUpError> {
        let Pass { org, applied, now, .. } = *pass;
        let mut number = revision.saturating_mul(CHANGES);
        let mut totals = Vec::with_capacity(streams.len());
        for (name, groups) in streams {
            let (sum, changes) = sum(&groups);
            number = number.saturating_add(changes);
            totals.push(StreamTotals { name, totals: sum });
        }
        if let Some(published) = self.records.snapshot(org).await? {
            if (published.config_version, published.number) == (applied.version, number) {
                self.records.confirm_snapshot(org, &published, now).await?;
                return Ok(false);
            }
            let unjudged: u64 = totals.iter().map(|stream| stream.totals.unjudged).sum();
            if unjudged > 0 && !is_overdue(applied, now) {
                tracing::info!(org.name = %org, images.unjudged = unjudged, "snapshot waits for images to be judged");
                return Ok(false);
            }
        }
        let policies: Vec<_> = applied
            .config
            .policy_set()
            .names()
            .map(|(id, display_name)| (id.clone(), display_name.to_owned()))
            .collect();
        let snapshot = make(&render(&totals, &policies), applied.version, number, now)?;
        Ok(self.records.publish_snapshot(org, &snapshot).await?)
    }
}

/// Whether images have had long enough to be judged under this configuration.
fn is_overdue(applied: &AppliedConfig, now: Timestamp) -> bool {
    applied.applied_at.checked_add(LONGEST_SWITCH).is_ok_and(|end| end <= now)
}

fn make(text: &str, config_version: i64, number: i64, now: Timestamp) -> Result<Snapshot, SnapshotError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).map_err(SnapshotError::Compression)?;
    let body = encoder.finish().map_err(SnapshotError::Compression)?;
    if body.len() > MOST_BYTES {
        return Err(SnapshotError::TooLarge { bytes: body.len() });
    }
    let (length, digest) = (text.len() as u64, Digest::of(text.as_bytes()));
    Ok(Snapshot { config_version, number, body, length, digest, made_at: now, checked_at: now })
}
