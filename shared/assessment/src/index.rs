//! Compiled indexes on their way into force: stored, and described by the record that names them.

use bytes::Bytes;
use jiff::Timestamp;
use tidewatch_advisories::BuiltFamily;
use tidewatch_store::records::{AdvisoryFamily, RecordError, Records};

/// What is recorded of an index that was compiled at `now`.
pub fn index_record(built: &BuiltFamily, now: Timestamp) -> AdvisoryFamily {
    AdvisoryFamily {
        hash: built.hash,
        size: built.size,
        records: built.records as u64,
        advisories: built.advisories as u64,
        withdrawn: built.withdrawn as u64,
        problems: built.problems.len() as u64,
        newest_modified: built.newest_modified,
        built_at: now,
        confirmed_at: None,
    }
}

/// Stores an index that was compiled at `now`, whose bytes are `file`, and gives its record. It is used once
/// [`Records::publish_advisories`] names it.
pub async fn store_index(
    records: &Records,
    built: &BuiltFamily,
    file: Bytes,
    now: Timestamp,
) -> Result<AdvisoryFamily, RecordError> {
    records.put_advisory_index(built.family, &built.hash, file).await?;
    Ok(index_record(built, now))
}
