//! Matches and judges one image again, from its stored report.

use std::sync::Arc;

use tidewatch_assessment::{Assessment, record, record_member};
use tidewatch_core::Retryable as _;
use tidewatch_core::image::Image;
use tidewatch_core::names::OrgName;
use tidewatch_core::result::{ImageResult, Report};
use tidewatch_core::retry::Retry;
use tidewatch_runtime::messages::describe;
use tidewatch_store::records::{InForce, RecordError};

use crate::{RematchError, RematchImages};

/// How often it is looked again after another writer came first.
const MOST_TRIES: usize = 5;

/// What became of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rematched {
    /// It has a new result.
    Anew,
    /// Its result was current.
    Current,
    /// It has no result yet: its scan is to come.
    Unscanned,
    /// It cannot be matched from what is stored, for this reason: that is left to its next scan.
    Left(String),
}

/// What is stored of an image.
enum Stored {
    Usable(Report),
    Unusable(String),
}

impl RematchImages {
    /// Matches and judges `image` again, if its result is not current. `known` is what was in force a while ago.
    pub(crate) async fn rematch(
        &self,
        org: &OrgName,
        image: &Image,
        known: &Arc<InForce>,
    ) -> Result<Rematched, RematchError> {
        match self.try_rematch(org, image, known).await {
            Err(error) if error.is_of_the_image() => Ok(Rematched::Left(describe(&error))),
            rematched => rematched,
        }
    }

    async fn try_rematch(
        &self,
        org: &OrgName,
        image: &Image,
        known: &Arc<InForce>,
    ) -> Result<Rematched, RematchError> {
        let mut in_force = Arc::clone(known);
        for _ in 0..MOST_TRIES {
            let Some(stored) = self.records.result(org, &image.digest, &image.platform).await? else {
                return Ok(Rematched::Unscanned);
            };
            if !in_force.is_current(&stored.result) {
                // Read after the result, so that it is never older than what that was made with: a message that has
                // waited must not put back what a later one has done.
                match self.records.in_force(org, Some(&in_force)).await? {
                    Some(now) => in_force = Arc::new(now),
                    None => return Ok(Rematched::Current),
                }
            }
            if in_force.is_current(&stored.result) {
                // Whoever stored it may have died before this slot.
                record_member(&self.records, org, image, &stored).await?;
                return Ok(Rematched::Current);
            }
            let report = match self.report(&stored.result).await? {
                Stored::Usable(report) => report,
                Stored::Unusable(reason) => return Ok(Rematched::Left(reason)),
            };
            let Some(assessment) = self.assess_again(&stored.result, report, &in_force).await? else {
                let reason = "its report does not say what could not be read".to_owned();
                return Ok(Rematched::Left(reason));
            };
            match record(&self.records, org, image, assessment, Some(&stored)).await {
                Ok(_) => return Ok(Rematched::Anew),
                // Another writer came first: a scan, or another of these messages.
                Err(RecordError::Changed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(RecordError::Changed { what: format!("the result of {image}") }.into())
    }

    async fn report(&self, result: &ImageResult) -> Result<Stored, RecordError> {
        let Some(key) = &result.report else {
            return Ok(Stored::Unusable(format!("it is {}", result.state)));
        };
        match self.records.report(key).await {
            Ok(Some(report)) => Ok(Stored::Usable(report)),
            Ok(None) => Ok(Stored::Unusable("its report is missing".to_owned())),
            Err(error) if error.retry() == Retry::Never => Ok(Stored::Unusable(describe(&error))),
            Err(error) => Err(error),
        }
    }

    /// What a scan would find today of the inventory behind `report`; `None` when the report does not have it.
    async fn assess_again(
        &self,
        result: &ImageResult,
        report: Report,
        in_force: &Arc<InForce>,
    ) -> Result<Option<Assessment>, RematchError> {
        let now = self.clock.now();
        let mut matched_so =
            result.indexes.iter().map(|(family, hash)| in_force.advisories.hash(family) == *hash);
        let mut assessment = if matched_so.all(|same| same) {
            // Only the policies have changed: the findings stay.
            let result = ImageResult { scanned_at: now, report: None, ..result.clone() };
            let mut assessment = Assessment { result, report: report.clone() };
            assessment.result.judge(&mut assessment.report, &in_force.applied.config, now);
            assessment
        } else {
            let Some(inventory) = Assessment::inventory_of(&report) else { return Ok(None) };
            let mut assessment =
                self.advisories.assess(&self.records, inventory, Arc::clone(in_force), now).await?;
            assessment.result.reader_version = result.reader_version;
            assessment.result.created_at = result.created_at;
            assessment
        };
        if assessment.report == report {
            assessment.result.report.clone_from(&result.report);
        }
        Ok(Some(assessment))
    }
}
