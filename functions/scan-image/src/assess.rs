//! From an inventory to a result: matched against the advisories, judged by the policies. No I/O but reading the
//! indexes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidewatch_advisories::{Coverage, IndexSet, families_for, match_packages};
use tidewatch_core::Digest;
use tidewatch_core::config::Config;
use tidewatch_core::finding::Finding;
use tidewatch_core::policy::ImageFacts;
use tidewatch_core::problem::Problem;
use tidewatch_core::result::{ImageResult, Report, ResultState};
use tidewatch_core::severity::SeverityCounts;
use tidewatch_inventory::{ImageInventory, READER_VERSION};
use tidewatch_store::records::CurrentAdvisories;

use crate::{ScanError, text};

/// What is known of an image after it was matched and judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The result, without the key of its report.
    pub result: ImageResult,
    /// The rows behind it.
    pub report: Report,
}

/// Matches the packages of `inventory` against `indexes`, and judges the image by the policies of `config` at `now`.
pub fn assess(
    inventory: ImageInventory,
    indexes: IndexSet,
    advisories: &CurrentAdvisories,
    config: &Config,
    now: Timestamp,
) -> Result<Assessment, ScanError> {
    let ImageInventory { distribution, packages, mut problems } = inventory;
    let matches = match_packages(&indexes, distribution.as_ref(), &packages)?;
    drop(indexes);
    problems.extend(matches.problems);
    let mut findings = matches.findings;
    sort_worst_first(&mut findings);

    let needed: BTreeMap<String, Option<Digest>> = families_for(distribution.as_ref(), &packages)
        .into_iter()
        .map(|family| (family.to_owned(), advisories.hash(family)))
        .collect();
    let (state, reason) = state_of(&matches.coverage, packages.is_empty(), &problems);
    let policies = config.policy_set().evaluate(ImageFacts { findings: &findings, state, now });
    let result = ImageResult {
        state,
        reason: reason.map(|reason| text::line(&reason, text::REASON)),
        distribution: distribution
            .as_ref()
            .map(|distribution| text::line(name_of(distribution), text::DISTRIBUTION)),
        packages: packages.len() as u64,
        severities: findings.iter().map(|finding| finding.severity).collect::<SeverityCounts>(),
        policies: policies.iter().map(|(id, evaluation)| (id.clone(), evaluation.outcome)).collect(),
        created_at: None,
        scanned_at: now,
        next_change_at: policies.values().filter_map(|evaluation| evaluation.next_change_at).min(),
        reader_version: READER_VERSION,
        indexes: needed,
        judged_under: config.judging_fingerprint(),
        report: None,
    };
    let report = Report { version: Report::VERSION, distribution, packages, findings, policies, problems };
    Ok(Assessment { result, report })
}

fn state_of(coverage: &Coverage, nothing_found: bool, problems: &[Problem]) -> (ResultState, Option<String>) {
    match (coverage, problems) {
        (Coverage::Missing { families }, _) => {
            (ResultState::Pending, Some(format!("there are no advisories yet for {}", families.join(", "))))
        }
        (_, [first, rest @ ..]) => {
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            (ResultState::Partial, Some(format!("{first}{more}")))
        }
        (Coverage::Unsupported { reason }, []) => (ResultState::Unsupported, Some(reason.clone())),
        (Coverage::Full, []) if nothing_found => {
            (ResultState::Unsupported, Some("no package database that can be read was found".to_owned()))
        }
        (Coverage::Full, []) => (ResultState::Scanned, None),
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
