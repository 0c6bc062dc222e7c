//! `tidewatch schema`: the JSON Schema of the configuration file, for editors.

use tidewatch_core::config::file_schema;

use crate::failure::Failure;
use crate::output::print_line;

/// Prints the schema, which is JSON in any format. It is of the program, so no data folder or stack is looked at.
pub(super) fn run() -> Result<(), Failure> {
    print_line(&serde_json::to_string_pretty(&file_schema())?);
    Ok(())
}
