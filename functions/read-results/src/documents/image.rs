//! The answer about one image.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use tidewatch_core::exception::{ExceptionType, SuppressedBy, Suppression};
use tidewatch_core::finding::Finding;
use tidewatch_core::metadata::{BaseEvidence, BaseImage};
use tidewatch_core::names::{PolicyId, RegistryId, RepositoryName, StreamName, Tag};
use tidewatch_core::package::PackageType;
use tidewatch_core::policy::{Evaluation, Outcome};
use tidewatch_core::problem::Problem;
use tidewatch_core::result::ResultState;
use tidewatch_core::severity::SeverityCounts;
use tidewatch_core::vex::VexJustification;
use tidewatch_core::{Date, Severity, Timestamp};

/// The images behind a reference: one for each platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Images {
    /// The reference.
    pub reference: String,
    /// The images, those that the gauges count first.
    pub images: Vec<ImageDetail>,
}

/// All that is known of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ImageDetail {
    /// Digest of its manifest.
    pub digest: String,
    /// Its platform.
    pub platform: String,
    /// How far it could be scanned; `pending` when there is no result yet.
    pub state: ResultState,
    /// Why the state is not `scanned`.
    pub reason: Option<String>,
    /// Its distribution.
    pub distribution: Option<String>,
    /// Number of its packages.
    pub packages: u64,
    /// When it was made, by its configuration.
    pub created_at: Option<Timestamp>,
    /// When its result was computed.
    pub scanned_at: Option<Timestamp>,
    /// Number of its vulnerabilities by severity, without those that exceptions suppress everywhere.
    pub vulnerabilities: SeverityCounts,
    /// Number of those.
    pub suppressed: SeverityCounts,
    /// Its vulnerabilities, worst first, also the suppressed ones; null when they are not known.
    pub findings: Option<Vec<FindingRow>>,
    /// The answer of each policy, by its id; null when they are not known.
    pub policies: Option<BTreeMap<PolicyId, PolicyAnswer>>,
    /// What could not be read, ordered or matched.
    pub problems: Vec<Problem>,
    /// The image that it is built on; null when that is not known.
    pub base: Option<Base>,
    /// Why the base image is not known.
    pub base_unknown_because: Option<String>,
    /// The repositories that hold it.
    pub places: Vec<PlaceRow>,
    /// The streams that it stands in.
    pub streams: Vec<Membership>,
}

/// A vulnerability of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FindingRow {
    /// The CVE id when there is one, else the first advisory id.
    pub vulnerability: String,
    /// Every advisory that says so.
    pub advisories: Vec<String>,
    /// Other ids of it.
    pub aliases: Vec<String>,
    /// The purl type of the package.
    pub package_type: PackageType,
    /// Name of the package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Its package URL.
    pub purl: String,
    /// How bad it is.
    pub severity: Severity,
    /// The lowest version that has it fixed; null when no fix is known.
    pub fixed_version: Option<String>,
    /// Since when there is a fix.
    pub fix_published_at: Option<Timestamp>,
    /// When the first advisory was published.
    pub published_at: Option<Timestamp>,
    /// The day since which CISA lists it as exploited.
    pub known_exploited: Option<Date>,
    /// By what it does not count; null when it counts.
    pub suppressed: Option<SuppressedFinding>,
}

impl FindingRow {
    /// The row of a finding, with what suppresses it.
    pub(crate) fn new(finding: Finding, suppression: Option<Suppression>) -> Self {
        Self {
            vulnerability: finding.vulnerability,
            advisories: finding.advisories,
            aliases: finding.aliases,
            package_type: finding.package_type,
            package: finding.package,
            version: finding.version,
            purl: finding.purl,
            severity: finding.severity,
            fixed_version: finding.fixed_version,
            fix_published_at: finding.fix_published_at,
            published_at: finding.published_at,
            known_exploited: finding.known_exploited,
            suppressed: suppression.map(SuppressedFinding::from),
        }
    }
}

/// By what a finding does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SuppressedFinding {
    /// Whose word it is.
    pub by: SuppressedBy,
    /// What is said of it.
    #[serde(rename = "type")]
    pub exception_type: ExceptionType,
    /// Why it is a false positive.
    pub justification: Option<VexJustification>,
    /// The same in words.
    pub reason: Option<String>,
    /// When that ends.
    pub until: Option<Timestamp>,
}

impl From<Suppression> for SuppressedFinding {
    fn from(suppression: Suppression) -> Self {
        let Suppression { finding: _, by, exception_type, justification, reason, until } = suppression;
        Self { by, exception_type, justification, reason, until }
    }
}

/// The answer of a policy about an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PolicyAnswer {
    /// The name of the policy for people; null when it is not in force any more.
    pub display_name: Option<String>,
    /// The answer.
    pub outcome: Outcome,
    /// What fails the policy: `VULNERABILITY PACKAGE` where it is one by a vulnerability.
    pub failing: Vec<String>,
    /// Why there is no data.
    pub reason: Option<String>,
    /// When the answer changes by time alone.
    pub next_change_at: Option<Timestamp>,
}

impl PolicyAnswer {
    /// The answer of the policy of this name.
    pub(crate) fn new(display_name: Option<String>, evaluation: Evaluation) -> Self {
        let Evaluation { outcome, failing, reason, next_change_at } = evaluation;
        Self { display_name, outcome, failing, reason, next_change_at }
    }
}

/// The image that an image is built on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Base {
    /// Its name: `docker.io/library/node:18-slim`.
    pub reference: String,
    /// The digest that was built on.
    pub digest: Option<String>,
    /// What its tag points to now.
    pub current: Option<String>,
    /// By what it was found.
    pub evidence: BaseEvidence,
}

impl From<BaseImage> for Base {
    fn from(base: BaseImage) -> Self {
        let text = |digest: Option<tidewatch_core::Digest>| digest.map(|digest| digest.to_string());
        let (digest, current) = (text(base.digest), text(base.current));
        Self { reference: base.reference, digest, current, evidence: base.evidence }
    }
}

/// A repository that holds an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlaceRow {
    /// The registry of the configuration.
    pub registry: RegistryId,
    /// The repository within it.
    pub repository: RepositoryName,
    /// The tag by which it was found.
    pub tag: Tag,
    /// When that tag was first seen to point to it.
    pub seen_at: Timestamp,
}

/// A stream that an image stands in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Membership {
    /// The stream.
    pub stream: StreamName,
    /// The registry by which it stands there.
    pub registry: RegistryId,
    /// The repository within it.
    pub repository: RepositoryName,
    /// The tag under which it is shown.
    pub tag: Tag,
}
