//! CISA's catalogue of known exploited vulnerabilities: one JSON file, which says of CVEs that they are exploited.
//!
//! Catalogue: <https://www.cisa.gov/known-exploited-vulnerabilities-catalog>

use std::fs::File;

use tidewatch_advisories::{ArchiveError, ReadOptions, Reading};

use super::Kind;
use crate::place::Place;
use crate::settings::Settings;

/// The name of the source.
pub(crate) const NAME: &str = "KEV";
/// The variable that says where the catalogue is.
pub const VARIABLE: &str = "TIDEWATCH_KEV_URL";
/// The catalogue of the agency.
pub(crate) const PUBLISHER: &str =
    "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json";
/// The name of the file, beside the archives of ecosystems.
pub(crate) const FILE: &str = "known_exploited_vulnerabilities.json";

pub(super) struct Kev;

impl Kind for Kev {
    fn holds(&self, name: &str) -> bool {
        name == NAME
    }

    fn variable(&self) -> &'static str {
        VARIABLE
    }

    fn place_of(&self, _: &str, settings: &Settings) -> Option<Place> {
        settings.kev.clone()
    }

    fn read(&self, _: &str, file: File, _: &ReadOptions) -> Result<Reading, ArchiveError> {
        Reading::of_catalogue(file)
    }
}
