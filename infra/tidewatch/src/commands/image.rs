//! `tidewatch image`: all that is known of one image.

use tidewatch_core::Severity;
use tidewatch_core::exception::SuppressedBy;
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_read_results::documents::{FindingRow, ImageDetail, Images};
use tidewatch_runtime::system::SystemClock;

use super::Context;
use super::results::{failed, open};
use crate::cli::Image;
use crate::failure::Failure;
use crate::output::{
    Table, ago, cell, known, print_csv, print_document, print_line, severity_word_cell, while_waiting,
};

pub(super) async fn run(context: &Context, arguments: Image) -> Result<(), Failure> {
    let (_, results, _) = open(context, arguments.org.org).await?;
    let reading = results.image_detail(&arguments.reference);
    let found = while_waiting(context.quiet, "reading the image", reading).await.map_err(failed)?;
    if context.is_json() {
        return print_document("image", 1, &found);
    }
    if context.is_csv() {
        return csv(&found);
    }
    found.images.iter().for_each(print);
    Ok(())
}

fn print(image: &ImageDetail) {
    print_line(&format!("{} ({})", image.digest, image.platform));
    for place in &image.places {
        print_line(&format!("in {}/{}:{}", place.registry, place.repository, place.tag));
    }
    let streams: Vec<&str> = image.streams.iter().map(|place| place.stream.as_str()).collect();
    if !streams.is_empty() {
        print_line(&format!("streams: {}", streams.join(", ")));
    }
    let reason = image.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    let scanned = image.scanned_at.map_or_else(String::new, |at| format!(", {}", ago(at, SystemClock.now())));
    print_line(&format!("state: {}{reason}{scanned}", image.state));
    match (&image.base, &image.base_unknown_because) {
        (Some(base), _) => print_line(&format!("base image: {}", base.reference)),
        (None, Some(reason)) => print_line(&format!("base image: not known, because {reason}")),
        (None, None) => {}
    }
    let Some(findings) = &image.findings else { return };
    print_findings(findings);
    let distribution = image.distribution.as_deref().unwrap_or("no distribution");
    let counts = Severity::ALL.map(|severity| {
        format!("{} {}", image.vulnerabilities.of(severity), severity.as_str().to_lowercase())
    });
    let (packages, total) = (image.packages, image.vulnerabilities.total());
    let suppressed = image.suppressed.total();
    print_line(&format!(
        "{distribution}: {packages} packages, {total} known vulnerabilities ({}), {suppressed} more suppressed",
        counts.join(", ")
    ));
    print_policies(image);
    for problem in &image.problems {
        print_line(&format!("not known: {problem}"));
    }
}

fn print_findings(findings: &[FindingRow]) {
    if findings.is_empty() {
        return;
    }
    let titles = ["VULNERABILITY", "SEVERITY", "PACKAGE", "INSTALLED", "FIXED", "EXPLOITED", "SUPPRESSED BY"];
    let mut table = Table::new(titles);
    for finding in findings {
        table.row([
            cell(&finding.vulnerability),
            severity_word_cell(finding.severity),
            cell(&finding.package),
            cell(&finding.version),
            cell(known(finding.fixed_version.as_ref())),
            cell(finding.known_exploited.map(|day| format!("since {day}")).unwrap_or_default()),
            cell(suppressed_by(finding)),
        ]);
    }
    table.print();
}

fn print_policies(image: &ImageDetail) {
    for (id, answer) in image.policies.iter().flatten() {
        let because = match answer.outcome {
            Outcome::Fail => format!(", by {}", answer.failing.join("; ")),
            _ => answer.reason.as_ref().map_or_else(String::new, |reason| format!(", because {reason}")),
        };
        print_line(&format!("policy {id}: {}{because}", answer.outcome.as_str()));
    }
}

/// Whose word it is that a finding does not count; empty when it counts.
fn suppressed_by(finding: &FindingRow) -> String {
    match finding.suppressed.as_ref().map(|suppressed| &suppressed.by) {
        None => String::new(),
        Some(SuppressedBy::Exception { id }) => format!("exception {id}"),
        Some(SuppressedBy::Vex { document, author, .. }) if document.is_empty() => format!("VEX of {author}"),
        Some(SuppressedBy::Vex { document, .. }) => format!("VEX {document}"),
    }
}

/// The findings of every platform.
fn csv(found: &Images) -> Result<(), Failure> {
    let titles = [
        "digest",
        "platform",
        "vulnerability",
        "severity",
        "package_type",
        "package",
        "version",
        "purl",
        "fixed_version",
        "advisories",
        "known_exploited",
        "suppressed_by",
    ];
    let findings = found
        .images
        .iter()
        .flat_map(|image| image.findings.iter().flatten().map(move |finding| (image, finding)));
    let rows = findings.map(|(image, finding)| {
        [
            image.digest.clone(),
            image.platform.clone(),
            finding.vulnerability.clone(),
            finding.severity.to_string(),
            finding.package_type.as_str().to_owned(),
            finding.package.clone(),
            finding.version.clone(),
            finding.purl.clone(),
            known(finding.fixed_version.as_ref()),
            finding.advisories.join(" "),
            known(finding.known_exploited),
            suppressed_by(finding),
        ]
    });
    print_csv(titles, rows)
}
