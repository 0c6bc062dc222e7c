//! `tidewatch policy`: what a policy says of the images of a stream.

use tidewatch_core::policy::Outcome;
use tidewatch_read_results::documents::{PolicyImage, PolicyPage};
use tidewatch_read_results::{MOST_ROWS, PageRequest, PolicyQuery, Results};

use super::Context;
use super::results::{failed, name_cells, next_page, open, place};
use crate::cli::Policy;
use crate::failure::Failure;
use crate::output::{Table, cell, known, print_csv, print_document, print_line, while_waiting};

pub(super) async fn run(context: &Context, arguments: Policy) -> Result<(), Failure> {
    let (_, results, _) = open(context, arguments.org.org).await?;
    let query = PolicyQuery { id: arguments.id, stream: arguments.stream, failing: arguments.failing };
    let found = while_waiting(context.quiet, "reading images", collect(&results, &query)).await?;
    if context.is_json() {
        return print_document("policy", 1, &found);
    }
    if context.is_csv() {
        return csv(&found);
    }
    print(&found);
    Ok(())
}

/// All pages as one.
async fn collect(results: &Results, query: &PolicyQuery) -> Result<PolicyPage, Failure> {
    let first = PageRequest { limit: MOST_ROWS, from: None };
    let mut all = results.policy_page(query, &first).await.map_err(failed)?;
    while let Some(page) = next_page(all.next.as_deref())? {
        let more = results.policy_page(query, &page).await.map_err(failed)?;
        all.images.extend(more.images);
        all.next = more.next;
    }
    Ok(all)
}

fn word(outcome: Option<Outcome>) -> &'static str {
    outcome.map_or("not judged", Outcome::as_str)
}

/// Everything that is to be said of the answer, for people.
fn why(image: &PolicyImage) -> String {
    if image.failing.is_empty() { known(image.reason.as_ref()) } else { image.failing.join("; ") }
}

fn print(found: &PolicyPage) {
    if !found.images.is_empty() {
        let mut table = Table::new(["IMAGE", "PLATFORM", "OUTCOME", "WHY"]);
        for image in &found.images {
            table.row([
                cell(place(&image.name)),
                cell(&image.name.platform),
                cell(word(image.outcome)),
                cell(why(image)),
            ]);
        }
        table.print();
    }
    if let Some(numbers) = &found.numbers {
        print_line(&format!(
            "{} in {}: {} of {} images comply; no data of {}, {} not judged yet",
            found.display_name,
            found.stream,
            numbers.compliant,
            numbers.evaluated,
            numbers.no_data,
            numbers.unjudged
        ));
    }
}

fn csv(found: &PolicyPage) -> Result<(), Failure> {
    let titles =
        ["registry", "repository", "tag", "digest", "platform", "policy", "outcome", "failing", "reason"];
    let rows = found.images.iter().map(|image| {
        let [registry, repository, tag, digest, platform] = name_cells(&image.name);
        let outcome = known(image.outcome.map(|outcome| outcome.as_str().replace(' ', "-")));
        let (failing, reason) = (image.failing.join("; "), known(image.reason.as_ref()));
        [registry, repository, tag, digest, platform, found.id.to_string(), outcome, failing, reason]
    });
    print_csv(titles, rows)
}
