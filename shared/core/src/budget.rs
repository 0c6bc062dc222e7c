//! Rate budgets: how many requests all workers together may make of a registry with one credential.
//!
//! A budget is a token bucket that is kept as one number, its *level*: the time at which it will be full again. Taking
//! requests moves the level on, by one interval for each; whoever takes more than is there gets requests that may be made
//! a little later, in turn. That is the generic cell rate algorithm
//! (<https://www.itu.int/rec/T-REC-I.371>, annex A), for blocks of requests. A level only ever grows, so it can be moved by
//! additions whose order does not matter.
//!
//! What is taken at one time may be used a little later. [`Plan`] therefore splits the burst that is allowed: one part is
//! the size of the bucket, and the other is what flows in while a block is good. So in any stretch of time at most as many
//! requests are made as the rate gives in it, and the burst more, whoever makes them in what order.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::Timestamp;
use crate::config::{Credentials, RateConfig, RegistryConfig};
use crate::digest::Digest;

/// How long a block of requests is good at most.
pub const LONGEST_BLOCK: Duration = Duration::from_secs(10);

/// How long somebody waits for a request where he is. What takes longer is put off.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The longest pause that is kept when a registry asks for one.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// How many requests are taken at first, and where others want some too, if a bucket has so many: enough to bring something
/// to its end. With single requests, many workers would each begin what none of them can finish.
const UNIT: u32 = 8;

/// How many requests in a second one bucket gives: a higher rate is split into several, since one item of a table takes
/// only so many writes.
const MOST_OF_BUCKET: u128 = 200;

/// How many buckets there are at most, which is more than any registry needs.
const MOST_BUCKETS: u128 = 64;

/// Microseconds for which a block is good at least, so that what is taken can be used before it is lost. No burst that is
/// accepted makes them fewer.
const SHORTEST_BLOCK: u128 = 200_000;

const SECOND: u128 = 1_000_000;

/// Whose requests a registry counts together: what is asked of one host with one credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    /// `HOST` or `HOST:PORT`, in lower case.
    pub host: String,
    /// Which credential, by the place where it is, and never by what stands there: `env:REGISTRY_LOGIN`; `anonymous`
    /// without one, and `account:123456789012` where the process reads an account of AWS with its own rights.
    pub credential: String,
}

/// Longer names of places stand as their hash.
const LONGEST_CREDENTIAL: usize = 200;

impl Account {
    /// The account that requests to `registry` itself count for.
    pub fn of(registry: &RegistryConfig) -> Self {
        Self::at(&registry.address(), registry)
    }

    /// The account that requests to a server of `registry` at `url` count for: `https://HOST[:PORT]`.
    pub fn at(url: &str, registry: &RegistryConfig) -> Self {
        let (scheme, host) = url.split_once("://").unwrap_or(("https", url));
        let host = host.trim_end_matches('/').to_ascii_lowercase();
        let default_port = if scheme == "http" { ":80" } else { ":443" };
        let host = host.strip_suffix(default_port).unwrap_or(&host).to_owned();
        let credential = match &registry.credentials {
            None => match (&registry.role_arn, &registry.google_federation) {
                (Some(role), _) => format!("role:{role}"),
                (None, Some(federation)) => format!("federation:{}", federation.audience),
                (None, None) => match &registry.account {
                    Some(account) => format!("account:{account}"),
                    None => "anonymous".to_owned(),
                },
            },
            Some(Credentials::Env(name)) => format!("env:{name}"),
            Some(Credentials::File(path)) => format!("file:{path}"),
            Some(Credentials::Secret(name)) => format!("secret:{name}"),
        };
        let is_long = credential.len() > LONGEST_CREDENTIAL;
        let credential = if is_long { Digest::of(credential.as_bytes()).hex() } else { credential };
        Self { host, credential }
    }
}

/// The time at which a bucket will be full again, in microseconds since 1970. Without an item in the table it is
/// [`Level::FULL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(pub i64);

impl Level {
    /// A bucket that has been full for ever.
    pub const FULL: Self = Self(i64::MIN);
}

/// A rate as it is kept: over so many equal buckets, each with these numbers. Times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    buckets: u32,
    interval: i64,
    capacity: u32,
    validity: i64,
}

/// Requests that were taken and can be made within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// How many.
    pub requests: u32,
    /// The first moment at which they may be made.
    pub from: Timestamp,
    /// The first moment at which they may not be made any more: they are lost then.
    pub until: Timestamp,
}

impl Plan {
    /// How a rate is kept. What a configuration may not have is kept as closely as can be.
    pub fn of(rate: &RateConfig) -> Self {
        let (requests, per) = (u128::from(rate.requests.get()), rate.per.duration().as_micros());
        let buckets = (requests * SECOND).div_ceil(MOST_OF_BUCKET * per).clamp(1, MOST_BUCKETS);
        // Rounded up: never faster than the rate.
        let interval = (per * buckets).div_ceil(requests);
        let burst = (u128::from(rate.burst().get()) / buckets).max(1);
        let longest = LONGEST_BLOCK.as_micros();
        // Half of the burst is the bucket, and more of it when the other half is not needed for the longest block.
        let capacity = (burst / 2).max(burst.saturating_sub(longest.div_ceil(interval))).max(1);
        let validity = ((burst - capacity) * interval).clamp(SHORTEST_BLOCK, longest);
        Self {
            buckets: narrow(buckets),
            interval: i64::try_from(interval).unwrap_or(i64::MAX / 1_000_000),
            capacity: narrow(capacity),
            validity: i64::try_from(validity).unwrap_or(10_000_000),
        }
    }

    /// Into how many buckets the rate is split, which are numbered from 0.
    pub const fn buckets(&self) -> u32 {
        self.buckets
    }

    /// The most requests of one block.
    pub const fn largest_block(&self) -> u32 {
        self.capacity
    }

    /// How many requests are taken by who does not know how many he needs.
    pub fn first_block(&self) -> u32 {
        UNIT.min(self.capacity)
    }

    /// How many of the `wanted` requests are taken where others want some too.
    pub fn share(&self, wanted: u32) -> u32 {
        wanted.min(self.first_block().max(self.capacity / 8))
    }

    /// By how much taking `requests` moves a level on.
    pub const fn cost(&self, requests: u32) -> i64 {
        self.interval.saturating_mul(requests as i64)
    }

    /// The level of a bucket that is full at `now`, after `requests` were taken.
    pub fn taken_from_full(&self, requests: u32, now: Timestamp) -> Level {
        Level(now.as_microsecond().saturating_add(self.cost(requests)))
    }

    /// The highest level at which `requests` can still be taken at `now`: they may be made within [`PATIENCE`].
    pub fn highest_level(&self, requests: u32, now: Timestamp) -> Level {
        let ahead = self.cost(self.capacity).saturating_add(micros(PATIENCE)) - self.cost(requests);
        Level(now.as_microsecond().saturating_add(ahead))
    }

    /// What was taken, when that left the level at `after`.
    pub fn block(&self, requests: u32, after: Level, now: Timestamp) -> Block {
        let from = now.as_microsecond().max(after.0.saturating_sub(self.cost(self.capacity)));
        Block { requests, from: time(from), until: time(from.saturating_add(self.validity)) }
    }

    /// How long it takes until so many requests may be made, if nobody else takes any.
    pub fn wait(&self, requests: u32, level: Level, now: Timestamp) -> Duration {
        let from = level.0.saturating_add(self.cost(requests)).saturating_sub(self.cost(self.capacity));
        let wait = from.saturating_sub(now.as_microsecond());
        Duration::from_micros(u64::try_from(wait).unwrap_or(0))
    }
}

impl RateConfig {
    /// The burst, also where none is configured: what the rate gives in two seconds, at least 20.
    pub fn burst(&self) -> NonZeroU32 {
        let default = || NonZeroU32::new(self.in_half_seconds(4).max(20)).unwrap_or(NonZeroU32::MAX);
        self.burst.unwrap_or_else(default)
    }

    /// The least burst that can be kept: what the rate gives in half a second, at least as much as leaves a block of
    /// [`UNIT`] requests.
    pub(crate) fn least_burst(&self) -> u32 {
        self.in_half_seconds(1).max(2 * UNIT)
    }

    /// How many requests the rate gives in so many half seconds, rounded up.
    fn in_half_seconds(&self, halves: u128) -> u32 {
        let per = self.per.duration().as_micros();
        narrow((u128::from(self.requests.get()) * halves * SECOND / 2).div_ceil(per))
    }
}

fn narrow(number: u128) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The point in time of so many microseconds since 1970.
fn time(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
