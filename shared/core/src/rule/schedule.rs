//! When a rule runs by itself: a cron expression in a time zone, a period, or never.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Period;

/// The shortest period: that of a cron expression, and of the timer that looks at schedules.
const SHORTEST_PERIOD: Duration = Duration::from_secs(60);

/// When a rule runs by itself.
///
/// Starts that were missed while nothing ran fold into one. A run by hand does not move the schedule. While the last run
/// of a rule still lists, for six hours at most, its next one waits. After an `apply` that changes something, a `cron`
/// schedule counts from then: a new one does not start at once, and a start that was missed before is not made up for.
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

/// A cron expression of five fields and the time zone in which it is read.
#[derive(Clone, PartialEq, Eq)]
pub struct Timetable {
    text: String,
    cron: Cron,
    timezone_name: String,
    timezone: TimeZone,
}

/// The forms in the file: `manual`, `{every: 6h}` or `{cron: "0 2 * * *", timezone: Europe/Berlin}`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected `manual`, {every: 6h} or {cron: \"0 2 * * *\", timezone: Europe/Berlin}"
)]
enum ScheduleForm {
    /// Only by `tidewatch rules run`.
    Word(Word),
    /// At once after the first `apply`, and then after each period.
    Every(EveryForm),
    /// At the times of a cron expression, in a time zone.
    Cron(CronForm),
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Word {
    Manual,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline, extend("examples" = [{"every": "6h"}]))]
struct EveryForm {
    /// The time between two starts, at least `1m`.
    #[schemars(with = "Period")]
    every: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline, extend("examples" = [{"cron": "0 2 * * *", "timezone": "Asia/Tokyo"}]))]
struct CronForm {
    /// Five fields: minute, hour, day of month, month, day of week; where both days are given, either is enough. Or
    /// `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. [Syntax](https://docs.rs/croner/latest/croner/#pattern).
    #[schemars(extend("examples" = ["0 2 * * *", "*/15 8-18 * * MON-FRI"]))]
    cron: String,
    /// The [IANA name](https://www.iana.org/time-zones) of the time zone in which the expression is read.
    #[serde(default = "utc")]
    #[schemars(extend("examples" = ["Europe/Berlin", "Asia/Tokyo"]))]
    timezone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A schedule that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The cron expression is none.
    #[error("failed to read {0:?} as a cron expression of five fields: {1}")]
    Cron(String, String),
    /// There is no such time zone.
    #[error("failed to find the time zone {0:?}: expected an IANA name, for example Europe/Berlin")]
    TimeZone(String),
    /// The period is none.
    #[error(transparent)]
    Period(#[from] crate::config::PeriodError),
    /// The period is too short to list a registry in.
    #[error("failed to take {0} as the period of a schedule: expected at least 1m")]
    TooShort(Period),
}

impl Timetable {
    /// A timetable of a cron expression and an IANA time zone.
    pub fn new(cron: &str, timezone: &str) -> Result<Self, ScheduleError> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parsed =
            parser.parse(cron).map_err(|error| ScheduleError::Cron(cron.to_owned(), error.to_string()))?;
        let zone = TimeZone::get(timezone).map_err(|_| ScheduleError::TimeZone(timezone.to_owned()))?;
        Ok(Self { text: cron.to_owned(), cron: parsed, timezone_name: timezone.to_owned(), timezone: zone })
    }

    /// The first time after `after`; `None` when there is none in the next years.
    fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let zoned = after.to_zoned(self.timezone.clone());
        self.cron.find_next_occurrence(&zoned, false).ok().map(|next| next.timestamp())
    }

    /// The latest time that is not after `now`; `None` when there is none in the years before.
    fn latest_until(&self, now: Timestamp) -> Option<Timestamp> {
        let zoned = now.to_zoned(self.timezone.clone());
        self.cron.find_previous_occurrence(&zoned, true).ok().map(|latest| latest.timestamp())
    }
}

impl Schedule {
    /// The start that is due at `now`: the latest time of the schedule after `last`, the last start, that is not after
    /// `now`. Times that were missed fold into one. Two evaluators at the same time get the same answer.
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
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manual => f.pad("manual"),
            Self::Every(period) => f.pad(&format!("every {period}")),
            Self::Cron(timetable) => f.pad(&format!("{} {}", timetable.text, timetable.timezone_name)),
        }
    }
}

impl fmt::Debug for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {}", self.text, self.timezone_name)
    }
}

impl TryFrom<ScheduleForm> for Schedule {
    type Error = ScheduleError;

    fn try_from(form: ScheduleForm) -> Result<Self, Self::Error> {
        Ok(match form {
            ScheduleForm::Word(Word::Manual) => Self::Manual,
            ScheduleForm::Every(form) => {
                let period = Period::from_str(&form.every)?;
                if period.duration() < SHORTEST_PERIOD {
                    return Err(ScheduleError::TooShort(period));
                }
                Self::Every(period)
            }
            ScheduleForm::Cron(form) => Self::Cron(Box::new(Timetable::new(&form.cron, &form.timezone)?)),
        })
    }
}

impl From<Schedule> for ScheduleForm {
    fn from(schedule: Schedule) -> Self {
        match schedule {
            Schedule::Manual => Self::Word(Word::Manual),
            Schedule::Every(period) => Self::Every(EveryForm { every: period.to_string() }),
            Schedule::Cron(timetable) => {
                Self::Cron(CronForm { cron: timetable.text, timezone: timetable.timezone_name })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEVER: Timestamp = Timestamp::UNIX_EPOCH;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(json: &str) -> Schedule {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_cron_expression_may_name_a_period_and_days_of_month_and_week() {
        let next = |cron: &str| {
            schedule(&format!(r#"{{"cron": "{cron}"}}"#)).next(None, at("2026-11-09T00:30:00Z")).unwrap()
        };
        for (cron, expected) in [
            ("@hourly", "2026-11-09T01:00:00Z"),
            ("@daily", "2026-11-10T00:00:00Z"),
            ("@weekly", "2026-11-15T00:00:00Z"),
            ("@monthly", "2026-12-01T00:00:00Z"),
            ("@yearly", "2027-01-01T00:00:00Z"),
            // A Thursday the 12th and a Friday: the earlier of the two.
            ("0 2 12 * FRI", "2026-11-12T02:00:00Z"),
            ("0 2 14 * FRI", "2026-11-13T02:00:00Z"),
        ] {
            assert_eq!(next(cron), at(expected), "{cron}");
        }
    }

    #[test]
    fn a_cron_schedule_starts_at_its_time_in_its_time_zone() {
        let nightly = schedule(r#"{"cron": "0 2 * * *", "timezone": "Asia/Tokyo"}"#);
        let last = Some(at("2026-03-01T00:00:00Z"));
        assert_eq!(nightly.due(last, NEVER, at("2026-03-01T16:59:59Z")), None);
        assert_eq!(nightly.due(last, NEVER, at("2026-03-01T17:00:00Z")), Some(at("2026-03-01T17:00:00Z")));
    }

    #[test]
    fn missed_times_fold_into_one_start() {
        let hourly = schedule(r#"{"cron": "0 * * * *"}"#);
        let last = Some(at("2026-03-01T00:00:00Z"));
        assert_eq!(hourly.due(last, NEVER, at("2026-03-01T05:30:00Z")), Some(at("2026-03-01T05:00:00Z")));
    }

    #[test]
    fn a_schedule_that_was_changed_does_not_start_at_once_because_of_an_old_start() {
        let monthly = schedule(r#"{"cron": "0 0 1 * *"}"#);
        let (last, applied) = (Some(at("2026-01-20T02:00:00Z")), at("2026-03-15T00:00:00Z"));
        assert_eq!(monthly.due(last, applied, at("2026-03-15T00:01:00Z")), None);
        let next = at("2026-04-01T00:00:00Z");
        assert_eq!(monthly.due(last, applied, next), Some(next));
        assert_eq!(monthly.due(Some(next), applied, at("2026-04-01T00:01:00Z")), None);
    }

    proptest! {
        #[test]
        fn what_is_due_is_what_stepping_through_every_time_of_the_schedule_ends_at(
            text in prop::sample::select(vec![
                r#"{"cron": "*/20 * * * *"}"#,
                r#"{"cron": "30 1,2 * * *", "timezone": "Europe/Berlin"}"#,
                r#"{"cron": "*/40 2 * * *", "timezone": "America/New_York"}"#,
                r#"{"cron": "15 0 * * 1", "timezone": "Australia/Lord_Howe"}"#,
                r#"{"cron": "0 0 29 2 *"}"#,
            ]),
            // Over the two changes of the clocks of a year, and to milliseconds.
            last in 0..31_536_000_000_i64,
            passed in 0..2_000_000_000_i64,
        ) {
            let start = at("2027-06-15T00:00:00Z").as_millisecond() + last;
            let last = Timestamp::from_millisecond(start).unwrap();
            let now = Timestamp::from_millisecond(start + passed).unwrap();
            let schedule = schedule(text);
            let Schedule::Cron(timetable) = &schedule else { unreachable!() };
            let following = |time: &Timestamp| timetable.next_after(*time).filter(|next| *next <= now);
            let expected = std::iter::successors(following(&last), following).last();
            prop_assert_eq!(schedule.due(Some(last), NEVER, now), expected);
        }
    }

    #[test]
    fn a_period_starts_at_once_and_then_after_each_period() {
        let every = schedule(r#"{"every": "6h"}"#);
        let applied = at("2026-03-01T00:00:00Z");
        assert_eq!(every.due(None, applied, at("2026-03-01T00:00:30Z")), Some(applied));
        assert_eq!(every.due(Some(applied), applied, at("2026-03-01T05:59:59Z")), None);
        assert_eq!(
            every.due(Some(applied), applied, at("2026-03-01T13:00:00Z")),
            Some(at("2026-03-01T12:00:00Z"))
        );
    }

    #[test]
    fn a_manual_schedule_never_starts_by_itself() {
        assert_eq!(schedule(r#""manual""#).due(None, NEVER, at("2026-03-01T00:00:00Z")), None);
    }

    #[test]
    fn a_schedule_reads_back_what_it_writes() {
        for text in
            [r#""manual""#, r#"{"every":"6h"}"#, r#"{"cron":"0 2 * * 1-5","timezone":"Europe/Berlin"}"#]
        {
            assert_eq!(serde_json::to_string(&schedule(text)).unwrap(), text);
        }
    }

    #[test]
    fn a_period_under_a_minute_is_refused_and_the_error_says_why() {
        let read = |every: &str| serde_json::from_value::<Schedule>(serde_json::json!({"every": every}));
        let form = |every: &str| ScheduleForm::Every(EveryForm { every: every.to_owned() });
        assert!(read("60s").is_ok() && read("1m").is_ok());
        for short in ["1s", "59s"] {
            assert!(read(short).is_err());
            let error = Schedule::try_from(form(short)).unwrap_err().to_string();
            assert!(error.contains(short) && error.contains("at least 1m"), "{error}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for bad in [
            r#""sometimes""#,
            r#"{"cron": "* * * *"}"#,
            r#"{"cron": "0 0 2 * * *"}"#,
            r#"{"cron": "61 * * * *"}"#,
            r#"{"cron": "0 2 * * *", "timezone": "Mars/Base"}"#,
            r#"{"every": "soon"}"#,
            r#"{"every": "6h", "cron": "0 2 * * *"}"#,
        ] {
            assert!(serde_json::from_str::<Schedule>(bad).is_err(), "{bad} was taken");
        }
    }
}
