//! The tables that judging looks things up in, beside the findings: how old CISA's catalogue of exploited vulnerabilities is,
//! until when distributions are supported, and how old the advisories are that images were matched against.
//!
//! A table that is missing, or older than a week, proves nothing by what is not in it: a policy that needs it has no data,
//! unless a row that is known fails it.

mod end_of_life;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Date, Digest, Timestamp};

pub(crate) use end_of_life::end_of;
pub use end_of_life::{EndOfLife, EndOfLifeError, Support};

/// After how long a table is too old to prove anything by what is not in it.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// What is known of the world beside advisories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Of when CISA's catalogue is, by its `dateReleased`; `None` where there is none. What is in it stands with the
    /// findings: <https://www.cisa.gov/known-exploited-vulnerabilities-catalog>
    pub known_exploited: Option<TableDate>,
    /// Until when distributions are supported; `None` where nobody has said it.
    pub end_of_life: Option<EndOfLife>,
    /// When the source of each family of advisories last gave or confirmed them. A family that is not here counts as
    /// current: an image whose index is missing is not scanned at all.
    pub advisories: BTreeMap<String, TableDate>,
}

impl Tables {
    /// Names all that answers depend on at `now`, as [`TableVersions::fingerprint`] does.
    pub fn fingerprint(&self, now: Timestamp) -> Digest {
        self.versions().fingerprint(now)
    }

    /// Which tables they are.
    pub fn versions(&self) -> TableVersions {
        let end_of_life = self.end_of_life.as_ref().map(EndOfLife::version);
        TableVersions { known_exploited: self.known_exploited, end_of_life }
    }

    /// The first of these families whose advisories are too old at `now`, and of when they are.
    pub fn outdated<'a>(&self, families: &[&'a str], now: Timestamp) -> Option<(&'a str, TableDate)> {
        let dated = families.iter().filter_map(|family| Some((*family, *self.advisories.get(*family)?)));
        dated.into_iter().find(|(_, date)| !date.is_current(now))
    }

    /// When the first of these families that is current at `now` becomes too old; `None` where none does.
    pub fn next_outdated_at(&self, families: &[&str], now: Timestamp) -> Option<Timestamp> {
        let dates = families.iter().filter_map(|family| self.advisories.get(*family));
        dates.filter(|date| date.is_current(now)).map(|date| date.outdated_at()).min()
    }
}

/// Which tables there are, by hashes: enough to tell whether two say the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableVersions {
    /// Of when CISA's catalogue is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_exploited: Option<TableDate>,
    /// Until when distributions are supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_of_life: Option<TableVersion>,
}

impl TableVersions {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Names all that answers depend on at `now`: what stands in the tables, and which of them are current. A newer table
    /// that says the same has the same name.
    pub fn fingerprint(&self, now: Timestamp) -> Digest {
        let exploited = self.known_exploited.is_some_and(|date| date.is_current(now));
        let end_of_life = self.end_of_life.map(|table| (table.date.is_current(now), table.content));
        Digest::of(&serde_json::to_vec(&(exploited, end_of_life)).unwrap_or_default())
    }
}

/// Which table it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableVersion {
    /// Hash of what it says.
    pub content: Digest,
    /// Of when it is.
    pub date: TableDate,
}

/// Of when a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableDate(pub Timestamp);

impl TableDate {
    /// From when on the table is too old: 7 days after its date.
    pub fn outdated_at(self) -> Timestamp {
        self.0.checked_add(LONGEST).unwrap_or(Timestamp::MAX)
    }

    /// The day of it, in UTC.
    pub fn day(self) -> Date {
        self.0.to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    /// Whether it is not too old at `now`.
    pub fn is_current(self, now: Timestamp) -> bool {
        now < self.outdated_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_table_is_too_old_seven_days_after_its_date() {
        let date = TableDate(at("2026-06-01T12:00:00Z"));
        assert!(date.is_current(at("2026-06-08T11:59:59Z")));
        assert!(!date.is_current(at("2026-06-08T12:00:00Z")));
        assert_eq!(date.outdated_at(), at("2026-06-08T12:00:00Z"));
    }

    #[test]
    fn advisories_are_too_old_when_those_of_a_needed_family_are() {
        let date = |day: &str| TableDate(at(day));
        let advisories = [("debian", "2026-06-01T00:00:00Z"), ("npm", "2026-06-05T00:00:00Z")]
            .map(|(family, day)| (family.to_owned(), date(day)));
        let tables = Tables { advisories: advisories.into(), ..Tables::default() };
        let (before, after) = (at("2026-06-07T00:00:00Z"), at("2026-06-08T00:00:00Z"));
        assert_eq!(tables.outdated(&["debian", "npm", "go"], before), None);
        assert_eq!(tables.next_outdated_at(&["npm", "debian", "go"], before), Some(after));
        assert_eq!(
            tables.outdated(&["npm", "debian"], after),
            Some(("debian", date("2026-06-01T00:00:00Z")))
        );
        assert_eq!(tables.next_outdated_at(&["npm", "debian"], after), Some(at("2026-06-12T00:00:00Z")));
        assert_eq!(tables.outdated(&["npm", "go"], after), None, "an image that needs others");
    }

    #[test]
    fn the_fingerprint_is_of_what_answers_depend_on_and_not_of_dates() {
        let of = |day: &str| Tables { known_exploited: Some(TableDate(at(day))), ..Tables::default() };
        let now = at("2026-06-08T00:00:00Z");
        let (older, newer) = (of("2026-06-05T00:00:00Z"), of("2026-06-06T00:00:00Z"));
        assert_eq!(older.fingerprint(now), newer.fingerprint(now));
        assert_ne!(older.fingerprint(now), of("2026-05-01T00:00:00Z").fingerprint(now), "one is outdated");
        assert_ne!(older.fingerprint(now), older.fingerprint(at("2026-06-20T00:00:00Z")), "time has passed");
    }
}
