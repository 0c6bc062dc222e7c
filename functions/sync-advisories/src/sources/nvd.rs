//! The feeds of the National Vulnerability Database: a compressed JSON file for each year, which rates CVEs. Each is a
//! source of its own, so that only those are fetched that have changed.
//!
//! Feeds: <https://nvd.nist.gov/vuln/data-feeds>

use std::fs::File;

use async_trait::async_trait;
use tidewatch_advisories::{ArchiveError, ReadOptions, Reading};
use tidewatch_core::Timestamp;

use super::{Ask, Kind};
use crate::fetch::{FetchError, Fetched};
use crate::place::Place;
use crate::settings::Settings;

/// The variable that says where the feeds are.
pub const VARIABLE: &str = "TIDEWATCH_NVD_URL";

const PREFIX: &str = "NVD-";
const PACKED: &str = ".gz";
/// The first feed holds the CVEs of all years up to this one.
const FIRST_YEAR: i16 = 2002;

/// The names of all feeds that there are at the time `now`: `NVD-2002` and so on.
pub(crate) fn names(now: Timestamp) -> impl Iterator<Item = String> {
    let year = now.to_zoned(jiff::tz::TimeZone::UTC).year();
    (FIRST_YEAR..=year).map(|year| format!("{PREFIX}{year}"))
}

pub(super) struct Nvd;

impl Nvd {
    fn year(name: &str) -> Option<&str> {
        let year = name.strip_prefix(PREFIX)?;
        (year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit())).then_some(year)
    }
}

#[async_trait]
impl Kind for Nvd {
    fn holds(&self, name: &str) -> bool {
        Self::year(name).is_some()
    }

    fn variable(&self) -> &'static str {
        VARIABLE
    }

    fn place_of(&self, name: &str, settings: &Settings) -> Option<Place> {
        let file = format!("nvdcve-2.0-{}.json{PACKED}", Self::year(name)?);
        Some(settings.nvd.as_ref()?.join(&[&file]))
    }

    async fn fetch(&self, mut ask: Ask<'_, '_>) -> Result<Fetched, FetchError> {
        match (ask.get(ask.place).await, ask.place.without_suffix(PACKED)) {
            // Whoever has a copy may have unpacked it.
            (Err(FetchError::Absent { .. }), Some(plain)) => ask.get(&plain).await,
            (fetched, _) => fetched,
        }
    }

    fn read(&self, _: &str, file: File, _: &ReadOptions) -> Result<Reading, ArchiveError> {
        Reading::of_feed(file)
    }
}
