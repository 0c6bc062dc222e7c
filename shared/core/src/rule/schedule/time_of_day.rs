//! A time of day as people write it in a configuration: `06:00`.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{DateTime, Time};

use super::ScheduleError;

/// Hour and minute, from `00:00` to `23:59`, two digits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TimeOfDay(Time);

impl TimeOfDay {
    /// The form as a regular expression.
    pub(super) const PATTERN: &'static str = "^([01][0-9]|2[0-3]):[0-5][0-9]$";

    /// The first time after `time` with this time of day: on the same day, or on the next one. `None` at the end of all
    /// years.
    pub(super) fn next_after(self, time: DateTime) -> Option<DateTime> {
        let date = time.date();
        let day = if time.time() < self.0 { date } else { date.tomorrow().ok()? };
        Some(day.to_datetime(self.0))
    }
}

impl FromStr for TimeOfDay {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let part = |part: &str| {
            let is_number = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| part.parse::<i8>().ok()).flatten()
        };
        text.split_once(':')
            .and_then(|(hour, minute)| Time::new(part(hour)?, part(minute)?, 0, 0).ok())
            .map(Self)
            .ok_or_else(|| ScheduleError::TimeOfDay(text.to_owned()))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    proptest! {
        #[test]
        fn the_pattern_of_the_schema_matches_what_is_taken_and_nothing_else(text in "[0-2+ ]?[0-9]{0,3}[:.][0-9]{1,3}") {
            let matches = Regex::new(TimeOfDay::PATTERN).unwrap().is_match(&text);
            prop_assert_eq!(matches, text.parse::<TimeOfDay>().is_ok());
        }
    }

    #[test]
    fn a_time_of_day_reads_back_what_it_writes() {
        for text in ["00:00", "06:00", "23:59"] {
            assert_eq!(text.parse::<TimeOfDay>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_next_time_is_on_the_same_day_or_on_the_next_one() {
        let next = |time: &str, after: &str| {
            time.parse::<TimeOfDay>().unwrap().next_after(after.parse().unwrap()).unwrap().to_string()
        };
        assert_eq!(next("06:00", "2026-02-28T05:59:59.9"), "2026-02-28T06:00:00");
        assert_eq!(next("06:00", "2026-02-28T06:00:00"), "2026-03-01T06:00:00", "a full day when equal");
        assert_eq!(next("06:00", "2026-02-28T22:00:00"), "2026-03-01T06:00:00");
    }

    #[test]
    fn what_is_no_time_of_day_is_refused_and_the_error_says_what_is_expected() {
        for text in ["", "6", "6:00", "06:0", "24:00", "12:60", "+6:00", "06:00:00", "06.00", "noon"] {
            let error = text.parse::<TimeOfDay>().unwrap_err().to_string();
            assert!(error.contains("06:00") || text.contains("06:00"), "{error}");
        }
    }
}
