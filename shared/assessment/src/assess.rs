//! From an inventory to an assessment: matched against the advisories, judged by the policies. No I/O but reading the
//! indexes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidewatch_advisories::{Coverage, IndexSet, families_for, match_packages};
use tidewatch_core::Digest;
use tidewatch_core::config::Config;
use tidewatch_core::finding::Finding;
use tidewatch_core::result::{ImageResult, Report, ResultState};
use tidewatch_core::severity::SeverityCounts;
use tidewatch_inventory::{ImageInventory, READER_VERSION};
use tidewatch_store::records::CurrentAdvisories;

use crate::{AssessmentError, text};

/// What is known of an image after it was matched and judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The result. It has the key of its report only where that is stored already.
    pub result: ImageResult,
    /// The rows behind it.
    pub report: Report,
}

impl Assessment {
    /// The inventory that a recorded assessment was made from, so that it can be matched again; `None` where that cannot
    /// be told: a report of version 1 with problems mixes those of reading and those of matching.
    pub fn inventory_of(report: &Report) -> Option<ImageInventory> {
        let is_split = report.version > 1 || report.problems.is_empty();
        is_split.then(|| ImageInventory {
            distribution: report.distribution.clone(),
            packages: report.packages.clone(),
            problems: report.problems.clone(),
            ..ImageInventory::default()
        })
    }
}

/// Matches the packages of `inventory`, which readers of this version have made, against `indexes`, and judges the image
/// by the policies of `config` at `now`.
pub fn assess(
    inventory: ImageInventory,
    indexes: IndexSet,
    advisories: &CurrentAdvisories,
    config: &Config,
    now: Timestamp,
) -> Result<Assessment, AssessmentError> {
    // What a package of the distribution brings with it counts as that package.
    let ImageInventory { distribution, packages, problems, .. } = inventory;
    let matches = match_packages(&indexes, distribution.as_ref(), &packages)?;
    drop(indexes);
    let mut findings = matches.findings;
    sort_worst_first(&mut findings);

    let needed: BTreeMap<String, Option<Digest>> = families_for(distribution.as_ref(), &packages)
        .into_iter()
        .map(|family| (family.to_owned(), advisories.hash(family)))
        .collect();
    let report = Report {
        version: Report::VERSION,
        distribution,
        packages,
        findings,
        policies: BTreeMap::new(),
        problems,
        unmatched: matches.problems,
    };
    let (state, reason) = state_of(&matches.coverage, &report);
    let result = ImageResult {
        state,
        reason: reason.map(|reason| text::line(&reason, text::REASON)),
        distribution: report
            .distribution
            .as_ref()
            .map(|distribution| text::line(name_of(distribution), text::DISTRIBUTION)),
        packages: report.packages.len() as u64,
        severities: report.findings.iter().map(|finding| finding.severity).collect::<SeverityCounts>(),
        policies: BTreeMap::new(),
        created_at: None,
        scanned_at: now,
        next_change_at: None,
        reader_version: READER_VERSION,
        indexes: needed,
        judged_under: config.judging_fingerprint(),
        report: None,
    };
    let mut assessment = Assessment { result, report };
    assessment.result.judge(&mut assessment.report, config, now);
    Ok(assessment)
}

fn state_of(coverage: &Coverage, report: &Report) -> (ResultState, Option<String>) {
    let mut problems = report.all_problems();
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
        (Coverage::Full, None) if report.packages.is_empty() => {
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
