//! The numbers on a dashboard, read from the text of a scrape.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tidewatch_core::Severity;
use tidewatch_core::ports::Sleeper as _;
use tidewatch_runtime::system::SystemSleeper;
use tidewatch_testkit::fixtures;

/// The pause between two looks at something that must come about by itself.
const LOOK: Duration = Duration::from_millis(200);

/// The numbers of the stream `latest-indexed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Images that comply with the policy `fixable-vulnerabilities`.
    pub compliant: u64,
    /// Images that it could judge.
    pub evaluated: u64,
    /// Vulnerabilities, from CRITICAL to UNSPECIFIED.
    pub severities: [u64; 5],
}

impl Numbers {
    /// Those of a scrape, whose text is `body`; an error where one of them is not there.
    pub fn of(body: &str) -> anyhow::Result<Self> {
        let value = |beginning: &str| -> anyhow::Result<u64> {
            let line = body.lines().find(|line| line.starts_with(beginning));
            let line = line.with_context(|| format!("{beginning} is not there: {body}"))?;
            let (_, value) = line.rsplit_once(' ').with_context(|| format!("no value: {line}"))?;
            value.parse().with_context(|| format!("no number: {line}"))
        };
        let mut severities = [0; 5];
        for (count, severity) in severities.iter_mut().zip(Severity::ALL) {
            *count = value(&format!(
                "scout_stream_vulnerabilities{{streamName=\"latest-indexed\",severity=\"{severity}\""
            ))?;
        }
        Ok(Self {
            compliant: value("scout_policy_compliant_images{id=\"fixable-vulnerabilities\"")?,
            evaluated: value("scout_policy_evaluated_images{id=\"fixable-vulnerabilities\"")?,
            severities,
        })
    }

    /// Those of the fixtures, as they were worked out by hand.
    pub fn of_the_fixtures() -> Self {
        let expected = fixtures::expected();
        let stream = &expected.streams["latest-indexed"];
        let policy = &stream.policies["fixable-vulnerabilities"];
        Self {
            compliant: policy.compliant,
            evaluated: policy.evaluated,
            severities: Severity::ALL.map(|severity| stream.severities[&severity]),
        }
    }
}

/// Looks again and again for up to `patience`, until there is what was looked for. An error, with `what` and what was
/// seen last, when it does not come about.
pub async fn eventually<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> anyhow::Result<T> {
    let mut seen = String::new();
    let looks = patience.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        match look().await {
            Ok(found) => return Ok(found),
            Err(other) => seen = other,
        }
        SystemSleeper.sleep(LOOK).await;
    }
    bail!("{what}: {seen}")
}
