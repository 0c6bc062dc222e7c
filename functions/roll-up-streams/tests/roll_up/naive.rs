//! What the numbers have to be, counted in the simplest way from images: no shards, no sums, nothing of the code that
//! is tested.

use std::collections::BTreeMap;

use tidewatch_core::Severity;
use tidewatch_core::policy::Outcome;

/// The metrics as a scraper reads them: each series, as it stands in the text, with its value.
pub(crate) type Series = BTreeMap<String, u64>;

/// One image of the stream.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) severities: Vec<Severity>,
    pub(crate) fixable: Outcome,
}

/// The series of the stream `latest-indexed` that has these images.
pub(crate) fn series(images: &[Counted]) -> Series {
    let policy = |name: &str| {
        format!(
            "{name}{{id=\"fixable-vulnerabilities\",displayName=\"No fixable critical or high vulnerabilities\",\
             streamName=\"latest-indexed\"}}"
        )
    };
    let count =
        |wanted: &[Outcome]| images.iter().filter(|image| wanted.contains(&image.fixable)).count() as u64;
    let mut series = Series::from([
        (policy("scout_policy_compliant_images"), count(&[Outcome::Pass])),
        (policy("scout_policy_evaluated_images"), count(&[Outcome::Pass, Outcome::Fail])),
    ]);
    for severity in ["CRITICAL", "HIGH", "MEDIUM", "LOW", "UNSPECIFIED"] {
        let name =
            format!("scout_stream_vulnerabilities{{streamName=\"latest-indexed\",severity=\"{severity}\"}}");
        let found =
            images.iter().flat_map(|image| &image.severities).filter(|found| found.as_str() == severity);
        series.insert(name, found.count() as u64);
    }
    series
}

/// Reads the text of the metrics endpoint.
pub(crate) fn parse(text: &str) -> Series {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').expect("a series and its value"))
        .map(|(name, value)| (name.to_owned(), value.parse().expect("a whole number")))
        .collect()
}
