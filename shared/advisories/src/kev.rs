//! CISA's catalogue of vulnerabilities that are known to be exploited, as a part of what is known of vulnerabilities.
//!
//! Format: <https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities_schema.json>

use std::io::Read;

use serde::Deserialize;
use tidewatch_core::{Date, Retry, Retryable, Timestamp};

use crate::severity::ScoreTable;

/// Bytes of the catalogue at most; it has some 1.5 MB.
const LIMIT: u64 = 64 << 20;

/// The catalogue cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the catalogue of known exploited vulnerabilities")]
pub struct CatalogueError {
    /// What is wrong with it.
    #[from]
    source: serde_json::Error,
}

impl Retryable for CatalogueError {
    /// A broken catalogue stays broken until it is downloaded again; one that was cut off is broken as well.
    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// What the catalogue says.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// When it was released: its age tells how far it can be relied on.
    pub released_at: Timestamp,
    /// Number of its vulnerabilities.
    pub vulnerabilities: usize,
    /// Since when each of them is known to be exploited.
    pub scores: ScoreTable,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    date_released: Timestamp,
    vulnerabilities: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "cveID")]
    id: String,
    date_added: Date,
}

/// Reads the catalogue, `known_exploited_vulnerabilities.json`.
pub fn catalogue(json: impl Read) -> Result<Catalogue, CatalogueError> {
    let document: Document = serde_json::from_reader(std::io::BufReader::new(json.take(LIMIT)))?;
    let mut scores = ScoreTable::default();
    for entry in &document.vulnerabilities {
        scores.add_exploited(entry.id.trim(), entry.date_added);
    }
    Ok(Catalogue {
        released_at: document.date_released,
        vulnerabilities: document.vulnerabilities.len(),
        scores,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vulnerability_has_the_day_on_which_it_was_added() {
        let json = serde_json::json!({
            "title": "CISA Catalog", "catalogVersion": "2025.08.25", "dateReleased": "2025-08-25T17:04:19.9796Z", "count": 1,
            "vulnerabilities": [{"cveID": "CVE-2025-48384", "dateAdded": "2025-08-25", "notes": "…", "cwes": ["CWE-59"]}],
        });
        let read = catalogue(json.to_string().as_bytes()).unwrap();
        assert_eq!(
            (read.vulnerabilities, read.released_at.to_string().as_str()),
            (1, "2025-08-25T17:04:19.9796Z")
        );
        let since = |id: &str| read.scores.known_exploited(&["X-1".to_owned(), id.to_owned()]);
        assert_eq!(since("CVE-2025-48384"), Some("2025-08-25".parse().unwrap()));
        assert_eq!(since("CVE-2025-1"), None);
    }

    #[test]
    fn what_is_no_catalogue_is_an_error() {
        for json in [
            "",
            "[]",
            "{}",
            r#"{"dateReleased":"2025-08-25T17:04:19Z","vulnerabilities":[{"cveID":"CVE-1"}]}"#,
        ] {
            assert!(catalogue(json.as_bytes()).is_err(), "{json:?}");
        }
    }
}
