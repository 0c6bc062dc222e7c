//! Images as a table and as CSV.

use tidewatch_core::Severity;
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::result::ResultState;
use tidewatch_runtime::system::SystemClock;

use super::Document;
use crate::failure::Failure;
use crate::output::{Table, ago, cell, known, number_cell, print_csv, print_line, severity_cell, state_cell};

/// Prints the images as a table.
pub(super) fn table(document: &Document) {
    let now = SystemClock.now();
    let titles = [
        "IMAGE", "PLATFORM", "STATE", "PACKAGES", "CRITICAL", "HIGH", "MEDIUM", "LOW", "UNSPEC", "POLICIES",
        "SCANNED",
    ];
    let mut table = Table::new(titles);
    let images = || document.images.iter().map(|row| &row.image);
    for row in images() {
        // What is not known is left empty: it is not zero.
        let known = matches!(row.state, ResultState::Scanned | ResultState::Partial);
        let count = |severity| {
            if known { severity_cell(severity, row.vulnerabilities.of(severity)) } else { cell("") }
        };
        let evaluated = row.policies.values().filter(|outcome| **outcome != Outcome::NoData).count();
        let passed = row.policies.values().filter(|outcome| **outcome == Outcome::Pass).count();
        table.row([
            cell(format!("{}/{}:{}", row.name.registry, row.name.repository, row.name.tag)),
            cell(&row.name.platform),
            state_cell(row.state),
            number_cell(if known { row.packages.to_string() } else { String::new() }),
            count(Severity::Critical),
            count(Severity::High),
            count(Severity::Medium),
            count(Severity::Low),
            count(Severity::Unspecified),
            cell(match evaluated {
                _ if !known => String::new(),
                0 => "no data".to_owned(),
                evaluated => format!("{passed}/{evaluated} pass"),
            }),
            cell(row.scanned_at.map_or_else(String::new, |scanned| ago(scanned, now))),
        ]);
    }
    table.print();
    for row in images().filter(|row| row.reason.is_some()) {
        let reason = row.reason.as_deref().unwrap_or_default();
        let name = &row.name;
        print_line(&format!("{}/{}:{} is {}: {reason}", name.registry, name.repository, name.tag, row.state));
    }
}

/// Prints the images as CSV. Policies stand in one cell: `id=outcome`, separated by blanks.
pub(super) fn csv(document: &Document) -> Result<(), Failure> {
    let titles = [
        "registry",
        "repository",
        "tag",
        "digest",
        "platform",
        "counted",
        "state",
        "reason",
        "distribution",
        "packages",
        "critical",
        "high",
        "medium",
        "low",
        "unspecified",
        "suppressed",
        "policies",
        "scanned_at",
        "schedule",
    ];
    let rows = document.images.iter().map(|row| {
        let image = &row.image;
        let is_known = !matches!(image.state, ResultState::Pending | ResultState::Failed);
        let number = |number: u64| known(is_known.then_some(number));
        let count = |severity| number(image.vulnerabilities.of(severity));
        let policies = image.policies.iter();
        let policies: Vec<String> =
            policies.map(|(id, outcome)| format!("{id}={}", outcome.as_str().replace(' ', "-"))).collect();
        [
            image.name.registry.to_string(),
            image.name.repository.to_string(),
            image.name.tag.to_string(),
            image.name.digest.clone(),
            image.name.platform.clone(),
            image.counted.to_string(),
            image.state.to_string(),
            known(image.reason.as_ref()),
            known(image.distribution.as_ref()),
            number(image.packages),
            count(Severity::Critical),
            count(Severity::High),
            count(Severity::Medium),
            count(Severity::Low),
            count(Severity::Unspecified),
            number(image.suppressed.total()),
            policies.join(" "),
            known(image.scanned_at),
            known(row.schedule.map(super::Schedule::as_str)),
        ]
    });
    print_csv(titles, rows)
}
