//! A series of the metrics endpoint, as Prometheus writes it: which number of which stream it is.
//!
//! What a scraper adds is taken as well: labels such as `job`, a value and a time after the labels. Specification:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#comments-help-text-and-type-information>

mod labels;

use std::fmt;
use std::str::FromStr;

use tidewatch_core::Severity;
use tidewatch_core::names::{PolicyId, StreamName};
use tidewatch_core::policy::Outcome;
use tidewatch_core::result::ResultState;
use tidewatch_core::stream::{Member, Totals};

/// A series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The stream that it is about.
    pub stream: StreamName,
    /// The number of the stream.
    pub quantity: Quantity,
}

/// A number of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Vulnerabilities of a severity: `scout_stream_vulnerabilities`.
    Vulnerabilities(Severity),
    /// Those that do not count because of an exception: `tidewatch_suppressed_findings`.
    Suppressed(Severity),
    /// Images by the answer of a policy.
    Policy(PolicyPart, PolicyId),
    /// Images by how far they could be scanned: `tidewatch_images`.
    Images(ResultState),
}

/// Which images of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyPart {
    /// Those that comply: `scout_policy_compliant_images`.
    Compliant,
    /// Those that comply or do not: `scout_policy_evaluated_images`.
    Evaluated,
    /// Those of which it cannot be said: `tidewatch_policy_no_data_images`.
    NoData,
    /// Those that it has not judged yet: `tidewatch_policy_unjudged_images`.
    Unjudged,
}

/// The families that have rows behind their numbers.
pub const FAMILIES: [&str; 7] = [
    VULNERABILITIES,
    COMPLIANT,
    EVALUATED,
    "tidewatch_images",
    "tidewatch_policy_no_data_images",
    "tidewatch_policy_unjudged_images",
    "tidewatch_suppressed_findings",
];

const VULNERABILITIES: &str = "scout_stream_vulnerabilities";
const COMPLIANT: &str = "scout_policy_compliant_images";
const EVALUATED: &str = "scout_policy_evaluated_images";

/// A text that is no series with rows behind its number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeriesError {
    /// It is not written as a series.
    #[error("failed to read a series at {rest:?}: expected {expected}")]
    Syntax {
        /// What follows where it goes wrong.
        rest: String,
        /// What should stand there.
        expected: &'static str,
    },
    /// There is no such family, or nothing stands behind its numbers.
    #[error("failed to explain the family {0:?}: there are rows behind {known}", known = FAMILIES.join(", "))]
    Family(String),
    /// A label is missing.
    #[error("failed to read a series of {family}: the label {label} is missing")]
    Label {
        /// The family.
        family: String,
        /// The label.
        label: &'static str,
    },
    /// The value of a label cannot be one.
    #[error("failed to read the label {label}: {reason}")]
    Value {
        /// The label.
        label: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
}

impl Series {
    /// The number in these totals.
    pub fn of_totals(&self, totals: &Totals) -> u64 {
        match &self.quantity {
            Quantity::Vulnerabilities(severity) => totals.vulnerabilities.of(*severity),
            Quantity::Suppressed(severity) => totals.suppressed.of(*severity),
            Quantity::Images(state) => totals.states.get(state).copied().unwrap_or_default(),
            Quantity::Policy(PolicyPart::Compliant, id) => totals.policy(id).compliant,
            Quantity::Policy(PolicyPart::Evaluated, id) => totals.policy(id).evaluated,
            Quantity::Policy(PolicyPart::NoData, id) => totals.policy(id).no_data(),
            Quantity::Policy(PolicyPart::Unjudged, id) => totals.unjudged(id),
        }
    }

    /// What one member adds to the number.
    pub fn of_member(&self, member: &Member) -> u64 {
        match &self.quantity {
            Quantity::Vulnerabilities(severity) => member.severities.of(*severity),
            Quantity::Suppressed(severity) => member.suppressed.of(*severity),
            Quantity::Images(state) => u64::from(member.state == *state),
            Quantity::Policy(part, id) => u64::from(part.has(member.policies.get(id).copied())),
        }
    }
}

impl Series {
    /// Whether findings stand behind the number, and not images.
    pub const fn is_of_findings(&self) -> bool {
        matches!(self.quantity, Quantity::Vulnerabilities(_) | Quantity::Suppressed(_))
    }
}

impl PolicyPart {
    /// Whether an image with this answer is one of them.
    fn has(self, outcome: Option<Outcome>) -> bool {
        match self {
            Self::Compliant => outcome == Some(Outcome::Pass),
            Self::Evaluated => matches!(outcome, Some(Outcome::Pass | Outcome::Fail)),
            Self::NoData => outcome == Some(Outcome::NoData),
            Self::Unjudged => outcome.is_none(),
        }
    }

    const fn family(self) -> &'static str {
        match self {
            Self::Compliant => COMPLIANT,
            Self::Evaluated => EVALUATED,
            Self::NoData => "tidewatch_policy_no_data_images",
            Self::Unjudged => "tidewatch_policy_unjudged_images",
        }
    }
}

impl FromStr for Series {
    type Err = SeriesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (family, labels, _) = labels::read(text)?;
        Self::new(family, &labels)
    }
}

impl Series {
    /// The series and the number of a line of the text format; `None` for other lines.
    pub(crate) fn of_line(line: &str) -> Option<(Self, u64)> {
        let (family, labels, value) = labels::read(line).ok()?;
        Some((Self::new(family, &labels).ok()?, value.parse().ok()?))
    }

    fn new(family: &str, labels: &[(String, String)]) -> Result<Self, SeriesError> {
        let missing = |label| SeriesError::Label { family: family.to_owned(), label };
        let text = |label: &'static str| {
            labels
                .iter()
                .find(|(name, _)| name == label)
                .map(|(_, value)| value)
                .ok_or_else(|| missing(label))
        };
        let quantity = match family {
            VULNERABILITIES => Quantity::Vulnerabilities(value("severity", text("severity")?)?),
            "tidewatch_suppressed_findings" => Quantity::Suppressed(value("severity", text("severity")?)?),
            "tidewatch_images" => Quantity::Images(value("state", text("state")?)?),
            family => {
                let parts =
                    [PolicyPart::Compliant, PolicyPart::Evaluated, PolicyPart::NoData, PolicyPart::Unjudged];
                let part = parts.into_iter().find(|part| part.family() == family);
                let part = part.ok_or_else(|| SeriesError::Family(family.to_owned()))?;
                Quantity::Policy(part, value("id", text("id")?)?)
            }
        };
        Ok(Self { stream: value("streamName", text("streamName")?)?, quantity })
    }
}

fn value<T: FromStr<Err: fmt::Display>>(label: &'static str, text: &str) -> Result<T, SeriesError> {
    text.parse().map_err(|error: T::Err| SeriesError::Value { label, reason: error.to_string() })
}

/// As Prometheus writes it, without the labels that say nothing more.
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (family, label, value) = match &self.quantity {
            Quantity::Vulnerabilities(severity) => (VULNERABILITIES, "severity", severity.as_str()),
            Quantity::Suppressed(severity) => {
                ("tidewatch_suppressed_findings", "severity", severity.as_str())
            }
            Quantity::Images(state) => ("tidewatch_images", "state", state.as_str()),
            Quantity::Policy(part, id) => (part.family(), "id", id.as_str()),
        };
        // Names hold nothing that would have to be escaped.
        write!(f, "{family}{{{label}=\"{value}\",streamName=\"{}\"}}", self.stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vulnerabilities() -> Series {
        let quantity = Quantity::Vulnerabilities(Severity::Critical);
        Series { stream: StreamName::latest_indexed(), quantity }
    }

    #[test]
    fn a_series_is_read_as_scrapers_and_dashboards_write_it() {
        for text in [
            "scout_stream_vulnerabilities{streamName=\"latest-indexed\",severity=\"CRITICAL\"}",
            "scout_stream_vulnerabilities{streamName=\"latest-indexed\",severity=\"CRITICAL\"} 12",
            "scout_stream_vulnerabilities{streamName=\"latest-indexed\",severity=\"CRITICAL\"} 12 1781481600000",
            " scout_stream_vulnerabilities { severity = \"CRITICAL\" , streamName = \"latest-indexed\" , } ",
            "scout_stream_vulnerabilities{instance=\"a\\\\b:\\\"1\\\"\\n\",job=\"}\",severity=\"critical\",streamName=\"latest-indexed\"}",
            "{__name__=\"scout_stream_vulnerabilities\",severity=\"CRITICAL\",streamName=\"latest-indexed\"}",
            "{\"scout_stream_vulnerabilities\",severity='CRITICAL',streamName='latest-indexed'}",
        ] {
            assert_eq!(text.parse(), Ok(vulnerabilities()), "{text}");
        }
    }

    #[test]
    fn what_is_no_series_says_where_it_goes_wrong() {
        let said = |text: &str| text.parse::<Series>().unwrap_err().to_string();
        let syntax = |rest: &str| format!("failed to read a series at {rest:?}: expected ");
        assert!(said("").starts_with(&syntax("")));
        assert!(said("scout_stream_vulnerabilities").contains("the label severity is missing"));
        assert!(said("scout_stream_vulnerabilities{severity}").starts_with(&syntax("}")));
        assert!(said("scout_stream_vulnerabilities{severity=\"HIGH").starts_with(&syntax("\"HIGH")));
        assert!(said("scout_stream_vulnerabilities{severity=\"HIGH\"} {").starts_with(&syntax("{")));
        assert!(said("scout_stream_vulnerabilities{severity=\"HIGH\"}").contains("streamName is missing"));
        assert!(said("scout_stream_vulnerabilities{severity=\"BAD\",streamName=\"a\"}").contains("\"BAD\""));
        assert!(said("up{job=\"tidewatch\"}").contains("\"up\""));
    }

    #[test]
    fn every_family_reads_back_as_it_is_written() {
        let stream: StreamName = "production".parse().unwrap();
        for family in FAMILIES {
            let labels = [("severity", "HIGH"), ("state", "partial"), ("id", "fixable-vulnerabilities")];
            let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let labels = [&labels[..], &[("streamName".to_owned(), stream.to_string())]].concat();
            let series = Series::new(family, &labels).unwrap();
            assert_eq!(series.stream, stream);
            assert!(series.to_string().starts_with(family));
            assert_eq!(series.to_string().parse(), Ok(series));
        }
    }
}
