//! The clock on the wall in a time zone, and what becomes of a time of day when it is changed.
//!
//! One rule covers both changes: a time comes at the first moment at which the clock has shown it or a later one. So a time
//! that does not exist comes at the next minute that does, one that exists twice comes once, and times come in their order.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::ScheduleError;

/// The least that a clock goes on by.
const INSTANT: SignedDuration = SignedDuration::from_nanos(1);

/// A clock in a time zone.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct WallClock {
    name: String,
    zone: TimeZone,
}

impl WallClock {
    /// The clock of an [IANA time zone](https://www.iana.org/time-zones).
    pub(super) fn new(name: &str) -> Result<Self, ScheduleError> {
        let zone = TimeZone::get(name).map_err(|_| ScheduleError::TimeZone(name.to_owned()))?;
        Ok(Self { name: name.to_owned(), zone })
    }

    /// The name of the time zone, as it was given.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The latest time that the clock has shown up to `moment`: what it shows, unless it was put back and shows times for the
    /// second time.
    pub(super) fn shown(&self, moment: Timestamp) -> DateTime {
        let shows = self.zone.to_datetime(moment);
        let AmbiguousOffset::Fold { before, .. } = self.zone.to_ambiguous_zoned(shows).offset() else {
            return shows;
        };
        if self.zone.to_offset(moment) == before {
            return shows;
        }
        let put_back =
            self.changed(moment).and_then(|change| before.to_datetime(change).checked_sub(INSTANT).ok());
        put_back.unwrap_or(shows)
    }

    /// The first moment at which the clock has shown `time` or a later one; `None` beyond the years of a timestamp.
    pub(super) fn reached(&self, time: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_zoned(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(time).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(time).ok(),
            AmbiguousOffset::Gap { before, .. } => self.changed(before.to_timestamp(time).ok()?),
        }
    }

    /// When the clock was changed last, at `moment` or before.
    fn changed(&self, moment: Timestamp) -> Option<Timestamp> {
        let after = moment.checked_add(INSTANT).ok()?;
        self.zone.preceding(after).next().map(|transition| transition.timestamp())
    }
}
