//! When a rule runs by itself: a cron expression in a time zone, a period, or never. And the windows in which what it has
//! found is dispatched.

mod form;
mod time_of_day;
mod timetable;
mod wall_clock;

#[cfg(test)]
mod tests;

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Period;

use form::ScheduleForm;

pub use form::ScheduleError;
pub use timetable::Timetable;

/// When a rule runs by itself.
///
/// Starts that were missed while nothing ran fold into one. A run by hand does not move the schedule. While the last run
/// of a rule still lists, for six hours at most, its next one waits. After an `apply` that changes something, a `cron`
/// schedule counts from then: a new one does not start at once, and a start that was missed before is not made up for.
///
/// With `until`, each start opens a window. When it closes, what is being scanned comes to its end, and nothing more is
/// begun: images that are left wait for the next window, and what is left of a listing is broken off, for the next run to
/// list anew. A start that was missed is made up for within its window only. Windows that overlap or meet are one: `{cron:
/// "0 * * * *", until: "06:00"}` never closes. Images that were pushed are scanned at any time; so is an image that another
/// rule has found as well, when that one has no window or an open one. A rule that is run by hand while its window is closed
/// does not wait: nothing of it is held up before its next window opens.
///
/// Clocks that are changed: each time of `cron`, and `until`, comes at the first moment at which the clock has shown it or a
/// later one. So a time that does not exist comes at the next minute that does, and one that exists twice comes once, the
/// first time. A window of which no minute exists is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "ScheduleForm", into = "ScheduleForm")]
pub enum Schedule {
    /// Never by itself; only when somebody runs it.
    #[default]
    Manual,
    /// At the times of a cron expression, in a time zone.
    Cron(Box<Timetable>),
    /// At once, and then with this much time between starts: a minute or more.
    Every(Period),
}

/// The windows of a schedule, as seen at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// One is open.
    Open {
        /// When it closes; `None` when others follow it without a pause, for more than a year.
        closes_at: Option<Timestamp>,
    },
    /// None is open.
    Closed {
        /// When the next one opens.
        opens_at: Timestamp,
    },
}

impl Schedule {
    /// The start that is due at `now`: the latest time of the schedule after `last`, the last start, that is not after
    /// `now`, if its window is open. Times that were missed fold into one. Two evaluators at the same time get the same
    /// answer.
    ///
    /// A schedule that has never started counts from `applied_at`, the time its configuration was put in force; a period
    /// starts right then. A cron expression counts from the later of `last` and `applied_at`, so that a new one does not
    /// start at once because of the last start of another. The price: a time that was missed while nothing ran, before
    /// another configuration was applied, is not made up for.
    pub fn due(&self, last: Option<Timestamp>, applied_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Manual => None,
            Self::Every(period) => match last {
                None => (applied_at <= now).then_some(applied_at),
                Some(last) => period.latest_after(last, now),
            },
            Self::Cron(timetable) => {
                let from = last.map_or(applied_at, |last| last.max(applied_at));
                timetable.latest_until(now).filter(|latest| *latest > from)
            }
        }
    }

    /// When the schedule starts next, as seen at `now`; `None` for one that never does by itself.
    pub fn next(&self, last: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Manual => None,
            Self::Cron(timetable) => timetable.next_after(now),
            Self::Every(period) => Some(
                last.and_then(|last| last.checked_add(period.duration()).ok())
                    .map_or(now, |next| next.max(now)),
            ),
        }
    }

    /// When the next window opens, if none is open at `now`. `None` when what is due may be dispatched: in a window, and at
    /// any time for a schedule that has none, or will never have another.
    pub fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        let Self::Cron(timetable) = self else { return None };
        if timetable.is_open(now) { None } else { timetable.next_after(now) }
    }

    /// Whether what it has found is dispatched in windows only.
    pub fn has_windows(&self) -> bool {
        matches!(self, Self::Cron(timetable) if timetable.until().is_some())
    }

    /// How its windows stand at `now`; `None` for a schedule that has none, or will never have another.
    pub fn window(&self, now: Timestamp) -> Option<Window> {
        let Self::Cron(timetable) = self else { return None };
        timetable.until()?;
        if timetable.is_open(now) {
            return Some(Window::Open { closes_at: timetable.closes_at(now) });
        }
        timetable.next_after(now).map(|opens_at| Window::Closed { opens_at })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manual => f.pad("manual"),
            Self::Every(period) => f.pad(&format!("every {period}")),
            Self::Cron(timetable) => f.pad(&timetable.to_string()),
        }
    }
}
