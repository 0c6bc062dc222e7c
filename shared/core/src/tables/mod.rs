//! The tables that judging looks things up in, beside the advisories: how old CISA's catalogue of exploited vulnerabilities
//! is, and until when distributions are supported.
//!
//! A table that is missing, or older than a week, proves nothing by what is not in it: a policy that needs it has no data,
//! unless a row that is known fails it.

mod end_of_life;

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
    fn the_fingerprint_is_of_what_answers_depend_on_and_not_of_dates() {
        let of = |day: &str| Tables { known_exploited: Some(TableDate(at(day))), end_of_life: None };
        let now = at("2026-06-08T00:00:00Z");
        let (older, newer) = (of("2026-06-05T00:00:00Z"), of("2026-06-06T00:00:00Z"));
        assert_eq!(older.fingerprint(now), newer.fingerprint(now));
        assert_ne!(older.fingerprint(now), of("2026-05-01T00:00:00Z").fingerprint(now), "one is outdated");
        assert_ne!(older.fingerprint(now), older.fingerprint(at("2026-06-20T00:00:00Z")), "time has passed");
    }
}
