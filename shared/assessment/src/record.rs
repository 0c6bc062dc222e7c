//! Records a result, in the order of the roll-up protocol: rows, then the mark. Redelivery writes the same again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidewatch_core::basis::{Basis, MATCHING};
use tidewatch_core::image::{Image, ImageId};
use tidewatch_core::names::OrgName;
use tidewatch_core::result::{ImageResult, ResultState};
use tidewatch_core::severity::SeverityCounts;
use tidewatch_inventory::READER_VERSION;
use tidewatch_store::records::{Alongside, Filling, InForce, RecordError, Records, ResultRows, StoredResult};

use crate::news::news;
use crate::{Assessment, text};

/// Stores inventory and rows, then the result, with what is to be announced of it, then the members of every repository that holds the image, as they are judged
/// by `in_force`, which the assessment was made by. `computed_from` is the stored result that the assessment was made after,
/// if there was one: [`RecordError::Changed`] when another has been stored since. `covered` is what all images are settled
/// by, where that is known. `found` is the image where a scan has just found it, if it comes from one.
pub async fn record(
    records: &Records,
    org: &OrgName,
    (image, found): (&ImageId, Option<&Image>),
    assessment: Assessment,
    computed_from: Option<&StoredResult>,
    covered: Option<&Basis>,
    in_force: &InForce,
) -> Result<StoredResult, RecordError> {
    let Assessment { mut result, report, inventory, metadata } = assessment;
    let known = computed_from.map(|stored| &stored.result);
    if result.inventory.is_none() {
        let known = known.and_then(|known| known.inventory);
        result.inventory = Some(records.put_inventory(org, &inventory, known).await?);
    }
    if result.metadata.is_none() {
        let known = known.and_then(|known| known.metadata);
        result.metadata = records.put_image_metadata(org, &metadata, known).await?;
    }
    let newly_affecting = news(records, computed_from, (&result, &report), in_force).await?;
    let known = known.and_then(|known| known.report.as_deref());
    result.report = Some(records.put_report(org, &report, known).await?);
    let (digest, platform) = (&image.digest, &image.platform);
    let alongside = Alongside { covered, newly_affecting: &newly_affecting, findings: &report.findings };
    let revision = records.put_result_with(org, digest, platform, &result, computed_from, alongside).await?;
    let stored = StoredResult { result, revision };
    let filling = Filling::new(&stored, in_force, stored.result.scanned_at);
    let filling = filling.with_rows(ResultRows { report, inventory, metadata });
    enter_slots(records, org, image, &stored, (found, filling)).await?;
    Ok(stored)
}

/// Puts the image into its slots, as it is judged in each by what is in force at `now`, which was read after `stored`: in the
/// stream `latest-indexed` for every repository that holds it, where it is one that the gauges count and was scanned; in
/// every environment that it is in, whatever came of the scan. `found`: as for [`record`].
pub async fn record_members(
    records: &Records,
    org: &OrgName,
    (image, found): (&ImageId, Option<&Image>),
    stored: &StoredResult,
    (in_force, now): (&InForce, Timestamp),
) -> Result<(), RecordError> {
    enter_slots(records, org, image, stored, (found, Filling::new(stored, in_force, now))).await
}

async fn enter_slots(
    records: &Records,
    org: &OrgName,
    image: &ImageId,
    stored: &StoredResult,
    (found, mut filling): (Option<&Image>, Filling<'_>),
) -> Result<(), RecordError> {
    // Other results do not enter the slot of a repository: what was known before stays.
    if !matches!(stored.result.state, ResultState::Pending | ResultState::Failed) {
        for place in records.places(org, &image.digest, &image.platform).await? {
            records.enter_latest(org, place, found, &mut filling).await?;
        }
    }
    for place in records.environments_of(org, image).await? {
        records.enter_slot(org, &place.target.stream, place.member(), &mut filling).await?;
    }
    Ok(())
}

/// Records that the image failed, for `reason`. A result that it had stays: what is known of a digest does not become
/// unknown.
pub async fn record_failed(
    records: &Records,
    org: &OrgName,
    image: &Image,
    reason: &str,
    now: Timestamp,
) -> Result<(), RecordError> {
    let stored = records.result(org, &image.digest, &image.platform).await?;
    if stored.as_ref().is_some_and(|stored| stored.result.report.is_some()) {
        return Ok(());
    }
    // An organisation without a configuration has nothing to scan.
    let Some(in_force) = records.in_force(org, None).await? else { return Ok(()) };
    let result = ImageResult {
        state: ResultState::Failed,
        reason: Some(text::line(reason, text::REASON)),
        distribution: None,
        packages: 0,
        severities: SeverityCounts::default(),
        suppressed: SeverityCounts::default(),
        policies: BTreeMap::new(),
        created_at: None,
        scanned_at: now,
        next_change_at: None,
        reader_version: READER_VERSION,
        matching: MATCHING,
        indexes: BTreeMap::new(),
        judged_under: in_force.basis(now).judging,
        matched: None,
        inventory: None,
        metadata: None,
        report: None,
        is_limited: false,
    };
    let revision = records.put_result(org, &image.digest, &image.platform, &result, stored.as_ref()).await?;
    let stored = StoredResult { result, revision };
    record_members(records, org, (&image.id(), Some(image)), &stored, (&in_force, now)).await
}
