//! Records a result, in the order of the roll-up protocol: rows, then the mark. Redelivery writes the same again.

use std::collections::BTreeMap;

use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::result::{ImageResult, ResultState};
use tidewatch_core::severity::SeverityCounts;
use tidewatch_core::stream::Member;
use tidewatch_core::work::Work;
use tidewatch_inventory::READER_VERSION;
use tidewatch_store::records::{ImageManifest, StoredResult};

use crate::{Assessment, ScanError, ScanImage, text};

impl ScanImage {
    /// Stores the rows, then the result that was computed from `revision`, then the members.
    pub(crate) async fn record(
        &self,
        org: &OrgName,
        work: &Work,
        manifest: &ImageManifest,
        assessment: Assessment,
        revision: i64,
    ) -> Result<(), ScanError> {
        let Assessment { mut result, report } = assessment;
        let image = &work.image;
        result.created_at = manifest.created_at;
        result.report = Some(self.records.put_report(org, &report).await?);
        let revision =
            self.records.put_result(org, &image.digest, &image.platform, &result, revision).await?;
        tracing::info!(
            org.name = %org, image = %image, scan.state = %result.state, scan.packages = result.packages,
            scan.vulnerabilities = result.severities.total(), "image scanned"
        );
        self.record_members(org, work, &StoredResult { result, revision }).await
    }

    /// Puts the image into the stream `latest-indexed`, for every repository that holds it: where it is one that the
    /// gauges count, and was scanned. The mark follows also when the slot holds a newer image: whoever wrote that may
    /// have died before its mark.
    pub(crate) async fn record_members(
        &self,
        org: &OrgName,
        work: &Work,
        stored: &StoredResult,
    ) -> Result<(), ScanError> {
        let StoredResult { result, revision } = stored;
        if matches!(result.state, ResultState::Pending | ResultState::Failed) {
            return Ok(());
        }
        let stream = StreamName::latest_indexed();
        let places = self.records.places(org, &work.image.digest, &work.image.platform).await?;
        for place in places.into_iter().filter(|place| place.counted) {
            let member = Member {
                image: place.image,
                tag: place.tag,
                seen_at: place.seen_at,
                created_at: result.created_at,
                state: result.state,
                severities: result.severities,
                policies: result.policies.clone(),
                next_change_at: result.next_change_at,
            };
            self.records.put_member(org, &stream, &member, *revision).await?;
            self.records.mark_member(org, &stream, &member).await?;
        }
        Ok(())
    }

    /// Records that the image failed. A result that it had stays: what is known of a digest does not become unknown.
    pub(crate) async fn record_failed(
        &self,
        org: &OrgName,
        work: &Work,
        reason: &str,
    ) -> Result<(), ScanError> {
        let image = &work.image;
        let stored = self.records.result(org, &image.digest, &image.platform).await?;
        if stored.as_ref().is_some_and(|stored| stored.result.report.is_some()) {
            return Ok(());
        }
        let config = self.records.config(org).await?;
        let result = ImageResult {
            state: ResultState::Failed,
            reason: Some(text::line(reason, text::REASON)),
            distribution: None,
            packages: 0,
            severities: SeverityCounts::default(),
            policies: BTreeMap::new(),
            created_at: None,
            scanned_at: self.clock.now(),
            next_change_at: None,
            reader_version: READER_VERSION,
            indexes: BTreeMap::new(),
            judged_under: config
                .map_or(tidewatch_core::Digest::of(b""), |applied| applied.config.judging_fingerprint()),
            report: None,
        };
        let revision = stored.map_or(0, |stored| stored.revision);
        self.records.put_result(org, &image.digest, &image.platform, &result, revision).await?;
        Ok(())
    }
}
