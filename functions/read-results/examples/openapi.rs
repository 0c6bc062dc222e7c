//! Writes the description of the routes to standard output: `make docs` puts it into docs/openapi.json.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(&tidewatch_read_results::openapi())?;
    text.push('\n');
    io::stdout().lock().write_all(text.as_bytes())
}
