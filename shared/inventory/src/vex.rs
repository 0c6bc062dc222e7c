//! OpenVEX documents by themselves, as people upload them.
//!
//! Specification: <https://github.com/openvex/spec/blob/main/OPENVEX-SPEC.md>.

use tidewatch_core::vex::VexDocument;

use crate::reading::Problems;
use crate::reading::lenient_json;
use crate::reading::openvex::OpenVex;

/// What was read of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadVex {
    /// What it says.
    pub document: VexDocument,
    /// What of it could not be used, lower-case fragments.
    pub problems: Vec<String>,
}

/// Bytes that are no OpenVEX document.
#[derive(Debug, thiserror::Error)]
pub enum VexError {
    /// They are no JSON, or too much of it.
    #[error("it is no JSON that can be read: {0}")]
    Json(String),
    /// It is another document.
    #[error("it is no OpenVEX document")]
    NoOpenVex,
}

/// Reads an OpenVEX document, of the versions 0.0.1 to 0.2.0.
pub fn read(bytes: &[u8]) -> Result<ReadVex, VexError> {
    let parsed = lenient_json::parse_kept::<OpenVex>(bytes);
    let parsed = parsed.map_err(|error| VexError::Json(error.to_string()))?;
    let mut problems = Problems::default();
    let document = parsed.document(&mut problems).ok_or(VexError::NoOpenVex)?;
    Ok(ReadVex { document, problems: problems.into_reasons() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_read_and_what_cannot_be_used_is_said() {
        let document = json!({
            "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/1", "author": "acme",
            "timestamp": "2026-01-01T00:00:00Z", "version": 1,
            "statements": [
                {"vulnerability": {"name": "CVE-2099-0001"}, "products": [{"@id": "acme/web"}], "status": "not_affected"},
                {"vulnerability": {"name": "CVE-2099-0002"}, "products": [{"@id": "acme/web"}], "status": "unknown"},
            ],
        });
        let read = read(document.to_string().as_bytes()).unwrap();
        assert_eq!((read.document.author.as_str(), read.document.statements.len()), ("acme", 1));
        assert_eq!(read.problems.len(), 1, "{:?}", read.problems);
    }

    #[test]
    fn what_is_no_openvex_document_is_refused() {
        assert!(matches!(super::read(b"{}"), Err(VexError::NoOpenVex)));
        assert!(matches!(super::read(b"CVE-2099-0001"), Err(VexError::Json(_))));
    }
}
