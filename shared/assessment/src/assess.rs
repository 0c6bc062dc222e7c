//! From an inventory to an assessment: matched against the advisories, judged by the policies. No I/O but reading the
//! indexes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidewatch_advisories::{Coverage, IndexSet, Matches, Memos, families_for, look_up};
use tidewatch_core::Digest;
use tidewatch_core::basis::MATCHING;
use tidewatch_core::finding::Finding;
use tidewatch_core::judgement::{Criteria, Judging};
use tidewatch_core::metadata::ImageMetadata;
use tidewatch_core::problem::Problem;
use tidewatch_core::result::{ImageResult, Inventory, Report, ResultState};
use tidewatch_core::severity::SeverityCounts;
use tidewatch_core::tables::Tables;
use tidewatch_inventory::READER_VERSION;
use tidewatch_store::records::CurrentAdvisories;

use crate::{AssessmentError, text};

/// What is to be matched and judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Digest of the image's manifest; `None` for what has none, such as a folder.
    pub digest: Option<Digest>,
    /// What was read of its layers.
    pub inventory: Inventory,
    /// What is known of it beside that.
    pub metadata: ImageMetadata,
}

impl From<Inventory> for Subject {
    /// Something of which nothing is known but its packages.
    fn from(inventory: Inventory) -> Self {
        Self { inventory, ..Self::default() }
    }
}

/// What is known of an image after it was matched and judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The result. It has the key of its report only where that is stored already, and the hash of its inventory likewise.
    pub result: ImageResult,
    /// The rows behind it.
    pub report: Report,
    /// What was matched.
    pub inventory: Inventory,
    /// What is known of the image beside that.
    pub metadata: ImageMetadata,
}

impl Assessment {
    /// What could not be read, and then what could not be ordered or matched.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.inventory.problems.iter().chain(&self.report.unmatched)
    }
}

/// What images are matched against and judged by.
#[derive(Clone, Copy)]
pub struct Against<'a> {
    /// The indexes that they need.
    pub indexes: &'a IndexSet,
    /// What was found by those already.
    pub memos: &'a Memos,
    /// The hashes of all indexes in force.
    pub advisories: &'a CurrentAdvisories,
    /// The policies and exceptions.
    pub criteria: &'a Criteria,
    /// What is looked up beside the findings.
    pub tables: &'a Tables,
}

/// Matches the packages of `subject`, whose inventory readers of this version have made, and judges the image at `now`.
pub fn assess(
    subject: impl Into<Subject>,
    against: Against<'_>,
    now: Timestamp,
) -> Result<Assessment, AssessmentError> {
    let subject = subject.into();
    let Inventory { distribution, packages, .. } = &subject.inventory;
    let lookup = look_up(against.indexes, against.memos, distribution.as_ref(), packages)?;
    let fingerprint = lookup.fingerprint();
    let matches = lookup.matches();
    Ok(judged(subject, matches, fingerprint, against, now))
}

/// The same, or `None` when all that is found is what `known` names: then nothing is judged.
pub(crate) fn assess_unless(
    subject: Subject,
    known: Option<Digest>,
    against: Against<'_>,
    now: Timestamp,
) -> Result<Option<Assessment>, AssessmentError> {
    let Inventory { distribution, packages, .. } = &subject.inventory;
    let lookup = look_up(against.indexes, against.memos, distribution.as_ref(), packages)?;
    let fingerprint = lookup.fingerprint();
    if known == Some(fingerprint) {
        return Ok(None);
    }
    let matches = lookup.matches();
    Ok(Some(judged(subject, matches, fingerprint, against, now)))
}

fn judged(
    subject: Subject,
    mut matches: Matches,
    fingerprint: Digest,
    against: Against<'_>,
    now: Timestamp,
) -> Assessment {
    let Subject { digest, inventory, metadata } = subject;
    let Inventory { distribution, packages, .. } = &inventory;
    let Against { advisories, criteria, tables, .. } = against;
    let judging = Judging { criteria, tables, now };
    sort_worst_first(&mut matches.findings);
    let needed: BTreeMap<String, Option<Digest>> = families_for(distribution.as_ref(), packages)
        .into_iter()
        .map(|family| (family.to_owned(), advisories.hash(family)))
        .collect();
    let mut report = Report {
        version: Report::VERSION,
        findings: matches.findings,
        unmatched: matches.problems,
        ..Report::default()
    };
    let (state, reason) = state_of(&matches.coverage, &inventory, &report);
    let mut result = ImageResult {
        state,
        reason: reason.map(|reason| text::line(&reason, text::REASON)),
        distribution: distribution
            .as_ref()
            .map(|distribution| text::line(name_of(distribution), text::DISTRIBUTION)),
        packages: packages.len() as u64,
        severities: SeverityCounts::default(),
        suppressed: SeverityCounts::default(),
        policies: BTreeMap::new(),
        created_at: None,
        scanned_at: now,
        next_change_at: None,
        reader_version: READER_VERSION,
        matching: MATCHING,
        indexes: needed,
        judged_under: judging.fingerprint(),
        matched: Some(fingerprint),
        inventory: None,
        metadata: None,
        report: None,
        is_limited: false,
    };
    result.judge(&mut report, &inventory, &metadata, digest.as_ref(), judging);
    Assessment { result, report, inventory, metadata }
}

fn state_of(coverage: &Coverage, inventory: &Inventory, report: &Report) -> (ResultState, Option<String>) {
    let mut problems = inventory.problems.iter().chain(&report.unmatched);
    match (coverage, problems.next()) {
        (Coverage::Missing { families }, _) => {
            (ResultState::Pending, Some(format!("there are no advisories yet for {}", families.join(", "))))
        }
        (_, Some(first)) => {
            let rest = problems.count();
            let more = if rest == 0 { String::new() } else { format!(" (and {rest} more)") };
            (ResultState::Partial, Some(format!("{first}{more}")))
        }
        (Coverage::Unsupported { reason }, None) => (ResultState::Unsupported, Some(reason.clone())),
        (Coverage::Full, None) if inventory.packages.is_empty() => {
            (ResultState::Unsupported, Some("no package database that can be read was found".to_owned()))
        }
        (Coverage::Full, None) => (ResultState::Scanned, None),
    }
}

fn name_of(distribution: &tidewatch_core::package::Distribution) -> &str {
    if distribution.pretty_name.is_empty() { &distribution.id } else { &distribution.pretty_name }
}

fn sort_worst_first(findings: &mut [Finding]) {
    findings.sort_by(|one, other| {
        let key =
            |finding: &Finding| (finding.severity, finding.package.clone(), finding.vulnerability.clone());
        key(one).cmp(&key(other))
    });
}
