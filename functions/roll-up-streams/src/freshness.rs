//! When changed numbers are published: at the next roll-up, or once per period, as Docker Scout does.

use std::time::Duration;

use tidewatch_core::{Retry, Retryable, Timestamp};

/// The variable with the word for it: `on-change` or `interval`.
pub const FRESH_VARIABLE: &str = "TIDEWATCH_METRICS_FRESH";

/// The variable with the period in minutes.
pub const CACHE_MINUTES_VARIABLE: &str = "TIDEWATCH_METRICS_CACHE_MINUTES";

/// The period where none is named: that of Docker Scout's exporter.
const DEFAULT_MINUTES: u64 = 60;

/// The longest period. After 24 hours numbers count as stale, and one roll-up may come late.
const MOST_MINUTES: u64 = 12 * 60;

/// When a snapshot is replaced whose numbers have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// At the next roll-up.
    #[default]
    OnChange,
    /// At the first roll-up at which it is at least this old.
    Interval(Duration),
}

/// Words or numbers that say no freshness.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {variable}={value:?}: expected {expected}")]
pub struct FreshnessError {
    /// The variable.
    pub variable: &'static str,
    /// What it holds.
    pub value: String,
    /// What it may hold.
    pub expected: &'static str,
}

impl Retryable for FreshnessError {
    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl Freshness {
    /// What the environment says, `variable` giving the value of a variable: on change, or with `interval` once in 60
    /// minutes, where it says nothing. The minutes are from 1 to 720, and are looked at with `interval` only.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, FreshnessError> {
        match variable(FRESH_VARIABLE).as_deref() {
            None | Some("on-change") => Ok(Self::OnChange),
            Some("interval") => {
                let Some(value) = variable(CACHE_MINUTES_VARIABLE) else {
                    return Ok(Self::Interval(Duration::from_secs(DEFAULT_MINUTES * 60)));
                };
                match value.parse() {
                    Ok(minutes @ 1..=MOST_MINUTES) => Ok(Self::Interval(Duration::from_secs(minutes * 60))),
                    _ => Err(FreshnessError {
                        variable: CACHE_MINUTES_VARIABLE,
                        value,
                        expected: "a number of minutes from 1 to 720",
                    }),
                }
            }
            Some(value) => Err(FreshnessError {
                variable: FRESH_VARIABLE,
                value: value.to_owned(),
                expected: "on-change or interval",
            }),
        }
    }

    /// Whether a snapshot that was made at `made_at` is replaced at `now` when its numbers have changed.
    pub(crate) fn is_due(self, made_at: Timestamp, now: Timestamp) -> bool {
        match self {
            Self::OnChange => true,
            Self::Interval(period) => {
                // A clock that was set back makes nothing wait longer than a period.
                let age = now.duration_since(made_at);
                age.is_negative() || age.unsigned_abs() >= period
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fresh: Option<&str>, minutes: Option<&str>) -> Result<Freshness, String> {
        let variable = |name: &str| match name {
            FRESH_VARIABLE => fresh.map(str::to_owned),
            CACHE_MINUTES_VARIABLE => minutes.map(str::to_owned),
            other => panic!("{other} is none of them"),
        };
        Freshness::from_environment(variable).map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_says_when() {
        let minutes = |minutes: u64| Ok(Freshness::Interval(Duration::from_secs(minutes * 60)));
        assert_eq!(read(None, None), Ok(Freshness::OnChange));
        assert_eq!(read(Some("on-change"), Some("x")), Ok(Freshness::OnChange));
        assert_eq!(read(Some("interval"), None), minutes(60));
        assert_eq!(read(Some("interval"), Some("1")), minutes(1));
        assert_eq!(read(Some("interval"), Some("720")), minutes(720));
        for wrong in ["0", "721", "-1", "1.5", "an hour"] {
            let error = read(Some("interval"), Some(wrong)).unwrap_err();
            assert!(error.contains(wrong) && error.contains(CACHE_MINUTES_VARIABLE), "{error}");
        }
        assert!(read(Some("always"), None).unwrap_err().contains("expected on-change or interval"));
    }

    #[test]
    fn a_snapshot_is_replaced_once_per_period_or_at_once() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let hourly = Freshness::Interval(Duration::from_secs(3600));
        assert!(!hourly.is_due(at(0), at(3599)));
        assert!(hourly.is_due(at(0), at(3600)));
        assert!(hourly.is_due(at(10), at(0)));
        assert!(Freshness::OnChange.is_due(at(0), at(0)));
    }
}
