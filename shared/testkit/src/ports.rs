//! Time, sleeping, randomness and identifiers that a test decides: the clock moves when it is told to, sleeping takes
//! no time, and the same seed gives the same bytes. And a queue and an event bus that keep what was sent to them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tidewatch_core::Timestamp;
use tidewatch_core::event::AffectedEvent;
use tidewatch_core::ports::events::{EventBus, EventBusError};
use tidewatch_core::ports::queue::{OutgoingMessage, QueueError, QueueName};
use tidewatch_core::ports::{Clock, Ids, QueueSender, Randomness, Sleeper};

/// A clock that stands still until it is set or advanced.
#[derive(Debug)]
pub struct SettableClock(Mutex<Timestamp>);

impl SettableClock {
    /// A clock that shows `now`.
    pub const fn new(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// A clock that shows an RFC 3339 time such as `2025-01-01T00:00:00Z`.
    pub fn at(now: &str) -> Self {
        Self::new(now.parse().expect("the time of a test clock is in RFC 3339 form"))
    }

    /// Shows `now` from here on, which may lie before the time it showed.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Shows a time that is `duration` later.
    pub fn advance(&self, duration: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.checked_add(duration).expect("a test clock stays within the years of a timestamp");
    }
}

impl Clock for SettableClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sleeper that returns at once and remembers how long it was asked to sleep.
#[derive(Debug, Default)]
pub struct InstantSleeper {
    clock: Option<Arc<SettableClock>>,
    slept: Mutex<Vec<Duration>>,
}

impl InstantSleeper {
    /// A sleeper that moves no clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// A sleeper that advances `clock` by every duration it is asked to sleep.
    pub const fn advancing(clock: Arc<SettableClock>) -> Self {
        Self { clock: Some(clock), slept: Mutex::new(Vec::new()) }
    }

    /// The durations it was asked to sleep so far, in order.
    pub fn slept(&self) -> Vec<Duration> {
        self.slept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Sleeper for InstantSleeper {
    async fn sleep(&self, duration: Duration) {
        self.slept.lock().unwrap_or_else(PoisonError::into_inner).push(duration);
        if let Some(clock) = &self.clock {
            clock.advance(duration);
        }
        tokio::task::yield_now().await;
    }
}

/// Bytes that look random and are the same for the same seed: SHA-256 of the seed and a counter.
#[derive(Debug)]
pub struct SeededRandomness {
    seed: u64,
    blocks: AtomicU64,
}

impl SeededRandomness {
    /// The bytes that belong to `seed`, from their beginning.
    pub const fn new(seed: u64) -> Self {
        Self { seed, blocks: AtomicU64::new(0) }
    }
}

impl Randomness for SeededRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let block = self.blocks.fetch_add(1, Ordering::Relaxed);
            let hash = Sha256::new().chain_update(self.seed.to_le_bytes()).chain_update(block.to_le_bytes());
            chunk.copy_from_slice(&hash.finalize()[..chunk.len()]);
        }
    }
}

/// Identifiers that count up: `00000000000000000000000001`, then `…02`.
#[derive(Debug, Default)]
pub struct SequentialIds(AtomicU64);

impl SequentialIds {
    /// Identifiers from 1 on.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }
}

impl Ids for SequentialIds {
    fn next(&self) -> String {
        format!("{:026}", self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// A queue that takes what every queue takes, and keeps it in the order of sending.
#[derive(Debug, Default)]
pub struct RecordingQueue(Mutex<Vec<(QueueName, OutgoingMessage)>>);

impl RecordingQueue {
    /// A queue to which nothing was sent.
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The messages that were sent to `queue` so far, oldest first.
    pub fn sent(&self, queue: QueueName) -> Vec<OutgoingMessage> {
        let sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sent.iter().filter(|(name, _)| *name == queue).map(|(_, message)| message.clone()).collect()
    }

    /// What the messages that were sent to `queue` so far say, oldest first.
    pub fn messages<M: DeserializeOwned>(&self, queue: QueueName) -> Vec<M> {
        let read =
            |message: &OutgoingMessage| serde_json::from_str(&message.body).expect("a message of this type");
        self.sent(queue).iter().map(read).collect()
    }

    /// Forgets what was sent so far.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[async_trait]
impl QueueSender for RecordingQueue {
    async fn send(&self, queue: QueueName, messages: Vec<OutgoingMessage>) -> Result<(), QueueError> {
        messages.iter().try_for_each(|message| message.check(queue))?;
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sent.extend(messages.into_iter().map(|message| (queue, message)));
        Ok(())
    }
}

/// An event bus that keeps what it takes, and takes what it is told to.
#[derive(Debug, Default)]
pub struct RecordingBus {
    taken: Mutex<Vec<AffectedEvent>>,
    failing: Mutex<Failing>,
}

/// What a [`RecordingBus`] does not take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Failing {
    /// It takes everything.
    #[default]
    Nothing,
    /// It takes nothing now.
    Everything,
    /// It takes nothing about these vulnerabilities now.
    Now(Vec<String>),
    /// It never takes anything about these vulnerabilities.
    Ever(Vec<String>),
}

impl RecordingBus {
    /// A bus to which nothing was put.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what is not taken from here on.
    pub fn fail(&self, failing: Failing) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = failing;
    }

    /// What was taken so far, oldest first.
    pub fn taken(&self) -> Vec<AffectedEvent> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The vulnerabilities that were told so far, oldest first.
    pub fn vulnerabilities(&self) -> Vec<String> {
        self.taken().into_iter().map(|event| event.vulnerability).collect()
    }

    fn take(&self, event: &AffectedEvent) -> Result<(), EventBusError> {
        let unavailable = || Err(EventBusError::Unavailable { source: "the bus is away".into() });
        match &*self.failing.lock().unwrap_or_else(PoisonError::into_inner) {
            Failing::Everything => return unavailable(),
            Failing::Now(ids) if ids.contains(&event.vulnerability) => return unavailable(),
            Failing::Ever(ids) if ids.contains(&event.vulnerability) => {
                return Err(EventBusError::Refused { reason: "nobody wants it".to_owned() });
            }
            Failing::Nothing | Failing::Now(_) | Failing::Ever(_) => {}
        }
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        Ok(())
    }
}

#[async_trait]
impl EventBus for RecordingBus {
    async fn put(&self, events: &[AffectedEvent]) -> Vec<Result<(), EventBusError>> {
        events.iter().map(|event| self.take(event)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleeping_takes_no_time_and_advances_the_clock() {
        let clock = Arc::new(SettableClock::at("2025-01-01T00:00:00Z"));
        let sleeper = InstantSleeper::advancing(Arc::clone(&clock));
        sleeper.sleep(Duration::from_hours(1)).await;
        assert_eq!(clock.now().to_string(), "2025-01-01T01:00:00Z");
        assert_eq!(sleeper.slept(), [Duration::from_hours(1)]);
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
        let bytes = |seed| {
            let mut bytes = [0; 80];
            SeededRandomness::new(seed).fill(&mut bytes);
            bytes
        };
        assert_eq!(bytes(1), bytes(1));
        assert_ne!(bytes(1), bytes(2));
        assert_ne!(bytes(1)[..32], bytes(1)[32..64]);
    }

    #[test]
    fn identifiers_have_26_characters_and_sort_in_order() {
        let ids = SequentialIds::new();
        let (first, second) = (ids.next(), ids.next());
        assert_eq!(first.len(), 26);
        assert!(first < second);
    }
}
