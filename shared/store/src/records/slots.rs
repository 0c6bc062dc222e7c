//! What an image counts with in its slots: what its result says of it as a whole, unless exceptions or VEX documents that
//! are limited to repositories or streams are about the slot. Then it is judged there, from the rows behind the result.

use tidewatch_core::judgement::Subject;
use tidewatch_core::metadata::ImageMetadata;
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::result::{ImageResult, Inventory, Report};
use tidewatch_core::stream::Member;
use tidewatch_core::{Retry, Retryable as _, Timestamp};

use super::{InForce, RecordError, Records, StoredResult};

/// The rows behind a result: all that judging needs.
#[derive(Clone, Debug)]
pub struct ResultRows {
    /// The findings.
    pub report: Report,
    /// What was matched.
    pub inventory: Inventory,
    /// What is known of the image beside that.
    pub metadata: ImageMetadata,
}

impl ResultRows {
    /// What is judged of the image with this `result`.
    pub fn subject(&self, result: &ImageResult) -> Subject<'_> {
        Subject {
            findings: &self.report.findings,
            packages: &self.inventory.packages,
            distribution: self.inventory.distribution.as_ref(),
            metadata: &self.metadata,
            state: result.state,
        }
    }
}

/// Fills slots with one result of an image. The rows behind it are read once, and only when a slot needs them.
pub struct SlotWriter<'a> {
    records: &'a Records,
    org: &'a OrgName,
    stored: &'a StoredResult,
    /// What slots are judged by.
    in_force: &'a InForce,
    now: Timestamp,
    /// `None` until they are read; then `None` where they are missing.
    rows: Option<Option<ResultRows>>,
}

impl<'a> SlotWriter<'a> {
    /// Fills slots with the result `stored`, judged by what is in force at `now`.
    pub const fn new(
        records: &'a Records,
        org: &'a OrgName,
        stored: &'a StoredResult,
        in_force: &'a InForce,
        now: Timestamp,
    ) -> Self {
        Self { records, org, stored, in_force, now, rows: None }
    }

    /// The same with the rows behind the result, which need not be read then.
    #[must_use]
    pub fn with_rows(mut self, rows: ResultRows) -> Self {
        self.rows = Some(Some(rows));
        self
    }

    /// Makes `member` what the image counts with in `stream`. Where the rows are missing, or cannot be read, it counts as it
    /// does as a whole.
    pub async fn fill(&mut self, stream: &StreamName, member: &mut Member) -> Result<(), RecordError> {
        let (result, criteria) = (&self.stored.result, &self.in_force.criteria);
        member.take(result);
        let has_rows = result.report.is_some();
        let is_limited = result.is_limited || criteria.are_limited_to(member.scope(stream), self.now);
        if !has_rows || !is_limited {
            return Ok(());
        }
        if self.rows.is_none() {
            self.rows = Some(self.read().await?);
        }
        match self.rows.as_ref().and_then(Option::as_ref) {
            Some(rows) => member.judge(stream, rows.subject(result), self.in_force.judging(self.now)),
            None => {
                tracing::warn!(org.name = %self.org, image = %member.image, "rows of a result are missing");
            }
        }
        Ok(())
    }

    async fn read(&self) -> Result<Option<ResultRows>, RecordError> {
        match self.records.result_rows(self.org, &self.stored.result).await {
            Err(error) if error.retry() == Retry::Never => Ok(None),
            rows => rows,
        }
    }

    /// Puts the image into the slot of `member` in `stream`, unless that holds a newer one, and marks its shard.
    pub async fn enter(&mut self, stream: &StreamName, mut member: Member) -> Result<(), RecordError> {
        self.fill(stream, &mut member).await?;
        self.put(stream, &member).await?;
        self.records.mark_member(self.org, stream, &member).await
    }

    /// The row of that alone, for a member that is filled; the mark has to follow.
    pub async fn put(&self, stream: &StreamName, member: &Member) -> Result<(), RecordError> {
        let version = member.version(self.stored.revision).judged_under(self.in_force.applied.version);
        self.records.put_member_version(self.org, stream, member, &version).await
    }
}

impl Records {
    /// The rows behind a result; `None` where some of them are missing.
    pub async fn result_rows(
        &self,
        org: &OrgName,
        result: &ImageResult,
    ) -> Result<Option<ResultRows>, RecordError> {
        let Some(key) = &result.report else { return Ok(None) };
        let Some(report) = self.report(key).await? else { return Ok(None) };
        let inventory = match &result.inventory {
            Some(hash) => self.inventory(org, hash).await?,
            None => report.inventory(),
        };
        let metadata = self.image_metadata(org, result.metadata).await?;
        let rows = inventory.zip(metadata);
        Ok(rows.map(|(inventory, metadata)| ResultRows { report, inventory, metadata }))
    }
}
