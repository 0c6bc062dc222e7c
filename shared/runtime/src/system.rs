//! The system's own clock, sleep, randomness and identifiers: the adapters of the small ports.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tidewatch_core::ports::{Clock, Ids, Randomness, Sleeper};

/// The system clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the adapter that the other code takes the time from"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Sleeps on the timer of the async runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSleeper;

#[async_trait]
impl Sleeper for SystemSleeper {
    #[expect(clippy::disallowed_methods, reason = "this is the adapter that the other code sleeps by")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Random bytes of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        // A system without randomness cannot make a secret, and must not make a guessable one.
        #[expect(clippy::expect_used, reason = "there is nothing safe to go on with")]
        getrandom::fill(bytes).expect("failed to read random bytes from the operating system");
    }
}

/// Identifiers of a time, in milliseconds, and 80 random bits, in Crockford's base 32: those of
/// <https://github.com/ulid/spec>. Two of one millisecond may sort either way.
#[derive(Debug, Default)]
pub struct SystemIds {
    last: Mutex<u64>,
}

const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl Ids for SystemIds {
    fn next(&self) -> String {
        let mut random = [0; 10];
        SystemRandomness.fill(&mut random);
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A clock that is set back must not make identifiers that sort before those already given.
        *last = (*last).max(u64::try_from(SystemClock.now().as_millisecond()).unwrap_or(0));
        let random = random.into_iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(byte));
        let bits = u128::from(*last) << 80 | random;
        (0..26_u32).rev().map(|digit| char::from(CROCKFORD[(bits >> (5 * digit) & 31) as usize])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_unique_and_26_characters_long() {
        let ids = SystemIds::default();
        let made: std::collections::BTreeSet<String> = (0..1_000).map(|_| ids.next()).collect();
        assert_eq!(made.len(), 1_000);
        assert!(made.iter().all(|id| id.len() == 26));
    }

    #[test]
    fn identifiers_sort_by_their_time() {
        let ids = SystemIds::default();
        let earlier = ids.next();
        *ids.last.lock().unwrap() += 1;
        assert!(earlier < ids.next());
    }
}
