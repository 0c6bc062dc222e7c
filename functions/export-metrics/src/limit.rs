//! How often one token may ask: a scraper that has gone wild keeps nobody else waiting, and costs no reads of the table.
//!
//! Each process counts for itself, and begins anew when it starts; it is a brake, not a quota. Only tokens that were good
//! are counted, so that whoever has none can neither fill the memory nor use up what another may ask.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidewatch_core::{Digest, Retry, Retryable, Timestamp};

/// The variable with the number of scrapes in a minute; 0 for no limit.
pub const SCRAPES_VARIABLE: &str = "TIDEWATCH_SCRAPES_PER_MINUTE";

/// The limit where none is named: 150 scrapers that share a token and scrape every 15 seconds.
pub const DEFAULT_SCRAPES: u32 = 600;

/// The most tokens that are remembered before those are forgotten that have not asked for a minute.
const MOST_TOKENS: usize = 1_024;

/// A minute in microseconds.
const MINUTE: i64 = 60_000_000;

/// A text that is no number of scrapes.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {SCRAPES_VARIABLE}={value:?}: expected a whole number, 0 for no limit")]
pub struct ScrapesError {
    /// What the variable holds.
    pub value: String,
}

impl Retryable for ScrapesError {
    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// How many scrapes in a minute the environment allows a token, `variable` giving the value of a variable.
pub fn scrapes_per_minute(variable: impl Fn(&str) -> Option<String>) -> Result<u32, ScrapesError> {
    match variable(SCRAPES_VARIABLE) {
        None => Ok(DEFAULT_SCRAPES),
        Some(value) => value.parse().map_err(|_| ScrapesError { value }),
    }
}

/// Counts the scrapes of each token: as many as are allowed in a minute at once, and then as they come back, evenly over
/// the minute. It is the generic cell rate algorithm: of each token only a time is kept.
#[derive(Debug)]
pub(crate) struct ScrapeLimit {
    /// After how many microseconds a scrape comes back; 0 for no limit.
    cost: i64,
    /// When each token has all of its scrapes again, in microseconds since 1970.
    full_at: Mutex<BTreeMap<Digest, i64>>,
}

impl ScrapeLimit {
    /// A limit of so many scrapes in a minute; none for 0.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { cost: MINUTE.checked_div(per_minute.into()).unwrap_or(0), full_at: Mutex::default() }
    }

    /// Whether a token has a scrape left at `now`; else after how many seconds it has one.
    pub(crate) fn check(&self, token: &Digest, now: Timestamp) -> Result<(), u64> {
        let missing = self.full_at(token, now.as_microsecond()) + self.cost - now.as_microsecond() - MINUTE;
        match u64::try_from(missing) {
            Ok(missing @ 1..) => Err(missing.div_ceil(1_000_000)),
            _ => Ok(()),
        }
    }

    /// Takes one scrape of a token, which was found good.
    pub(crate) fn take(&self, token: Digest, now: Timestamp) {
        if self.cost == 0 {
            return;
        }
        let now = now.as_microsecond();
        let full_at = self.full_at(&token, now) + self.cost;
        let mut tokens = self.lock();
        if tokens.len() >= MOST_TOKENS {
            tokens.retain(|_, full_at| *full_at > now);
        }
        tokens.insert(token, full_at);
    }

    /// When a token has all of its scrapes again, at the earliest now. After a clock was set back, it has them at once.
    fn full_at(&self, token: &Digest, now: i64) -> i64 {
        let full_at = self.lock().get(token).copied().unwrap_or(now);
        if full_at > now + MINUTE + self.cost { now } else { full_at.max(now) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, i64>> {
        self.full_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_781_481_600_000 + milliseconds).unwrap()
    }

    /// How many scrapes a token gets at this time, one after the other, and what the first that it does not get is told.
    fn scrapes(limit: &ScrapeLimit, token: &str, now: Timestamp) -> (u32, u64) {
        let token = Digest::of(token.as_bytes());
        for taken in 0..1_000 {
            if let Err(seconds) = limit.check(&token, now) {
                return (taken, seconds);
            }
            limit.take(token, now);
        }
        (1_000, 0)
    }

    #[test]
    fn a_token_has_its_scrapes_at_once_and_gets_them_back_one_by_one() {
        let limit = ScrapeLimit::new(30);
        assert_eq!(scrapes(&limit, "a", at(0)), (30, 2));
        assert_eq!(scrapes(&limit, "a", at(1_999)), (0, 1));
        assert_eq!(scrapes(&limit, "a", at(2_000)), (1, 2));
        assert_eq!(scrapes(&limit, "a", at(12_000)), (5, 2));
        assert_eq!(scrapes(&limit, "b", at(12_000)), (30, 2), "another token has its own");
        assert_eq!(scrapes(&limit, "a", at(600_000)), (30, 2), "no more than a minute's are kept");
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_out() {
        let limit = ScrapeLimit::new(30);
        assert_eq!(scrapes(&limit, "a", at(3_600_000)), (30, 2));
        assert_eq!(scrapes(&limit, "a", at(0)), (30, 2));
    }

    #[test]
    fn without_a_limit_everything_passes() {
        assert_eq!(scrapes(&ScrapeLimit::new(0), "a", at(0)), (1_000, 0));
    }

    #[test]
    fn tokens_that_have_not_asked_for_a_minute_are_forgotten_when_there_are_many() {
        let limit = ScrapeLimit::new(60);
        for number in 0..MOST_TOKENS {
            limit.take(Digest::of(number.to_string().as_bytes()), at(0));
        }
        limit.take(Digest::of(b"later"), at(61_000));
        assert_eq!(limit.lock().len(), 1);
    }

    #[test]
    fn the_environment_says_how_many() {
        let read = |value: Option<&str>| {
            scrapes_per_minute(|_| value.map(str::to_owned)).map_err(|error| error.to_string())
        };
        assert_eq!(read(None), Ok(DEFAULT_SCRAPES));
        assert_eq!(read(Some("0")), Ok(0));
        assert_eq!(read(Some("1200")), Ok(1_200));
        assert!(read(Some("many")).unwrap_err().contains(&format!("{SCRAPES_VARIABLE}=\"many\"")));
    }
}
