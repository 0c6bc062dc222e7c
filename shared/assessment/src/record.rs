//! Records a result, in the order of the roll-up protocol: rows, then the mark. Redelivery writes the same again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidewatch_core::Digest;
use tidewatch_core::basis::{Basis, MATCHING};
use tidewatch_core::image::{Image, ImageId};
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::result::{ImageResult, ResultState};
use tidewatch_core::severity::SeverityCounts;
use tidewatch_core::stream::Member;
use tidewatch_inventory::READER_VERSION;
use tidewatch_store::records::{ImagePlace, RecordError, Records, StoredResult};

use crate::{Assessment, text};

/// Stores inventory and rows, then the result, then the members of every repository that holds the image. `computed_from`
/// is the stored result that the assessment was made after, if there was one: [`RecordError::Changed`] when another has
/// been stored since. `covered` is what all images are settled by, where that is known. Of `image` only digest and
/// platform count.
pub async fn record(
    records: &Records,
    org: &OrgName,
    image: &ImageId,
    assessment: Assessment,
    computed_from: Option<&StoredResult>,
    covered: Option<&Basis>,
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
    let known = known.and_then(|known| known.report.as_deref());
    result.report = Some(records.put_report(org, &report, known).await?);
    let (digest, platform) = (&image.digest, &image.platform);
    let revision = records.put_result_within(org, digest, platform, &result, computed_from, covered).await?;
    let stored = StoredResult { result, revision };
    record_members(records, org, image, &stored).await?;
    Ok(stored)
}

/// Puts the image into its slots: in the stream `latest-indexed` for every repository that holds it, where it is one that
/// the gauges count and was scanned; in every environment that it is in, whatever came of the scan.
pub async fn record_members(
    records: &Records,
    org: &OrgName,
    image: &ImageId,
    stored: &StoredResult,
) -> Result<(), RecordError> {
    if enters_latest(&stored.result) {
        for place in records.places(org, &image.digest, &image.platform).await? {
            put_member(records, org, place, stored).await?;
        }
    }
    for place in records.environments_of(org, image).await? {
        let (stream, member) = (&place.target.stream, place.member(Some(&stored.result)));
        records.put_member(org, stream, &member, stored.revision).await?;
        records.mark_member(org, stream, &member).await?;
    }
    Ok(())
}

/// The same for the repository of `image` alone.
pub async fn record_member(
    records: &Records,
    org: &OrgName,
    image: &Image,
    stored: &StoredResult,
) -> Result<(), RecordError> {
    if !enters_latest(&stored.result) {
        return Ok(());
    }
    match records.place(org, image).await? {
        Some(place) => put_member(records, org, place, stored).await,
        None => Ok(()),
    }
}

/// Other results do not enter the slot of a repository: what was known before stays.
fn enters_latest(result: &ImageResult) -> bool {
    !matches!(result.state, ResultState::Pending | ResultState::Failed)
}

/// The mark follows also when the slot holds a newer image: whoever wrote that may have died before its mark.
async fn put_member(
    records: &Records,
    org: &OrgName,
    place: ImagePlace,
    stored: &StoredResult,
) -> Result<(), RecordError> {
    if !place.counted {
        return Ok(());
    }
    let (stream, result) = (StreamName::latest_indexed(), &stored.result);
    let member = Member {
        image: place.image,
        tag: place.tag,
        seen_at: place.seen_at,
        created_at: result.created_at,
        kept: false,
        state: result.state,
        severities: result.severities,
        policies: result.policies.clone(),
        next_change_at: result.next_change_at,
        result_at: Some(result.scanned_at),
        suppressed: result.suppressed,
    };
    records.put_member(org, &stream, &member, stored.revision).await?;
    records.mark_member(org, &stream, &member).await
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
    let judged_under = match records.config(org).await? {
        Some(applied) => records.basis(&applied.config, now).await?.judging,
        None => Digest::of(b""),
    };
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
        judged_under,
        matched: None,
        inventory: None,
        metadata: None,
        report: None,
    };
    let revision = records.put_result(org, &image.digest, &image.platform, &result, stored.as_ref()).await?;
    record_members(records, org, &image.id(), &StoredResult { result, revision }).await
}
