//! Answers that are lists: of images, of streams.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use tidewatch_core::names::{PolicyId, RegistryId, RepositoryName, StreamName, Tag};
use tidewatch_core::policy::Outcome;
use tidewatch_core::result::{ImageResult, ResultState};
use tidewatch_core::severity::SeverityCounts;
use tidewatch_core::stream::{Member, PolicyTotals, Totals};
use tidewatch_core::{Severity, Timestamp};

/// Which image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct ImageName {
    /// The registry of the configuration that holds it.
    pub registry: RegistryId,
    /// The repository within it.
    pub repository: RepositoryName,
    /// The tag by which it is known there.
    pub tag: Tag,
    /// Digest of its manifest.
    pub digest: String,
    /// Its platform: `linux/amd64`.
    pub platform: String,
}

impl ImageName {
    /// The name of a member.
    pub(crate) fn of(member: &Member) -> Self {
        let image = &member.image;
        Self {
            registry: image.registry.clone(),
            repository: image.repository.clone(),
            tag: member.tag.clone(),
            digest: image.digest.to_string(),
            platform: image.platform.to_string(),
        }
    }
}

/// An image with its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ImageRow {
    /// Which image.
    #[serde(flatten)]
    pub name: ImageName,
    /// Whether the gauges count this platform of the image.
    pub counted: bool,
    /// How far it could be scanned.
    pub state: ResultState,
    /// Why the state is not `scanned`, or why its last scan does not count.
    pub reason: Option<String>,
    /// Its distribution: `Debian GNU/Linux 12 (bookworm)`.
    pub distribution: Option<String>,
    /// Number of its packages.
    pub packages: u64,
    /// Number of its vulnerabilities by severity.
    pub vulnerabilities: SeverityCounts,
    /// Number of those that do not count because of an exception.
    pub suppressed: SeverityCounts,
    /// The answer of each policy, by its id.
    pub policies: BTreeMap<PolicyId, Outcome>,
    /// When its result was computed.
    pub scanned_at: Option<Timestamp>,
    /// The version of the readers that have read its layers.
    pub reader_version: Option<u32>,
}

impl ImageRow {
    /// A member with its numbers in the stream, and the `result` of the image.
    pub(crate) fn of_member(member: &Member, result: Option<&ImageResult>) -> Self {
        Self {
            name: ImageName::of(member),
            // Who stands in a stream is counted there.
            counted: true,
            state: member.state,
            reason: result.and_then(|result| reason(member, result)),
            distribution: result.and_then(|result| result.distribution.clone()),
            packages: result.map_or(0, |result| result.packages),
            vulnerabilities: member.severities,
            suppressed: member.suppressed,
            policies: member.policies.clone(),
            scanned_at: member.result_at,
            reader_version: result.map(|result| result.reader_version),
        }
    }

    /// An image behind a tag, with its `result`.
    pub fn of_result(name: ImageName, counted: bool, result: Option<&ImageResult>) -> Self {
        Self {
            name,
            counted,
            state: result.map_or(ResultState::Pending, |result| result.state),
            reason: result.and_then(|result| result.reason.clone()),
            distribution: result.and_then(|result| result.distribution.clone()),
            packages: result.map_or(0, |result| result.packages),
            vulnerabilities: result.map(|result| result.severities).unwrap_or_default(),
            suppressed: result.map(|result| result.suppressed).unwrap_or_default(),
            policies: result.map(|result| result.policies.clone()).unwrap_or_default(),
            scanned_at: result.map(|result| result.scanned_at),
            reader_version: result.map(|result| result.reader_version),
        }
    }
}

/// Why a member is not `scanned`. A result that is no good does not enter the slot: then the member stands as it was.
fn reason(member: &Member, result: &ImageResult) -> Option<String> {
    let reason = result.reason.as_deref();
    if member.state == result.state {
        return reason.map(str::to_owned);
    }
    Some(format!("the last result is {}: {}", result.state, reason.unwrap_or("no reason is known")))
}

/// Images of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ImagePage {
    /// The stream.
    pub stream: StreamName,
    /// The images, sorted by registry and repository as one text. A page can have fewer than were asked for, also none,
    /// when there are more.
    pub images: Vec<ImageRow>,
    /// Images of which it cannot be told whether they have the vulnerability that was asked for.
    pub unknown: Vec<UnknownImage>,
    /// What to ask for the next page with; null on the last.
    pub next: Option<String>,
}

/// An image of which something cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UnknownImage {
    /// Which image.
    #[serde(flatten)]
    pub name: ImageName,
    /// How far it could be scanned.
    pub state: ResultState,
    /// Why it cannot be told.
    pub reason: String,
}

/// The images of a stream that have a vulnerability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VulnerabilityPage {
    /// The id that was asked for.
    pub id: String,
    /// The stream.
    pub stream: StreamName,
    /// The images that have it.
    pub images: Vec<AffectedImage>,
    /// Images in which it was not found and of which not everything is known.
    pub unknown: Vec<UnknownImage>,
    /// What to ask for the next page with; null on the last.
    pub next: Option<String>,
}

/// An image that has a vulnerability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AffectedImage {
    /// Which image.
    #[serde(flatten)]
    pub name: ImageName,
    /// The packages that have it.
    pub packages: Vec<AffectedPackage>,
}

/// A package that has a vulnerability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AffectedPackage {
    /// The id of the vulnerability under which it is listed.
    pub vulnerability: String,
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
    /// Whether it does not count because of an exception.
    pub suppressed: bool,
}

/// The images of a stream by the answer of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PolicyPage {
    /// The policy.
    pub id: PolicyId,
    /// Its name for people.
    pub display_name: String,
    /// The stream.
    pub stream: StreamName,
    /// The numbers of the whole stream; only on the first page.
    pub numbers: Option<PolicyNumbers>,
    /// The images.
    pub images: Vec<PolicyImage>,
    /// What to ask for the next page with; null on the last.
    pub next: Option<String>,
}

/// The images of a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PolicyNumbers {
    /// Images that comply.
    pub compliant: u64,
    /// Images that comply or do not.
    pub evaluated: u64,
    /// Images of which it cannot be said.
    pub no_data: u64,
    /// Images that it has not judged yet.
    pub unjudged: u64,
}

impl PolicyNumbers {
    pub(crate) fn of(totals: &Totals, id: &PolicyId) -> Self {
        let policy: PolicyTotals = totals.policy(id);
        Self {
            compliant: policy.compliant,
            evaluated: policy.evaluated,
            no_data: policy.no_data(),
            unjudged: totals.unjudged(id),
        }
    }
}

/// An image and the answer of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PolicyImage {
    /// Which image.
    #[serde(flatten)]
    pub name: ImageName,
    /// The answer; null when the policy has not judged the image yet.
    pub outcome: Option<Outcome>,
    /// What fails the policy: `VULNERABILITY PACKAGE` where it is one by a vulnerability.
    pub failing: Vec<String>,
    /// Why there is no data, or why what fails cannot be told.
    pub reason: Option<String>,
}

/// The streams of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Streams {
    /// The streams: `latest-indexed`, then the environments by name.
    pub streams: Vec<StreamRow>,
}

/// A stream with its numbers, as they were last rolled up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StreamRow {
    /// Its name.
    pub name: StreamName,
    /// Number of its images.
    pub images: u64,
    /// Number of images by how far they could be scanned.
    pub states: BTreeMap<String, u64>,
    /// Number of vulnerabilities by severity.
    pub vulnerabilities: SeverityCounts,
    /// Number of those that do not count because of an exception.
    pub suppressed: SeverityCounts,
    /// The images of each enabled policy.
    pub policies: BTreeMap<PolicyId, PolicyNumbers>,
    /// When the oldest result of its images was computed.
    pub oldest_result_at: Option<Timestamp>,
}
