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
    let document = Document { schema: format!("tidewatch.{name}/{version}"), content };
    anstream::println!("{}", serde_json::to_string_pretty(&document)?);
    Ok(())
}
