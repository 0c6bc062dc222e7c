//! Finds out whether a result says something new of an image that was known before.

use tidewatch_core::event::{is_comparable, newly_affecting};
use tidewatch_core::result::{ImageResult, Report};
use tidewatch_core::{Retry, Retryable as _};
use tidewatch_store::records::{InForce, RecordError, Records, StoredResult};

/// The vulnerabilities that newly affect an image with the new `result` and `report`, where it had the result `before`, as
/// far as they are to be told by what is in force. Where the rows of before are missing, nobody can say what is new.
pub(crate) async fn news(
    records: &Records,
    before: Option<&StoredResult>,
    (result, report): (&ImageResult, &Report),
    in_force: &InForce,
) -> Result<Vec<String>, RecordError> {
    let (Some(at_least), Some(before)) = (in_force.applied.config.events.threshold(), before) else {
        return Ok(Vec::new());
    };
    let before = &before.result;
    let is_same = before.matched.is_some() && before.matched == result.matched;
    let has_bad = report.findings.iter().any(|finding| finding.severity <= at_least);
    let Some(key) = before.report.as_ref().filter(|_| has_bad && !is_same && is_comparable(before, result))
    else {
        return Ok(Vec::new());
    };
    match records.report(key).await {
        Ok(before) => Ok(before.map_or_else(Vec::new, |before| newly_affecting(&before, report, at_least))),
        Err(error) if error.retry() == Retry::Never => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
