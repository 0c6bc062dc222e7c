//! The page `docs/CONFIGURATION.md`, made from what the code knows: the JSON Schema of the configuration's types with
//! their comments, and the table of environment variables. What no type can say stands in `frame.md`; the example,
//! which tests read as a configuration, in `example.yaml`. `make docs` writes the page.

mod render;
mod schema;
mod variables;

use std::path::{Path, PathBuf};

use anyhow::ensure;
use serde_json::Value;
use tidewatch_core::config::Config;

use self::render::section;
use self::schema::Types;

pub use variables::{Readers, VARIABLES, Variable};

/// The example of the page, in which every key is there at least once.
pub const EXAMPLE: &str = include_str!("example.yaml");

const FRAME: &str = include_str!("frame.md");

/// The text of the page. An error when a part of the schema cannot be shown: a key or type without a comment, or a form
/// that is not known here.
pub fn page() -> anyhow::Result<String> {
    let types = Types::of::<Config>(EXAMPLE)?;
    let sections: Vec<String> =
        types.in_order().map(|name| section(&types, name)).collect::<Result<_, _>>()?;
    let mut page = FRAME.to_owned();
    for (mark, text) in [
        ("{example}", EXAMPLE.trim_end()),
        ("{types}", sections.join("\n\n").as_str()),
        ("{variables}", variables::table().as_str()),
    ] {
        ensure!(page.matches(mark).count() == 1, "the frame has to hold {mark} once");
        page = page.replace(mark, text);
    }
    Ok(page)
}

/// The page's place in the checkout of this crate.
pub fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONFIGURATION.md")
}

/// The anchor that GitHub gives the heading `heading`.
pub fn anchor(heading: &str) -> String {
    render::anchor(heading)
}

/// The keys of the configuration, as `Type.key`, that `document` does not show anywhere.
pub fn not_shown(document: &Value) -> anyhow::Result<Vec<String>> {
    Types::of::<Config>(EXAMPLE)?.not_shown(document)
}
