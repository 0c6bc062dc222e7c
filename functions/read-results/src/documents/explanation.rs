//! The answer to what is behind a number.

use schemars::JsonSchema;
use serde::Serialize;
use tidewatch_core::names::StreamName;
use tidewatch_core::policy::Outcome;
use tidewatch_core::{Severity, Timestamp};

use super::ImageName;

/// The rows behind a number of the metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Explanation {
    /// The series, without the labels that say nothing more.
    pub series: String,
    /// The stream that it is about.
    pub stream: StreamName,
    /// The number as it is computed from the images now: the counts of the rows of all pages add up to it. Only on the
    /// first page.
    pub value: Option<u64>,
    /// The number as it is served; null when no numbers are served yet. Only on the first page.
    pub published: Option<Published>,
    /// Why the served number may be another than the rows give; null when it is of the same images. Only on the first
    /// page.
    pub behind: Option<String>,
    /// The rows.
    pub rows: Vec<Row>,
    /// What to ask for the next page with; null on the last.
    pub next: Option<String>,
}

/// A number as it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Published {
    /// The number; null when the stream or the policy is not served.
    pub value: Option<u64>,
    /// When it was computed.
    pub made_at: Timestamp,
    /// When it was last found right.
    pub checked_at: Timestamp,
}

/// A row behind a number: a vulnerability in a package of an image, or an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Row {
    /// Which image.
    #[serde(flatten)]
    pub name: ImageName,
    /// What it adds to the number: 1; for what is not known one by one, how many it makes up for.
    pub count: i64,
    /// The vulnerability.
    pub vulnerability: Option<String>,
    /// The package that has it.
    pub package: Option<String>,
    /// Version of the package.
    pub version: Option<String>,
    /// Its package URL.
    pub purl: Option<String>,
    /// How bad it is.
    pub severity: Option<Severity>,
    /// The lowest version that has it fixed.
    pub fixed_version: Option<String>,
    /// The answer of the policy.
    pub outcome: Option<Outcome>,
    /// Why single rows are not known, or what else is to be said of it.
    pub reason: Option<String>,
}

impl Row {
    /// The row of an image.
    pub(crate) const fn new(name: ImageName, count: i64) -> Self {
        Self {
            name,
            count,
            vulnerability: None,
            package: None,
            version: None,
            purl: None,
            severity: None,
            fixed_version: None,
            outcome: None,
            reason: None,
        }
    }
}
