//! What is known about a scanned image: the state, the counts and where the rows are.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::finding::Finding;
use crate::names::PolicyId;
use crate::package::{Distribution, Package};
use crate::policy::{Evaluation, ImageFacts, Outcome};
use crate::problem::Problem;
use crate::severity::SeverityCounts;
use crate::{Digest, Timestamp};

/// How far an image could be scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResultState {
    /// Everything was read and matched.
    Scanned,
    /// Something could not be read or ordered; the reasons are kept.
    Partial,
    /// There is nothing known to look at, or the distribution has no advisories.
    Unsupported,
    /// Scanning failed for good, or too often; the reason is kept.
    Failed,
    /// Not scanned yet, or the advisories that it needs are not there yet.
    Pending,
}

impl ResultState {
    /// The word for tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scanned => "scanned",
            Self::Partial => "partial",
            Self::Unsupported => "unsupported",
            Self::Failed => "failed",
            Self::Pending => "pending",
        }
    }
}

impl fmt::Display for ResultState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The result of scanning one image on one platform: what the image row holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageResult {
    /// How far the image could be scanned.
    pub state: ResultState,
    /// Why the state is not `scanned`; one line.
    pub reason: Option<String>,
    /// The distribution, for tables: `Debian GNU/Linux 12 (bookworm)`.
    pub distribution: Option<String>,
    /// Number of packages.
    pub packages: u64,
    /// Number of vulnerabilities by severity.
    pub severities: SeverityCounts,
    /// The answer of each policy.
    pub policies: BTreeMap<PolicyId, Outcome>,
    /// When the image was made, by its configuration; unknown when that says nothing credible.
    pub created_at: Option<Timestamp>,
    /// When this result was made.
    pub scanned_at: Timestamp,
    /// When the answers change without anything else changing.
    pub next_change_at: Option<Timestamp>,
    /// The version of the readers that made the inventory.
    pub reader_version: u32,
    /// The advisories that it needs: family to content hash of the index it was matched against, none where that was
    /// missing.
    pub indexes: BTreeMap<String, Option<Digest>>,
    /// [`crate::config::Config::judging_fingerprint`] of the configuration that judged it.
    pub judged_under: Digest,
    /// Object key of the [`Report`]; none for an image that failed.
    pub report: Option<String>,
}

impl ImageResult {
    /// Whether matching and judging again would give the same: the advisories that it needs and the policies are
    /// still those in force. `current` gives the content hash of the index of a family.
    pub fn is_current(&self, current: impl Fn(&str) -> Option<Digest>, judging_fingerprint: Digest) -> bool {
        self.judged_under == judging_fingerprint
            && self.indexes.iter().all(|(family, hash)| current(family) == *hash)
    }

    /// Judges the findings of `report`, the one behind this result, by the policies of `config` at `now`, and puts the
    /// answers into both.
    pub fn judge(&mut self, report: &mut Report, config: &Config, now: Timestamp) {
        let facts = ImageFacts { findings: &report.findings, state: self.state, now };
        report.policies = config.policy_set().evaluate(facts);
        self.policies =
            report.policies.iter().map(|(id, evaluation)| (id.clone(), evaluation.outcome)).collect();
        self.next_change_at =
            report.policies.values().filter_map(|evaluation| evaluation.next_change_at).min();
        self.judged_under = config.judging_fingerprint();
    }
}

/// The rows behind a result: an object of its own, because it is too large for a table item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this shape.
    pub version: u32,
    /// The distribution of the image.
    pub distribution: Option<Distribution>,
    /// Every package, sorted.
    pub packages: Vec<Package>,
    /// Every vulnerability, worst first.
    pub findings: Vec<Finding>,
    /// What each policy says, with the rows that fail it.
    pub policies: BTreeMap<PolicyId, Evaluation>,
    /// What could not be read; in version 1, also what could not be ordered or matched.
    pub problems: Vec<Problem>,
    /// What could not be ordered or matched.
    #[serde(default)]
    pub unmatched: Vec<Problem>,
}

impl Report {
    /// The version of the shape that this code writes.
    pub const VERSION: u32 = 2;

    /// What could not be read, and then what could not be ordered or matched.
    pub fn all_problems(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().chain(&self.unmatched)
    }
}
