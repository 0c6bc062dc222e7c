//! A length of time as people write it in a configuration: `90s`, `30m`, `6h`, `60d`, `2w`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A whole number and one unit: `s`, `m`, `h`, `d` (24 hours) or `w` (7 days). Longer than nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = Period::PATTERN, "examples" = ["30m", "6h", "2w"]))]
pub struct Period(u64);

/// A text that is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read {0:?} as a length of time: expected a number and a unit, for example 30m, 6h or 60d")]
pub struct PeriodError(String);

/// The units, from large to small, in seconds.
const UNITS: [(&str, u64); 5] = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

impl Period {
    /// The form as a regular expression. The number is less than 2³².
    pub const PATTERN: &'static str = "^0*[1-9][0-9]*[smhdw]$";

    /// The latest point in time that is a whole number of periods, at least one, after `start` and not after `now`.
    pub fn latest_after(self, start: crate::Timestamp, now: crate::Timestamp) -> Option<crate::Timestamp> {
        let passed = u64::try_from(now.duration_since(start).as_secs()).ok()?;
        let whole = passed - passed % self.0;
        start.checked_add(Duration::from_secs(whole)).ok().filter(|_| whole > 0)
    }

    /// The length as a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        UNITS
            .iter()
            .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)))
            // A sign is none of the digits.
            .filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|(number, seconds)| {
                number.parse::<u32>().ok().map(|number| u64::from(number) * seconds)
            })
            .filter(|seconds| *seconds > 0)
            .map(Self)
            .ok_or_else(|| PeriodError(text.to_owned()))
    }
}

impl TryFrom<String> for Period {
    type Error = PeriodError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, seconds) =
            UNITS.into_iter().find(|(_, seconds)| self.0.is_multiple_of(*seconds)).unwrap_or(("s", 1));
        write!(f, "{}{unit}", self.0 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    proptest! {
        #[test]
        fn the_pattern_of_the_schema_matches_what_is_taken_and_nothing_else(text in "[+.0-9 ]{0,9}[smhdwx]{0,2}") {
            let matches = Regex::new(Period::PATTERN).unwrap().is_match(&text);
            prop_assert_eq!(matches, text.parse::<Period>().is_ok());
        }
    }

    #[test]
    fn a_period_reads_back_what_it_writes() {
        for text in ["90s", "30m", "6h", "60d", "2w"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_period_needs_a_number_and_a_unit() {
        for text in ["", "6", "h", "0h", "-1h", "1.5h", "6 h", "1h30m"] {
            assert!(text.parse::<Period>().is_err(), "{text:?} was taken");
        }
    }
}
