//! How a schedule is written in the file.

use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::time_of_day::TimeOfDay;
use super::{Schedule, Timetable};
use crate::config::Period;

/// The shortest period: that of a cron expression, and of the timer that looks at schedules.
const SHORTEST_PERIOD: Duration = Duration::from_secs(60);

/// The forms in the file: `manual`, `{every: 6h}` or `{cron: "0 2 * * *", timezone: Europe/Berlin, until: "06:00"}`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected `manual`, {every: 6h} or {cron: \"0 2 * * *\", timezone: Europe/Berlin, until: \"06:00\"}"
)]
pub(super) enum ScheduleForm {
    /// Only by `tidewatch rules run`.
    Word(Word),
    /// At once after the first `apply`, and then after each period.
    Every(EveryForm),
    /// At the times of a cron expression, in a time zone; with `until`, in windows that end.
    Cron(CronForm),
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Word {
    Manual,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline, extend("examples" = [{"every": "6h"}]))]
pub(super) struct EveryForm {
    /// The time between two starts, at least `1m`.
    #[schemars(with = "Period")]
    pub(super) every: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline, extend("examples" = [{"cron": "0 2 * * *", "timezone": "Asia/Tokyo", "until": "06:00"}]))]
pub(super) struct CronForm {
    /// Five fields: minute, hour, day of month, month, day of week; where both days are given, either is enough. Or
    /// `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. [Syntax](https://docs.rs/croner/latest/croner/#pattern).
    #[schemars(extend("examples" = ["0 2 * * *", "*/15 8-18 * * MON-FRI"]))]
    cron: String,
    /// The [IANA name](https://www.iana.org/time-zones) of the time zone in which `cron` and `until` are read.
    #[serde(default = "utc")]
    #[schemars(extend("examples" = ["Europe/Berlin", "Asia/Tokyo"]))]
    timezone: String,
    /// A time of day, `HH:MM`. Each start opens a window, which closes when it is next that time: on the same day, or on the
    /// next one. Without it, nothing ever closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = TimeOfDay::PATTERN, "examples" = ["06:00", "23:30"]))]
    until: Option<String>,
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
    /// The end of windows is no time of day.
    #[error("failed to read {0:?} as a time of day: expected hour and minute, for example 06:00")]
    TimeOfDay(String),
    /// The period is none.
    #[error(transparent)]
    Period(#[from] crate::config::PeriodError),
    /// The period is too short to list a registry in.
    #[error("failed to take {0} as the period of a schedule: expected at least 1m")]
    TooShort(Period),
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
            ScheduleForm::Cron(CronForm { cron, timezone, until }) => {
                Self::Cron(Box::new(Timetable::new(&cron, &timezone, until.as_deref())?))
            }
        })
    }
}

impl From<Schedule> for ScheduleForm {
    fn from(schedule: Schedule) -> Self {
        match schedule {
            Schedule::Manual => Self::Word(Word::Manual),
            Schedule::Every(period) => Self::Every(EveryForm { every: period.to_string() }),
            Schedule::Cron(timetable) => Self::Cron(CronForm {
                cron: timetable.cron().to_owned(),
                timezone: timetable.timezone().to_owned(),
                until: timetable.until().map(|until| until.to_string()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(json: &str) -> Schedule {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_schedule_reads_back_what_it_writes() {
        for text in [
            r#""manual""#,
            r#"{"every":"6h"}"#,
            r#"{"cron":"0 2 * * 1-5","timezone":"Europe/Berlin"}"#,
            r#"{"cron":"0 2 * * *","timezone":"Asia/Tokyo","until":"06:00"}"#,
        ] {
            assert_eq!(serde_json::to_string(&schedule(text)).unwrap(), text);
        }
    }

    #[test]
    fn a_schedule_is_told_in_one_line() {
        for (text, expected) in [
            (r#""manual""#, "manual"),
            (r#"{"every": "360m"}"#, "every 6h"),
            (r#"{"cron": "0 2 * * *"}"#, "0 2 * * * UTC"),
            (
                r#"{"cron": "0 2 * * *", "timezone": "Asia/Tokyo", "until": "06:00"}"#,
                "0 2 * * * Asia/Tokyo until 06:00",
            ),
        ] {
            assert_eq!(schedule(text).to_string(), expected);
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
            r#"{"cron": "0 2 * * *", "until": "6:00"}"#,
            r#"{"cron": "0 2 * * *", "until": "24:00"}"#,
            r#"{"cron": "0 2 * * *", "until": 6}"#,
            r#"{"every": "soon"}"#,
            r#"{"every": "6h", "until": "06:00"}"#,
            r#"{"every": "6h", "cron": "0 2 * * *"}"#,
        ] {
            assert!(serde_json::from_str::<Schedule>(bad).is_err(), "{bad} was taken");
        }
    }
}
