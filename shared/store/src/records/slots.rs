//! What an image counts with in its slots: what its result says of it as a whole, unless exceptions or VEX documents that
//! are limited to repositories or streams are about the slot. Then it is judged there, from the rows behind the result.

use tidewatch_core::image::Image;
use tidewatch_core::judgement::Subject;
use tidewatch_core::metadata::ImageMetadata;
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::result::{ImageResult, Inventory, Report};
use tidewatch_core::stream::{Member, SlotVersion};
use tidewatch_core::{Retry, Retryable as _, Timestamp};

use super::{ImagePlace, InForce, RecordError, Records, StoredResult};

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
    /// What is judged of the image with this `result`, which needs these `families` of advisories.
    pub fn subject<'a>(&'a self, result: &ImageResult, families: &'a [&'a str]) -> Subject<'a> {
        Subject {
            families,
            findings: &self.report.findings,
            packages: &self.inventory.packages,
            distribution: self.inventory.distribution.as_ref(),
            metadata: &self.metadata,
            state: result.state,
        }
    }
}

/// What slots are filled with: one result of an image, as it is judged in each. The rows behind it are read once, and only
/// when a slot needs them.
pub struct Filling<'a> {
    stored: &'a StoredResult,
    /// What slots are judged by.
    in_force: &'a InForce,
    now: Timestamp,
    rows: Rows,
}

/// The rows behind a result, as far as they are needed.
enum Rows {
    Unread,
    Read(Box<ResultRows>),
    /// They are not there, or cannot be read.
    Missing,
}

impl From<Option<ResultRows>> for Rows {
    fn from(rows: Option<ResultRows>) -> Self {
        rows.map_or(Self::Missing, |rows| Self::Read(Box::new(rows)))
    }
}

impl<'a> Filling<'a> {
    /// The result `stored`, judged by what is in force at `now`, which was read after it.
    pub const fn new(stored: &'a StoredResult, in_force: &'a InForce, now: Timestamp) -> Self {
        Self { stored, in_force, now, rows: Rows::Unread }
    }

    /// The same with the rows behind the result, which need not be read then.
    #[must_use]
    pub fn with_rows(mut self, rows: ResultRows) -> Self {
        self.rows = Some(rows).into();
        self
    }

    /// The version of a slot with `member`, which has what the result says of the image.
    fn version_of(&self, member: &Member) -> SlotVersion {
        member.version(self.stored.revision).judged_under(self.in_force.applied.version)
    }

    /// Whether the image has to be judged where `member` stands in `stream`.
    fn is_limited_to(&self, stream: &StreamName, member: &Member) -> bool {
        let result = &self.stored.result;
        let limited = || self.in_force.criteria.are_limited_to(member.scope(stream), self.now);
        result.report.is_some() && (result.is_limited || limited())
    }
}

impl Records {
    /// Makes `member` what its image counts with in `stream`. Where the rows are missing, or cannot be read, it counts as it
    /// does as a whole.
    pub async fn fill_slot(
        &self,
        org: &OrgName,
        stream: &StreamName,
        member: &mut Member,
        filling: &mut Filling<'_>,
    ) -> Result<(), RecordError> {
        let result = &filling.stored.result;
        member.take(result);
        if !filling.is_limited_to(stream, member) {
            return Ok(());
        }
        if matches!(filling.rows, Rows::Unread) {
            filling.rows = match self.result_rows(org, result).await {
                Err(error) if error.retry() == Retry::Never => Rows::Missing,
                rows => rows?.into(),
            };
        }
        if let Rows::Read(rows) = &filling.rows {
            member.judge(
                stream,
                rows.subject(result, &result.families()),
                filling.in_force.judging(filling.now),
            );
        } else {
            tracing::warn!(org.name = %org, image = %member.image, "rows of a result are missing");
        }
        Ok(())
    }

    /// Puts the image into the slot of `member` in `stream`, unless that holds a newer one, and marks its shard. The mark
    /// follows also when the slot holds a newer one: whoever wrote that may have died before its mark. Most images of a
    /// repository that is scanned for the first time are older than one that was scanned before, so the slot is read first: that
    /// costs less than to write in vain.
    pub async fn enter_slot(
        &self,
        org: &OrgName,
        stream: &StreamName,
        mut member: Member,
        filling: &mut Filling<'_>,
    ) -> Result<(), RecordError> {
        member.take(&filling.stored.result);
        if !self.holds_newer(org, stream, &member, &filling.version_of(&member)).await? {
            self.fill_slot(org, stream, &mut member, filling).await?;
            self.put_filled(org, stream, &member, filling).await?;
        }
        self.mark_member(org, stream, &member).await
    }

    /// [`Self::enter_slot`] for the slot that the image at `place` has in `latest-indexed` as images are counted now, if it has
    /// one. Where it was found before they were counted so, it enters only while a tag says that it may; except `found`, which
    /// has just been found where it is, by a tag that may not be recorded yet.
    pub async fn enter_latest(
        &self,
        org: &OrgName,
        place: ImagePlace,
        found: Option<&Image>,
        filling: &mut Filling<'_>,
    ) -> Result<(), RecordError> {
        let (stream, counting) = (StreamName::latest_indexed(), &filling.in_force.applied.counting);
        let Some(slot) = counting.slot_of(&place.image, place.counted, place.seen_at) else { return Ok(()) };
        let ImagePlace { image, tag, seen_at, .. } = place.clone();
        let member = Member::pending(image, tag, seen_at).in_slot(&slot);
        if counting.is_older(place.seen_at) && found != Some(&place.image) {
            let mut known = member.clone();
            known.take(&filling.stored.result);
            let is_older = self.holds_newer(org, &stream, &known, &filling.version_of(&known)).await?;
            if !is_older && !self.may_stand(org, &place, &slot, counting).await? {
                return Ok(());
            }
        }
        self.enter_slot(org, &stream, member, filling).await
    }

    /// The row of that alone, for a member that is filled; the mark has to follow.
    pub async fn put_filled(
        &self,
        org: &OrgName,
        stream: &StreamName,
        member: &Member,
        filling: &Filling<'_>,
    ) -> Result<(), RecordError> {
        self.put_member_version(org, stream, member, &filling.version_of(member)).await
    }

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
