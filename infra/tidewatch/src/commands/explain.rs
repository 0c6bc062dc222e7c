//! `tidewatch explain`: the rows behind a number of the metrics.

use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_read_results::documents::{Explanation, Row};
use tidewatch_read_results::{MOST_ROWS, PageRequest, Results, Series};
use tidewatch_runtime::system::SystemClock;

use super::Context;
use super::results::{failed, name_cells, next_page, open, place};
use crate::cli::Explain;
use crate::failure::Failure;
use crate::output::{
    Table, advise, ago, cell, known, number_cell, print_csv, print_document, print_line, severity_word_cell,
    while_waiting,
};

pub(super) async fn run(context: &Context, arguments: Explain) -> Result<(), Failure> {
    let (_, results, _) = open(context, arguments.org.org).await?;
    let reading = collect(&results, &arguments.series);
    let found = while_waiting(context.quiet, "reading the rows", reading).await?;
    if context.is_json() {
        return print_document("explanation", 1, &found);
    }
    if context.is_csv() {
        csv(&found)?;
    } else {
        print(&found, arguments.series.is_of_findings());
    }
    if let Some(reason) = &found.behind {
        advise(context.quiet, reason);
    }
    Ok(())
}

/// All pages as one.
async fn collect(results: &Results, series: &Series) -> Result<Explanation, Failure> {
    let first = PageRequest { limit: MOST_ROWS, from: None };
    let mut all = results.explanation(series, &first).await.map_err(failed)?;
    while let Some(page) = next_page(all.next.as_deref())? {
        let more = results.explanation(series, &page).await.map_err(failed)?;
        all.rows.extend(more.rows);
        all.next = more.next;
    }
    Ok(all)
}

fn print(found: &Explanation, is_of_findings: bool) {
    if found.rows.is_empty() {
        // No table without rows.
    } else if is_of_findings {
        print_findings(&found.rows);
    } else {
        print_images(&found.rows);
    }
    let now = SystemClock.now();
    let served = match &found.published {
        Some(published) => {
            let value =
                published.value.map_or_else(|| "not served".to_owned(), |value| format!("served is {value}"));
            format!("; {value}, computed {}", ago(published.made_at, now))
        }
        None => String::new(),
    };
    print_line(&format!("{} is {}{served}", found.series, known(found.value)));
}

fn print_findings(rows: &[Row]) {
    let titles = ["IMAGE", "VULNERABILITY", "SEVERITY", "PACKAGE", "INSTALLED", "FIXED", "COUNT"];
    let mut table = Table::new(titles);
    for row in rows {
        let vulnerability = row.vulnerability.as_ref().or(row.reason.as_ref());
        table.row([
            cell(place(&row.name)),
            cell(known(vulnerability)),
            row.severity.map_or_else(|| cell(""), severity_word_cell),
            cell(known(row.package.as_ref())),
            cell(known(row.version.as_ref())),
            cell(known(row.fixed_version.as_ref())),
            number_cell(row.count),
        ]);
    }
    table.print();
}

fn print_images(rows: &[Row]) {
    let mut table = Table::new(["IMAGE", "PLATFORM", "OUTCOME", "COUNT"]);
    for row in rows {
        table.row([
            cell(place(&row.name)),
            cell(&row.name.platform),
            cell(known(row.outcome.map(Outcome::as_str))),
            number_cell(row.count),
        ]);
    }
    table.print();
}

fn csv(found: &Explanation) -> Result<(), Failure> {
    let titles = [
        "registry",
        "repository",
        "tag",
        "digest",
        "platform",
        "count",
        "vulnerability",
        "package",
        "version",
        "purl",
        "severity",
        "fixed_version",
        "outcome",
        "reason",
    ];
    let rows = found.rows.iter().map(|row| {
        let [registry, repository, tag, digest, platform] = name_cells(&row.name);
        [
            registry,
            repository,
            tag,
            digest,
            platform,
            row.count.to_string(),
            known(row.vulnerability.as_ref()),
            known(row.package.as_ref()),
            known(row.version.as_ref()),
            known(row.purl.as_ref()),
            known(row.severity),
            known(row.fixed_version.as_ref()),
            known(row.outcome.map(|outcome| outcome.as_str().replace(' ', "-"))),
            known(row.reason.as_ref()),
        ]
    });
    print_csv(titles, rows)
}
