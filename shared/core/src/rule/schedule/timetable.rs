//! The times of a cron expression in a time zone, and the windows that they open.
//!
//! Everything is decided by what the clock on the wall has shown ([`WallClock`]): a start is due once it has shown the
//! time of the start, and a window is open until it has shown the time at which the window ends.

use std::fmt;
use std::iter;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::DateTime;

use super::ScheduleError;
use super::time_of_day::TimeOfDay;
use super::wall_clock::WallClock;

/// Through how many windows, one after the other without a pause, it is looked for their end: more than the days of a year.
const MOST_JOINED: usize = 400;

/// How many windows that have no time at all, since clocks are put forward, are passed over: more than the minutes of a day.
const MOST_EMPTY: usize = 1500;

/// A cron expression of five fields, the time zone in which it is read, and until when its windows are open.
#[derive(Clone, PartialEq, Eq)]
pub struct Timetable {
    text: String,
    cron: Cron,
    clock: WallClock,
    until: Option<TimeOfDay>,
}

impl Timetable {
    /// A timetable of a cron expression and an IANA time zone; with `until`, `HH:MM`, each of its times opens a window that
    /// closes at the next such time of day.
    pub fn new(cron: &str, timezone: &str, until: Option<&str>) -> Result<Self, ScheduleError> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parsed =
            parser.parse(cron).map_err(|error| ScheduleError::Cron(cron.to_owned(), error.to_string()))?;
        let until = until.map(str::parse).transpose()?;
        Ok(Self { text: cron.to_owned(), cron: parsed, clock: WallClock::new(timezone)?, until })
    }

    /// The cron expression, as it was given.
    pub(super) fn cron(&self) -> &str {
        &self.text
    }

    /// The name of the time zone, as it was given.
    pub(super) fn timezone(&self) -> &str {
        self.clock.name()
    }

    /// The time of day until which windows are open; `None` when it has none.
    pub(super) const fn until(&self) -> Option<TimeOfDay> {
        self.until
    }

    /// The first start after `after`; `None` when there is none in the next years. One whose window has no time at all is
    /// none.
    pub(super) fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let following = |time: &DateTime| self.cron.find_next_occurrence(time, false).ok();
        iter::successors(following(&self.clock.shown(after)), following)
            .take(MOST_EMPTY)
            .find(|start| !self.is_empty(*start))
            .and_then(|start| self.clock.reached(start))
    }

    /// The latest start that is not after `now`, if its window is still open; `None` too when there is none in the years
    /// before.
    pub(super) fn latest_until(&self, now: Timestamp) -> Option<Timestamp> {
        let shown = self.clock.shown(now);
        let start = self.latest(shown)?;
        let is_over = self.end(start).is_some_and(|end| end <= shown);
        if is_over { None } else { self.clock.reached(start) }
    }

    /// Whether a window is open at `now`; always without an end.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        self.until.is_none() || self.open_until(now).is_some()
    }

    /// When the window that is open at `now` closes, with all that begin before that; `None` when none is open, or when they
    /// follow one another for more than a year.
    pub(super) fn closes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let open = |time: Timestamp| self.open_until(time).and_then(|end| self.clock.reached(end));
        iter::successors(open(now), |end| open(*end)).take(MOST_JOINED).find(|end| !self.is_open(*end))
    }

    /// Until what time on the clock the window is open that began last, if it is open at `now`. No earlier one ends later.
    fn open_until(&self, now: Timestamp) -> Option<DateTime> {
        let shown = self.clock.shown(now);
        self.end(self.latest(shown)?).filter(|end| *end > shown)
    }

    /// The latest time of the cron expression that is not after `shown`.
    fn latest(&self, shown: DateTime) -> Option<DateTime> {
        self.cron.find_previous_occurrence(&shown, true).ok()
    }

    /// When the window of a start ends.
    fn end(&self, start: DateTime) -> Option<DateTime> {
        self.until?.next_after(start)
    }

    /// Whether start and end of a window are the same moment: clocks are put forward over both.
    fn is_empty(&self, start: DateTime) -> bool {
        self.end(start).is_some_and(|end| self.clock.reached(start) == self.clock.reached(end))
    }
}

impl fmt::Display for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.text, self.clock.name())?;
        self.until.map_or(Ok(()), |until| write!(f, " until {until}"))
    }
}

impl fmt::Debug for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
