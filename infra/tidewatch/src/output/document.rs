//! JSON for programs: each document names its shape and version, which docs/COMMAND.md describes. Fields are added
//! without a new version; a change of what is there gets one.

use serde::Serialize;

use crate::failure::Failure;

#[derive(Serialize)]
struct Document<'a, T> {
    /// `tidewatch.<name>/<version>`.
    schema: String,
    #[serde(flatten)]
    content: &'a T,
}

/// Prints `content` as a document of the shape `name` in its `version`.
pub(crate) fn print_document<T: Serialize>(name: &str, version: u32, content: &T) -> Result<(), Failure> {
    anstream::print!("{}", document_text(name, version, content)?);
    Ok(())
}

/// The text of such a document, with the end of its last line.
pub(crate) fn document_text<T: Serialize>(name: &str, version: u32, content: &T) -> Result<String, Failure> {
    let document = Document { schema: format!("tidewatch.{name}/{version}"), content };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}
