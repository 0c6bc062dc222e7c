//! Makes the snapshot of an organisation from the totals of its streams, and publishes it.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use tidewatch_core::Digest;
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::stream::{
    AdvisoryIndexTimes, AdvisorySourceTimes, Candidate, OwnFacts, StreamTotals, render, render_own,
    within_budget,
};
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{
    AdvisoryStanding, AppliedConfig, PartState, RecordError, Snapshot, SnapshotHead, SwitchProgress, TextHead,
};

use crate::groups::Pass;
use crate::{RollUpError, RollUpStreams, sum};

/// The most bytes of both compressed texts together: a table item holds 400 KB.
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

/// A stream as it was rolled up.
pub(crate) struct RolledUp {
    /// Its name.
    pub(crate) name: StreamName,
    /// Its groups.
    pub(crate) groups: Vec<PartState>,
    /// Whether the configuration asks for it before others.
    pub(crate) is_pinned: bool,
}

impl RollUpStreams {
    /// Publishes a snapshot of these streams, the list of which has this `revision`, or notes that the published one is
    /// still right. With a period between snapshots, one that is younger stays, and it is not noted that it is right. While
    /// images are judged anew, because the policies or exceptions have changed, the published one stays as well: its
    /// numbers are those of the old ones, until all are of the new ones.
    pub(crate) async fn publish(
        &self,
        pass: &Pass<'_>,
        revision: i64,
        streams: Vec<RolledUp>,
    ) -> Result<bool, RollUpError> {
        let Pass { org, applied, now, .. } = *pass;
        let advisories = self.advisories().await?;
        let mut number = revision.saturating_mul(CHANGES).saturating_add(advisories.revision);
        let mut candidates = Vec::with_capacity(streams.len());
        for RolledUp { name, groups, is_pinned } in streams {
            let (totals, changes) = sum(&groups);
            number = number.saturating_add(changes);
            candidates.push(Candidate { stream: StreamTotals { name, totals }, is_pinned });
        }
        if let Some(published) = self.records.snapshot_head(org).await? {
            if published.version() == (applied.version, number) {
                self.records.confirm_snapshot(org, &published, now).await?;
                return Ok(false);
            }
            if !self.freshness.is_due(published.made_at, now) {
                return Ok(false);
            }
            if self.is_switching(pass, &published).await? {
                return Ok(false);
            }
        }
        let texts = texts(org, applied, candidates, &advisories);
        let snapshot = make(&texts, (applied.version, number), pass.judging, now)?;
        Ok(self.records.publish_snapshot(org, &snapshot).await?)
    }
}

impl RollUpStreams {
    /// Whether images are still being judged anew, because other policies or exceptions are in force than those of the
    /// published snapshot.
    async fn is_switching(&self, pass: &Pass<'_>, published: &SnapshotHead) -> Result<bool, RollUpError> {
        let Pass { org, applied, judging, now, .. } = pass;
        if published.judging.is_none_or(|before| before == *judging) {
            return Ok(false);
        }
        let progress = self.records.switch_progress(org, judging).await?;
        if progress.is_some_and(SwitchProgress::is_done) {
            return Ok(false);
        }
        let (done, parts) = progress.map_or((0, 0), |progress| (progress.done, progress.parts));
        if is_overdue(applied, *now) {
            tracing::warn!(
                org.name = %org, switch.done = done, switch.parts = parts,
                "snapshot waits no longer for images to be judged"
            );
            return Ok(false);
        }
        tracing::info!(
            org.name = %org, switch.done = done, switch.parts = parts, "snapshot waits for images to be judged"
        );
        Ok(true)
    }
}

impl RollUpStreams {
    /// Whether images may still be on their way to the slots of another counting than before. As long as that, and no longer,
    /// a snapshot waits as well.
    pub(crate) async fn is_counting_anew(&self, applied: &AppliedConfig) -> Result<bool, RecordError> {
        let now = self.clock.now();
        if is_overdue(applied, now) {
            return Ok(false);
        }
        let basis = self.records.basis(applied, now).await?;
        let progress = self.records.switch_progress(&applied.config.org, &basis.judging).await?;
        Ok(!progress.is_some_and(SwitchProgress::is_done))
    }
}

/// Whether images have had long enough to be judged under this configuration.
fn is_overdue(applied: &AppliedConfig, now: Timestamp) -> bool {
    applied.applied_at.checked_add(LONGEST_SWITCH).is_ok_and(|end| end <= now)
}

impl RollUpStreams {
    /// How the advisories stand. A row that cannot be read stops nothing: its times are not told.
    pub(crate) async fn advisories(&self) -> Result<Arc<AdvisoryStanding>, RollUpError> {
        if let Some(known) = &self.advisories {
            return Ok(Arc::clone(known));
        }
        let standing = self.records.advisory_standing().await?;
        for error in &standing.unreadable {
            tracing::error!(error = %describe(error), "advisories are not told of in metrics");
        }
        Ok(Arc::new(standing))
    }
}

/// The two texts of a snapshot.
struct Texts {
    metrics: String,
    own: String,
}

/// The texts of the streams for which there is room.
fn texts(
    org: &OrgName,
    applied: &AppliedConfig,
    candidates: Vec<Candidate>,
    advisories: &AdvisoryStanding,
) -> Texts {
    let policy_set = applied.config.policy_set();
    let policies: Vec<_> =
        policy_set.names().map(|(id, display_name)| (id.clone(), display_name.to_owned())).collect();
    let served = within_budget(candidates, policies.len(), applied.config.metrics.series);
    if !served.dropped.is_empty() {
        let (dropped, series) = (served.dropped.len(), served.dropped_series());
        tracing::warn!(org.name = %org, streams.dropped = dropped, series.dropped = series, "streams are not served");
    }
    let ids: Vec<_> = policies.iter().map(|(id, _)| id.clone()).collect();
    Texts { metrics: render(&served.streams, &policies), own: render_own(&served, &ids, &facts(advisories)) }
}

fn facts(advisories: &AdvisoryStanding) -> OwnFacts {
    let indexes = advisories.families.iter().map(|(name, family)| {
        let times = AdvisoryIndexTimes { built_at: family.built_at, newest_modified: family.newest_modified };
        (name.clone(), times)
    });
    let sources = advisories.sources.iter().map(|(name, source)| {
        let times = AdvisorySourceTimes { checked_at: source.checked_at, has_failed: source.error.is_some() };
        (name.clone(), times)
    });
    OwnFacts { indexes: indexes.collect(), sources: sources.collect() }
}

fn make(
    texts: &Texts,
    (config_version, number): (i64, i64),
    judging: Digest,
    now: Timestamp,
) -> Result<Snapshot, SnapshotError> {
    let (metrics, own) = (compress(&texts.metrics)?, compress(&texts.own)?);
    let bytes = metrics.len() + own.len();
    if bytes > MOST_BYTES {
        return Err(SnapshotError::TooLarge { bytes });
    }
    let told = |text: &str| TextHead { length: text.len() as u64, digest: Digest::of(text.as_bytes()) };
    let head = SnapshotHead {
        config_version,
        number,
        metrics: told(&texts.metrics),
        own: told(&texts.own),
        made_at: now,
        checked_at: now,
        judging: Some(judging),
    };
    Ok(Snapshot { head, metrics, own })
}

fn compress(text: &str) -> Result<Vec<u8>, SnapshotError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).map_err(SnapshotError::Compression)?;
    encoder.finish().map_err(SnapshotError::Compression)
}
