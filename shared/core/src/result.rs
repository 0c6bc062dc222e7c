//! What is known about a scanned image: the state, the counts, and where the rows are and what they were computed from.

mod end_of_life;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::basis::Footing;
use crate::exception::{self, Suppression};
use crate::finding::Finding;
use crate::judgement::{Judging, Scope, Subject, judge};
use crate::metadata::ImageMetadata;
use crate::names::PolicyId;
use crate::package::{Distribution, Package};
use crate::policy::{Evaluation, Outcome};
use crate::problem::Problem;
use crate::severity::SeverityCounts;
use crate::{Digest, Timestamp};

/// How far an image could be scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResultState {
    /// Everything was read and matched.
    Scanned,
    /// Something could not be read or ordered; the reasons are kept.
    Partial,
    /// There is nothing known to look at, or the distribution has no advisories.
    Unsupported,
    /// Everything was read and matched, but the release of the distribution gets no more support: what has been found
    /// since its end is not among the advisories.
    Eol,
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
            Self::Eol => "eol",
            Self::Failed => "failed",
            Self::Pending => "pending",
        }
    }

    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Scanned, Self::Partial, Self::Unsupported, Self::Eol, Self::Failed, Self::Pending];
}

/// A word that is not a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read {0:?} as a state: expected scanned, partial, unsupported, eol, failed or pending")]
pub struct StateError(String);

impl FromStr for ResultState {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let state = Self::ALL.into_iter().find(|state| state.as_str() == text);
        state.ok_or_else(|| StateError(text.to_owned()))
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
    /// Number of vulnerabilities by severity, without those that exceptions suppress.
    pub severities: SeverityCounts,
    /// Number of those that exceptions suppress.
    #[serde(default)]
    pub suppressed: SeverityCounts,
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
    /// [`MATCHING`](crate::basis::MATCHING) of the code that matched it; 0 where that did not say.
    #[serde(default)]
    pub matching: u32,
    /// The advisories that it needs: family to content hash of the index it was matched against, none where that was
    /// missing.
    pub indexes: BTreeMap<String, Option<Digest>>,
    /// [`Judging::fingerprint`] of what judged it.
    pub judged_under: Digest,
    /// Names all that matching found: where it is the same for the same inventory, the findings are the same.
    #[serde(default)]
    pub matched: Option<Digest>,
    /// Content hash of the [`Inventory`] that was matched; none for an image that failed, and where the report has it.
    #[serde(default)]
    pub inventory: Option<Digest>,
    /// Content hash of the stored [`ImageMetadata`]; none where nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Digest>,
    /// Object key of the [`Report`]; none for an image that failed.
    pub report: Option<String>,
    /// Whether VEX documents of its own name images by their repositories: then it is judged in each place that holds it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_limited: bool,
}

impl ImageResult {
    /// What it was computed by.
    pub fn footing(&self) -> Footing {
        Footing { matching: self.matching, indexes: self.indexes.clone(), judging: self.judged_under }
    }

    /// The families of advisories that its packages need.
    pub fn families(&self) -> Vec<&str> {
        self.indexes.keys().map(String::as_str).collect()
    }

    /// Judges the image for the organisation as a whole, from `report`, the one behind this result, `inventory`, the one
    /// that was matched, and `metadata`, and puts the answers into both. A release of a distribution that has lost its
    /// support makes a scanned image `eol`, and the other way round. `digest`: of the image's manifest, where it has one.
    pub fn judge(
        &mut self,
        report: &mut Report,
        inventory: &Inventory,
        metadata: &ImageMetadata,
        digest: Option<&Digest>,
        judging: Judging<'_>,
    ) {
        let support_ends_at = self.note_support(inventory, judging);
        let families = self.families();
        let subject = Subject {
            findings: &report.findings,
            packages: &inventory.packages,
            distribution: inventory.distribution.as_ref(),
            metadata,
            families: &families,
            state: self.state,
        };
        let judgement = judge(subject, Scope { digest, ..Scope::default() }, judging);
        self.severities = judgement.severities;
        self.suppressed = judgement.suppressed;
        self.policies =
            judgement.policies.iter().map(|(id, evaluation)| (id.clone(), evaluation.outcome)).collect();
        self.next_change_at = judgement.next_change_at.into_iter().chain(support_ends_at).min();
        self.judged_under = judging.fingerprint();
        self.is_limited = exception::own_name_repositories(metadata);
        report.policies = judgement.policies;
        report.suppressed = judgement.suppressions;
    }
}

/// What was read of an image, and is matched and judged: an object of its own, which images with the same packages share
/// and which stays as it is when the image is matched again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The distribution of the image.
    pub distribution: Option<Distribution>,
    /// Every package, sorted.
    pub packages: Vec<Package>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// The rows behind a result: an object of its own, because it is too large for a table item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this shape.
    pub version: u32,
    /// Every vulnerability, worst first, also those that exceptions suppress.
    pub findings: Vec<Finding>,
    /// Which of them exceptions suppress, and why, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressed: Vec<Suppression>,
    /// What each policy says, with the rows that fail it.
    pub policies: BTreeMap<PolicyId, Evaluation>,
    /// What could not be ordered or matched; in version 1 that is among the problems of reading.
    #[serde(default)]
    pub unmatched: Vec<Problem>,
    /// The distribution, in reports before version 3: later ones have an [`Inventory`] beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Every package, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// What could not be read, likewise; in version 1, also what could not be ordered or matched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

impl Report {
    /// The version of the shape that this code writes.
    pub const VERSION: u32 = 3;

    /// The inventory that a report before version 3 was made from. `None` also where that cannot be told: one of version 1
    /// with problems mixes those of reading and those of matching.
    pub fn inventory(&self) -> Option<Inventory> {
        let is_split = self.version == 2 || (self.version < 2 && self.problems.is_empty());
        let Self { distribution, packages, problems, .. } = self.clone();
        is_split.then_some(Inventory { distribution, packages, problems })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Config;
    use crate::exception::SuppressedBy;
    use crate::judgement::Criteria;
    use crate::policy::facts;
    use crate::tables::Tables;

    /// A result as it was stored before there were exceptions.
    fn stored() -> Value {
        json!({
            "state": "scanned", "reason": null, "distribution": null, "packages": 1,
            "severities": {"critical": 0, "high": 2, "medium": 0, "low": 0, "unspecified": 0},
            "policies": {}, "created_at": null, "scanned_at": facts::NOW, "next_change_at": null,
            "reader_version": 1, "indexes": {}, "judged_under": Digest::of(b"earlier"), "report": null,
        })
    }

    #[test]
    fn results_and_reports_from_before_exceptions_are_read_and_judged_again() {
        let mut result: ImageResult = serde_json::from_value(stored()).unwrap();
        assert_eq!(result.suppressed, SeverityCounts::default());
        let findings = [facts::finding("CVE-1", "curl"), facts::finding("CVE-2", "curl")];
        let mut report: Report =
            serde_json::from_value(json!({"version": 3, "findings": findings, "policies": {}})).unwrap();
        assert_eq!(report.suppressed, []);

        let exceptions = json!([{"id": "x", "vulnerability": "CVE-2", "type": "accepted_risk", "digest": Digest::of(b"web")}]);
        let config: Config =
            serde_json::from_value(json!({"org": "acme", "exceptions": exceptions})).unwrap();
        let (criteria, tables) = (Criteria::new(&config, Vec::new()), Tables::default());
        let judging = Judging { criteria: &criteria, tables: &tables, now: facts::NOW.parse().unwrap() };
        let (inventory, metadata) = (Inventory::default(), ImageMetadata::default());
        result.judge(&mut report, &inventory, &metadata, Some(&Digest::of(b"web")), judging);
        assert_eq!((result.severities.high, result.suppressed.high), (1, 1));
        assert_eq!(result.judged_under, config.judging_fingerprint());
        assert_eq!(report.findings.len(), 2, "what is suppressed stays visible");
        let [suppression] = report.suppressed.as_slice() else { panic!("{:?}", report.suppressed) };
        assert_eq!(
            (suppression.finding, &suppression.by),
            (1, &SuppressedBy::Exception { id: "x".to_owned() })
        );

        result.judge(&mut report, &inventory, &metadata, None, judging);
        assert_eq!((result.severities.high, result.suppressed.high), (2, 0), "the digest is not known");
    }
}
