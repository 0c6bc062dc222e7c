//! How bad a vulnerability is, in the five words of the metrics endpoint.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The severity of a vulnerability, from worst to unknown.
///
/// These are the values of the label `severity`, in the order of tables and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// CVSS 9.0 to 10.0.
    Critical,
    /// CVSS 7.0 to 8.9.
    High,
    /// CVSS 4.0 to 6.9.
    Medium,
    /// CVSS 0.1 to 3.9.
    Low,
    /// No source gives a severity, or the score is 0.
    Unspecified,
}

impl Severity {
    /// Every severity, from worst to unknown.
    pub const ALL: [Self; 5] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Unspecified];

    /// The word used in labels, tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "CRITICAL",
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
            Self::Unspecified => "UNSPECIFIED",
        }
    }

    /// The severity of a CVSS base score from 0.0 to 10.0, by the qualitative scale that is the same in CVSS 3.0, 3.1
    /// and 4.0: <https://www.first.org/cvss/v4.0/specification-document#Qualitative-Severity-Rating-Scale>.
    /// A score of 0 ("none") is [`Severity::Unspecified`].
    pub fn of_score(score: f64) -> Self {
        match score {
            s if s >= 9.0 => Self::Critical,
            s if s >= 7.0 => Self::High,
            s if s >= 4.0 => Self::Medium,
            s if s > 0.0 => Self::Low,
            _ => Self::Unspecified,
        }
    }
}

/// A word that is not a severity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read {0:?} as a severity: expected CRITICAL, HIGH, MEDIUM, LOW or UNSPECIFIED")]
pub struct SeverityError(String);

impl FromStr for Severity {
    type Err = SeverityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| SeverityError(text.to_owned()))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A number for each severity: how many vulnerabilities an image or a stream has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeverityCounts {
    /// Number of [`Severity::Critical`].
    pub critical: u64,
    /// Number of [`Severity::High`].
    pub high: u64,
    /// Number of [`Severity::Medium`].
    pub medium: u64,
    /// Number of [`Severity::Low`].
    pub low: u64,
    /// Number of [`Severity::Unspecified`].
    pub unspecified: u64,
}

impl SeverityCounts {
    /// The number for one severity.
    pub const fn of(&self, severity: Severity) -> u64 {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
            Severity::Unspecified => self.unspecified,
        }
    }

    /// Counts one more of `severity`.
    pub const fn add(&mut self, severity: Severity) {
        let count = match severity {
            Severity::Critical => &mut self.critical,
            Severity::High => &mut self.high,
            Severity::Medium => &mut self.medium,
            Severity::Low => &mut self.low,
            Severity::Unspecified => &mut self.unspecified,
        };
        *count += 1;
    }

    /// The sum over all severities.
    pub const fn total(&self) -> u64 {
        self.critical + self.high + self.medium + self.low + self.unspecified
    }
}

impl std::ops::AddAssign for SeverityCounts {
    fn add_assign(&mut self, other: Self) {
        self.critical += other.critical;
        self.high += other.high;
        self.medium += other.medium;
        self.low += other.low;
        self.unspecified += other.unspecified;
    }
}

impl FromIterator<Severity> for SeverityCounts {
    fn from_iter<I: IntoIterator<Item = Severity>>(severities: I) -> Self {
        let mut counts = Self::default();
        severities.into_iter().for_each(|severity| counts.add(severity));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_fall_into_the_published_bands() {
        let bands = [
            (10.0, Severity::Critical),
            (9.0, Severity::Critical),
            (8.9, Severity::High),
            (7.0, Severity::High),
            (6.9, Severity::Medium),
            (4.0, Severity::Medium),
            (3.9, Severity::Low),
            (0.1, Severity::Low),
            (0.0, Severity::Unspecified),
        ];
        for (score, severity) in bands {
            assert_eq!(Severity::of_score(score), severity, "score {score}");
        }
    }

    #[test]
    fn counts_keep_every_severity_apart() {
        let mut counts: SeverityCounts = Severity::ALL.into_iter().collect();
        counts.add(Severity::High);
        assert_eq!(Severity::ALL.map(|severity| counts.of(severity)), [1, 2, 1, 1, 1]);
        assert_eq!(counts.total(), 6);
    }
}
