//! The table of endoflife.date: until when the releases of distributions are supported. It gives no scores.
//!
//! Interface: <https://endoflife.date/docs/api/v1/>

use std::fs::File;

use tidewatch_advisories::{ArchiveError, ReadOptions, Reading};
use tidewatch_core::tables::TableDate;

use super::Kind;
use crate::place::Place;
use crate::settings::Settings;

/// The name of the source.
pub(crate) const NAME: &str = "EOL";
/// The variable that says where the table is.
pub const VARIABLE: &str = "TIDEWATCH_EOL_URL";
/// All products, at those who publish it.
pub(crate) const PUBLISHER: &str = "https://endoflife.date/api/v1/products/full";
/// The name of the file, beside the archives of ecosystems.
pub(crate) const FILE: &str = "endoflife.json";

pub(super) struct Eol;

impl Kind for Eol {
    fn holds(&self, name: &str) -> bool {
        name == NAME
    }

    fn variable(&self) -> &'static str {
        VARIABLE
    }

    fn place_of(&self, _: &str, settings: &Settings) -> Option<Place> {
        settings.eol.clone()
    }

    fn gives_scores(&self) -> bool {
        false
    }

    fn read(&self, _: &str, file: File, options: &ReadOptions) -> Result<Reading, ArchiveError> {
        Reading::of_end_of_life(file, TableDate(options.now))
    }
}
