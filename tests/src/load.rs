//! Load on an HTTP server: scrapers that ask by the clock, and as many as the server can answer.

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use tidewatch_core::ports::Sleeper as _;
use tidewatch_runtime::system::SystemSleeper;
use tokio::task::JoinSet;

/// What every request asks for.
#[derive(Clone, Debug)]
pub struct Load {
    client: reqwest::Client,
    url: String,
    headers: HeaderMap,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// How long each good answer took, with its body, shortest first. In an open loop that counts from when the request
    /// was due, so that a server that is behind makes all that wait behind it slow.
    pub latencies: Vec<Duration>,
    /// How many requests were not answered with 200.
    pub failures: usize,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

impl Measured {
    /// The latency that so many in a hundred do not exceed; none without a good answer.
    pub fn percentile(&self, hundredths: usize) -> Duration {
        let rank = (self.latencies.len() * hundredths).div_ceil(100).saturating_sub(1);
        self.latencies.get(rank).copied().unwrap_or_default()
    }

    fn of(outcomes: impl IntoIterator<Item = Option<Duration>>, elapsed: Duration) -> Self {
        let mut measured = Self { elapsed, ..Self::default() };
        for outcome in outcomes {
            match outcome {
                Some(latency) => measured.latencies.push(latency),
                None => measured.failures += 1,
            }
        }
        measured.latencies.sort_unstable();
        measured
    }
}

impl Load {
    /// `GET url` with these headers, over connections that stay open.
    pub fn new(url: &str, headers: &[(&'static str, &str)]) -> anyhow::Result<Self> {
        let headers = headers.iter().map(|(name, value)| Ok((name.parse()?, value.parse()?)));
        let headers = headers.collect::<anyhow::Result<_>>()?;
        Ok(Self { client: reqwest::Client::new(), url: url.to_owned(), headers })
    }

    /// An open loop for `length`: so many scrapers, spread over `period`, each of which asks once in every `period`,
    /// whatever has become of what it has asked before.
    pub async fn open_loop(&self, scrapers: u32, period: Duration, length: Duration) -> Measured {
        let start = Instant::now();
        let mut requests = JoinSet::new();
        let gap = period / scrapers.max(1);
        let mut due = Duration::ZERO;
        while due < length {
            SystemSleeper.sleep(due.saturating_sub(start.elapsed())).await;
            let (load, due_at) = (self.clone(), start + due);
            requests.spawn(async move { load.ask().await.then(|| due_at.elapsed()) });
            due += gap;
        }
        let outcomes = requests.join_all().await;
        Measured::of(outcomes, start.elapsed())
    }

    /// A closed loop for `length`: so many scrapers, each of which asks again as soon as it has its answer.
    pub async fn closed_loop(&self, scrapers: u32, length: Duration) -> Measured {
        let start = Instant::now();
        let mut loops = JoinSet::new();
        for _ in 0..scrapers {
            let load = self.clone();
            loops.spawn(async move {
                let mut outcomes = Vec::new();
                while start.elapsed() < length {
                    let asked = Instant::now();
                    outcomes.push(load.ask().await.then(|| asked.elapsed()));
                }
                outcomes
            });
        }
        let outcomes = loops.join_all().await.into_iter().flatten();
        Measured::of(outcomes.collect::<Vec<_>>(), start.elapsed())
    }

    /// Asks once and takes in the body; whether the answer was good.
    async fn ask(&self) -> bool {
        let answer = self.client.get(&self.url).headers(self.headers.clone()).send().await;
        match answer {
            Ok(answer) if answer.status() == 200 => answer.bytes().await.is_ok(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_latency_that_so_many_do_not_exceed() {
        let outcomes = (1..=200).rev().map(|millis| Some(Duration::from_millis(millis))).chain([None]);
        let measured = Measured::of(outcomes, Duration::from_secs(1));
        assert_eq!(measured.percentile(50), Duration::from_millis(100));
        assert_eq!(measured.percentile(99), Duration::from_millis(198));
        assert_eq!(measured.percentile(100), Duration::from_millis(200));
        assert_eq!(measured.failures, 1);
        assert_eq!(Measured::default().percentile(99), Duration::ZERO);
    }
}
