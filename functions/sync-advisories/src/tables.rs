//! The tables that images are judged by, put in force: of when CISA's catalogue is, and until when distributions are
//! supported.

use jiff::fmt::rfc2822;
use tidewatch_core::Timestamp;
use tidewatch_core::tables::{TableDate, TableVersion};
use tidewatch_store::records::AdvisorySource;

use crate::sources::{eol, kev};
use crate::{SyncAdvisories, SyncError};

impl SyncAdvisories {
    /// Puts the table in force that the source `name` has; nothing where it has none. Repeated until it is, as with
    /// indexes.
    pub(crate) async fn put_table_in_force(&self, name: &str) -> Result<(), SyncError> {
        if ![kev::NAME, eol::NAME].contains(&name) {
            return Ok(());
        }
        loop {
            let source = self.records.advisory_sources().await?.remove(name).unwrap_or_default().source;
            let current = self.records.current_advisories().await?.tables;
            let Some(date) = date_of(&source).map(TableDate) else { return Ok(()) };
            if name == kev::NAME && current.known_exploited != Some(date) {
                tracing::info!(advisories.table.date = %date.0, "catalogue of exploited vulnerabilities in force");
                self.records.publish_known_exploited(date).await?;
                continue;
            }
            let content = source.archive.and_then(|archive| archive.table).filter(|_| name == eol::NAME);
            let Some(version) = content.map(|content| TableVersion { content, date }) else { return Ok(()) };
            if current.end_of_life == Some(version) {
                return Ok(());
            }
            tracing::info!(
                advisories.table.hash = %version.content, advisories.table.date = %date.0,
                "table of ends of life in force"
            );
            self.records.publish_end_of_life(version).await?;
        }
    }
}

/// Of when the archive of a source is: as it says itself, else as its server says, else when it was first fetched.
fn date_of(source: &AdvisorySource) -> Option<Timestamp> {
    let archive = source.archive.as_ref()?;
    let last_modified = || {
        let parsed = rfc2822::DateTimeParser::new().parse_timestamp(source.last_modified.as_deref()?);
        parsed.ok()
    };
    archive.released_at.or_else(last_modified).or(source.changed_at)
}

#[cfg(test)]
mod tests {
    use tidewatch_core::Digest;
    use tidewatch_store::records::SourceArchive;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_table_is_of_when_it_says_then_its_server_then_of_when_it_was_fetched() {
        let hash = Digest::of(b"archive");
        let archive = |released_at| SourceArchive {
            hash,
            size: 1,
            records: 1,
            problems: 0,
            scores: hash,
            released_at,
            ids: None,
            table: Some(hash),
            format: 1,
        };
        let fetched = AdvisorySource {
            archive: Some(archive(None)),
            changed_at: Some(at("2026-06-03T00:00:00Z")),
            ..AdvisorySource::default()
        };
        assert_eq!(date_of(&fetched), fetched.changed_at);
        let last_modified = Some("Tue, 02 Jun 2026 10:00:00 GMT".to_owned());
        let served = AdvisorySource { last_modified, ..fetched };
        assert_eq!(date_of(&served), Some(at("2026-06-02T10:00:00Z")));
        let says = AdvisorySource { archive: Some(archive(Some(at("2026-06-01T00:00:00Z")))), ..served };
        assert_eq!(date_of(&says), Some(at("2026-06-01T00:00:00Z")));
        assert_eq!(date_of(&AdvisorySource::default()), None);
    }
}
