//! How much work is dispatched at a time: so much that the queue carries about [`AHEAD`] of it, as fast as it is worked off.
//! With less, workers would wait for the next tick; with more, windows would end late, what is more urgent would wait, and
//! messages would be sent again before they were read.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

/// How long what is in the queue is to last.
const AHEAD: Duration = Duration::from_secs(90);

/// Over how long it is measured how fast the queue is worked off.
const MEASURED: Duration = Duration::from_secs(60);

/// How much the queue is to carry before anything was measured, at least, and at most: what a thousand workers do in 90
/// seconds, at two seconds for an image.
const FIRST: u64 = 1_000;
const LEAST: u64 = 100;
const MOST: u64 = 45_000;

/// How fast a queue is worked off, and how much it is to carry. It is no record: a process that starts measures anew.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When the queue was last looked at, and what was in it after what was sent then.
    last: Option<(Timestamp, u64)>,
    /// When a measurement ended, how long it took, and how many messages were worked off in it.
    measured: VecDeque<(Timestamp, Duration, u64)>,
    target: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { last: None, measured: VecDeque::new(), target: FIRST }
    }
}

impl Pace {
    /// How much is to be sent at `now` to a queue with so many messages. Whoever sends says so by [`Self::sent`].
    pub(crate) fn room(&mut self, now: Timestamp, messages: u64) -> u64 {
        if let Some((then, left)) = self.last.replace((now, messages))
            && let Ok(took) = Duration::try_from(now.duration_since(then))
            && !took.is_zero()
        {
            self.measured.push_back((now, took, left.saturating_sub(messages)));
            let is_old = |(end, _, _): &(Timestamp, Duration, u64)| {
                Duration::try_from(now.duration_since(*end)).is_ok_and(|age| age > MEASURED)
            };
            while self.measured.len() > 1 && self.measured.front().is_some_and(is_old) {
                self.measured.pop_front();
            }
            // A queue that has run empty says only how much there was to do, not how fast it could have been done.
            let has_run_empty = messages == 0 && left > 0;
            self.target = self.aim(has_run_empty).clamp(LEAST, MOST);
        }
        let room = self.target.saturating_sub(messages);
        // Every tick a few would be many small reads.
        if room < self.target / 20 { 0 } else { room }
    }

    /// Notes that so many messages were sent since the queue was looked at.
    pub(crate) fn sent(&mut self, messages: u64) {
        if let Some((_, left)) = &mut self.last {
            *left += messages;
        }
    }

    fn aim(&self, has_run_empty: bool) -> u64 {
        let took: Duration = self.measured.iter().map(|(_, took, _)| *took).sum();
        let done: u64 = self.measured.iter().map(|(_, _, done)| *done).sum();
        let by_rate = u128::from(done) * AHEAD.as_millis() / took.as_millis().max(1);
        let by_rate = u64::try_from(by_rate).unwrap_or(u64::MAX);
        if has_run_empty { by_rate.max(self.target.saturating_mul(2)) } else { by_rate.max(self.target / 2) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A queue that is worked off at so many messages a second, looked at every so many seconds; what it holds after each look.
    struct Queue {
        pace: Pace,
        now: Timestamp,
        messages: u64,
    }

    impl Queue {
        fn new() -> Self {
            Self { pace: Pace::default(), now: Timestamp::UNIX_EPOCH, messages: 0 }
        }

        /// One tick; whether the queue had run empty before it.
        fn tick(&mut self, seconds: u64, a_second: u64) -> bool {
            let done = (seconds * a_second).min(self.messages);
            self.messages -= done;
            self.now += Duration::from_secs(seconds);
            let had_run_empty = self.messages == 0;
            let room = self.pace.room(self.now, self.messages);
            self.pace.sent(room);
            self.messages += room;
            had_run_empty
        }
    }

    #[test]
    fn a_queue_that_is_looked_at_each_minute_soon_carries_what_a_thousand_workers_do_until_the_next() {
        let mut queue = Queue::new();
        let starved = (0..20).filter(|_| queue.tick(60, 500)).count();
        assert!(starved <= 7, "{starved}");
        assert!((30_000..=45_000).contains(&queue.messages), "{}", queue.messages);
    }

    #[test]
    fn a_queue_that_is_looked_at_each_second_carries_ninety_seconds_of_slow_work() {
        let mut queue = Queue::new();
        for _ in 0..1_500 {
            queue.tick(1, 2);
        }
        assert!((170..=190).contains(&queue.messages), "{}", queue.messages);
    }

    #[test]
    fn a_queue_that_nobody_works_off_gets_nothing_more() {
        let mut queue = Queue::new();
        queue.tick(60, 0);
        for _ in 0..30 {
            queue.tick(60, 0);
        }
        assert_eq!(queue.messages, FIRST);
    }

    #[test]
    fn what_others_have_sent_counts() {
        let mut pace = Pace::default();
        assert_eq!(pace.room(Timestamp::UNIX_EPOCH, 5_000), 0);
    }

    #[test]
    fn a_clock_that_goes_back_measures_nothing() {
        let mut pace = Pace::default();
        pace.room(Timestamp::UNIX_EPOCH, 0);
        pace.sent(10);
        assert_eq!(pace.room(Timestamp::UNIX_EPOCH - Duration::from_secs(5), 0), FIRST);
    }

    proptest! {
        #[test]
        fn a_queue_never_carries_more_than_the_most_and_never_starves_for_long(
            seconds in 1_u64..=60,
            rates in prop::collection::vec(0_u64..400, 1..6),
        ) {
            let mut queue = Queue::new();
            for rate in rates {
                let mut starved = 0;
                for _ in 0..40 {
                    let had_run_empty = queue.tick(seconds, rate);
                    starved = if had_run_empty { starved + 1 } else { 0 };
                    prop_assert!(queue.messages <= MOST);
                }
                // It doubles each time that the queue runs empty.
                prop_assert!(starved <= 9, "{starved} ticks of {seconds} s at {rate} a second");
            }
        }
    }
}
