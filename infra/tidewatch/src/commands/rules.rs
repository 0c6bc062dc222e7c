//! `tidewatch rules`: lists rules, runs them, shows how runs are getting on.

mod put_off;
mod window;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use tidewatch_core::config::RuleConfig;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::{Clock as _, Sleeper as _};
use tidewatch_core::rule::LeftOut;
use tidewatch_core::work::RunId;
use tidewatch_evaluate_rules::EvaluateError;
use tidewatch_runtime::system::{SystemClock, SystemSleeper};
use tidewatch_store::records::{AppliedConfig, ListingState, Run, RunStanding, RunTrigger};

use super::Context;
use super::preview::preview;
use super::run_images::{RunImages, Stillness};
use crate::cli::{Org, PreviewRule, RuleStatus, Rules, RunRule};
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::{
    ProgressBars, Table, advise, ago, cell, number_cell, print_document, print_line, while_waiting,
};

use put_off::PutOffRow;
use window::{WindowRow, cell_text};

/// Up to how many failed images of a run are named.
const MOST_NAMED: usize = 10;

#[derive(Serialize)]
struct RuleRow {
    id: String,
    registries: Vec<String>,
    include: Vec<String>,
    exclude: Vec<String>,
    schedule: String,
    last_run_at: Option<Timestamp>,
    next_run_at: Option<Timestamp>,
    /// `null` when there is none, and what is found is scanned at any time.
    window: Option<WindowRow>,
}

#[derive(Serialize)]
struct RuleRows {
    rules: Vec<RuleRow>,
}

/// A run, with sums over its listings.
#[derive(Clone, Debug, Serialize)]
struct RunRow {
    rule: String,
    run: String,
    trigger: RunTrigger,
    started_at: Timestamp,
    /// When it was seen that nothing is left of it; `null` before.
    ended_at: Option<Timestamp>,
    /// Listings that are complete, and all that are known so far.
    listings_done: u64,
    listings: u64,
    /// Tags listed, those left out by the reason, and those chosen.
    listed: u64,
    left_out: BTreeMap<LeftOut, u64>,
    selected: u64,
    /// Tags chosen that are no images to scan.
    skipped: u64,
    /// Images that needed work.
    queued: u64,
    /// Those of them that were scanned, and those that have failed and are tried again after their cool-down.
    scanned: u64,
    failed: u64,
    /// How many were scanned in a minute, from the start to the end, or until now; for people only, since it moves by itself.
    #[serde(skip)]
    per_minute: f64,
    /// Images that this or another run of the rule has found and that are still to be scanned.
    remaining: u64,
    /// Images that wait for the window of the rule.
    waiting: u64,
    /// How the windows of the rule stand; `null` when it has none.
    window: Option<WindowRow>,
    /// Listings that were put off because their registry throttles; `null` when none is.
    put_off: Option<PutOffRow>,
    /// Why listings failed.
    errors: Vec<String>,
    /// What became of the images; only of a run that was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<RunImages>,
}

#[derive(Serialize)]
struct RunRows {
    runs: Vec<RunRow>,
}

pub(super) async fn run(context: &Context, command: Rules) -> Result<(), Failure> {
    match command {
        Rules::List(org) => list(context, org).await,
        Rules::Run(arguments) => run_rule(context, arguments).await,
        Rules::Status(arguments) => status(context, arguments).await,
        Rules::Preview(arguments) => preview_rule(context, arguments).await,
    }
}

async fn config(instance: &Instance, org: &OrgName) -> Result<AppliedConfig, Failure> {
    instance.records.config(org).await?.ok_or_else(|| {
        Failure::wrong_use(anyhow::anyhow!("there is no organisation {org}"))
            .hint("put its configuration in force first: tidewatch apply tidewatch.yaml")
    })
}

async fn list(context: &Context, org: Org) -> Result<(), Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(org.org).await?;
    let applied = config(&instance, &org).await?;
    let now = SystemClock.now();
    let mut rules = Vec::new();
    for rule in &applied.config.rules {
        let last_slot = instance.records.rule_state(&org, &rule.id).await?.map(|state| state.last_slot);
        let last_run = instance.records.runs(&org, &rule.id, 1).await?;
        rules.push(RuleRow {
            id: rule.id.to_string(),
            registries: rule.registries.iter().map(ToString::to_string).collect(),
            include: rule.include.iter().map(ToString::to_string).collect(),
            exclude: rule.exclude.iter().map(ToString::to_string).collect(),
            schedule: rule.schedule.to_string(),
            last_run_at: last_run.first().map(|run| run.started_at),
            next_run_at: rule.schedule.next(last_slot, now),
            window: WindowRow::of(&instance, &org, rule, now).await?,
        });
    }
    if context.is_json() {
        return print_document("rules", 1, &RuleRows { rules });
    }
    let titles = ["RULE", "REGISTRIES", "INCLUDE", "EXCLUDE", "SCHEDULE", "LAST RUN", "NEXT RUN", "WINDOW"];
    let mut table = Table::new(titles);
    for rule in rules {
        let time = |time: Option<Timestamp>| time.map_or_else(|| "never".to_owned(), |time| ago(time, now));
        let or = |list: &[String], none: &str| if list.is_empty() { none.to_owned() } else { list.join(" ") };
        let (include, exclude) = (or(&rule.include, "all"), or(&rule.exclude, "none"));
        let (last, next) = (time(rule.last_run_at), time(rule.next_run_at));
        let (registries, window) = (rule.registries.join(" "), cell_text(rule.window.as_ref(), now));
        table.row([rule.id, registries, include, exclude, rule.schedule, last, next, window].map(cell));
    }
    table.print();
    Ok(())
}

async fn preview_rule(context: &Context, arguments: PreviewRule) -> Result<(), Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(arguments.org.org.clone()).await?;
    let applied = config(&instance, &org).await?;
    preview(context, &instance, &org, &applied, &arguments).await
}

async fn run_rule(context: &Context, arguments: RunRule) -> Result<(), Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(arguments.org.org).await?;
    if arguments.wait && !instance.is_running {
        return Err(Failure::new(anyhow::anyhow!(
            "nobody runs this data folder, so there is nothing to wait for"
        ))
        .hint("start local mode first: tidewatch up"));
    }
    let started = instance.evaluate_rules().run_now(&org, &arguments.rule).await;
    let id = started.map_err(|error| match error {
        EvaluateError::NoSuchRule { .. } => {
            Failure::wrong_use(error).hint("list the rules: tidewatch rules list")
        }
        error => error.into(),
    })?;
    let applied = config(&instance, &org).await?;
    let Some(rule) = applied.config.rule(&id.rule) else { return Ok(()) };
    let run = Run {
        id,
        trigger: RunTrigger::Manual,
        started_at: SystemClock.now(),
        has_cap: false,
        is_capped: false,
        end: None,
    };
    let row = if arguments.wait {
        let row = wait(context, &instance, &org, rule, &run).await?;
        let counting = RunImages::count(&instance.records, &org, rule, &run.id);
        let images = while_waiting(context.quiet, "counting images", counting).await?;
        RunRow { images: Some(images), ..row }
    } else {
        row(&instance, &org, rule, &run).await?
    };
    if !context.is_json() {
        tell(context, &row, instance.is_running);
    }
    let failure = failure(&row);
    if context.is_json() {
        print_document("runs", 1, &RunRows { runs: vec![row] })?;
    }
    failure.map_or(Ok(()), Err)
}

/// Says what became of a run that was started, or waited for.
fn tell(context: &Context, row: &RunRow, is_running: bool) {
    let RunRow { rule, run, listed, selected, errors, .. } = row;
    let Some(images) = &row.images else {
        advise(
            context.quiet,
            &format!("{rule}: run {run} started; see it with: tidewatch rules status {rule}"),
        );
        if !is_running {
            advise(context.quiet, "it is done once local mode runs: tidewatch up");
        }
        return;
    };
    let numbers = images.numbers();
    advise(context.quiet, &format!("{rule}: {listed} tags listed, {selected} chosen; {numbers}"));
    for error in errors {
        advise(false, &format!("listing failed: {error}"));
    }
    for line in images.failures(MOST_NAMED) {
        advise(false, &line);
    }
}

/// The failure of a run that was waited for and has not done everything.
fn failure(row: &RunRow) -> Option<Failure> {
    let (rule, images) = (&row.rule, row.images.as_ref()?);
    if !row.errors.is_empty() {
        let failure = Failure::new(anyhow::anyhow!("the run of {rule} is incomplete"));
        return Some(
            failure.hint("nothing was removed because of it; mend what failed and run the rule again"),
        );
    }
    (images.failed() > 0).then(|| {
        let failed = images.failed();
        let noun = if failed == 1 { "image" } else { "images" };
        Failure::new(anyhow::anyhow!("the run of {rule} left {failed} {noun} failed"))
            .hint("they are tried again later by themselves; mend what failed, or run the rule again")
    })
}

/// Waits until every listing of the run is made and nothing is left to scan. Fails when nothing has moved for ten
/// minutes.
async fn wait(
    context: &Context,
    instance: &Instance,
    org: &OrgName,
    rule: &RuleConfig,
    run: &Run,
) -> Result<RunRow, Failure> {
    let bars = ProgressBars::new(context.quiet);
    let bar = bars.bar(rule.id.as_str());
    let mut stillness = Stillness::new((0, 0, 0, 0), SystemClock.now());
    loop {
        let row = row(instance, org, rule, run).await?;
        let done = row.queued.saturating_sub(row.remaining);
        bar.set(done, row.queued);
        bar.say(format!("images; {} of {} listings", row.listings_done, row.listings));
        if row.listings > 0 && row.listings_done == row.listings && row.remaining == 0 {
            bar.finish();
            return Ok(row);
        }
        let seen = (row.listings_done, row.listings, row.queued, row.remaining);
        if stillness.lasts(seen, SystemClock.now()) {
            bar.finish();
            return Err(Failure::new(anyhow::anyhow!(
                "nothing of the run of {} has moved for ten minutes: {} of {} listings are done, and {} images \
                 are left",
                row.rule,
                row.listings_done,
                row.listings,
                row.remaining
            ))
            .hint(format!("it goes on without being waited for; look at {}", instance.place.logs())));
        }
        SystemSleeper.sleep(instance.place.look()).await;
    }
}

async fn status(context: &Context, arguments: RuleStatus) -> Result<(), Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(arguments.org.org).await?;
    let applied = config(&instance, &org).await?;
    if let Some(wanted) = &arguments.rule
        && applied.config.rule(wanted).is_none()
    {
        return Err(Failure::wrong_use(anyhow::anyhow!("{org} has no rule {wanted}"))
            .hint("list the rules: tidewatch rules list"));
    }
    let mut runs = Vec::new();
    for rule in &applied.config.rules {
        if arguments.rule.as_ref().is_none_or(|wanted| *wanted == rule.id) {
            for run in instance.records.runs(&org, &rule.id, usize::from(arguments.runs)).await? {
                runs.push(row(&instance, &org, rule, &run).await?);
            }
        }
    }
    if context.is_json() {
        return print_document("runs", 1, &RunRows { runs });
    }
    print(&runs);
    Ok(())
}

async fn row(instance: &Instance, org: &OrgName, rule: &RuleConfig, run: &Run) -> Result<RunRow, Failure> {
    let RunId { rule: id, run: run_id } = &run.id;
    let listings = instance.records.listings(org, &run.id).await?;
    let sum =
        |number: fn(&tidewatch_store::records::ListingProgress) -> u64| listings.iter().map(number).sum();
    // The listing of a registry counts repositories, not tags.
    let tags = listings.iter().filter(|listing| listing.repository.is_some());
    let (listed, selected) =
        tags.fold((0, 0), |(listed, selected), tags| (listed + tags.listed, selected + tags.selected));
    let mut left_out = BTreeMap::new();
    for (reason, tags) in listings.iter().flat_map(|listing| &listing.left_out) {
        *left_out.entry(*reason).or_default() += tags;
    }
    let now = SystemClock.now();
    let window = WindowRow::of(instance, org, rule, now).await?;
    let mut standing = RunStanding::default();
    for registry in &rule.registries {
        let RunStanding { of_run, of_rule } = instance.records.run_standing(org, registry, &run.id).await?;
        standing.of_run += of_run;
        standing.of_rule += of_rule;
    }
    let queued: u64 = sum(|listing| listing.queued);
    let (scanned, failed) = match run.end {
        Some(end) => (end.scanned, end.failed),
        None => (queued.saturating_sub(standing.of_run.all()), standing.of_run.failed),
    };
    let ended_at = run.end.map(|end| end.ended_at);
    Ok(RunRow {
        rule: id.to_string(),
        run: run_id.clone(),
        trigger: run.trigger,
        started_at: run.started_at,
        ended_at,
        listings_done: listings.iter().filter(|listing| listing.state != ListingState::Queued).count() as u64,
        listings: listings.len() as u64,
        listed,
        left_out,
        selected,
        skipped: sum(|listing| listing.skipped),
        queued,
        scanned,
        failed,
        per_minute: per_minute(scanned, run.started_at, ended_at.unwrap_or(now)),
        remaining: standing.of_rule.remaining,
        waiting: standing.of_rule.waiting,
        window,
        put_off: PutOffRow::of(&listings),
        errors: listings.into_iter().filter_map(|listing| listing.error).collect(),
        images: None,
    })
}

/// To one decimal.
fn per_minute(scanned: u64, from: Timestamp, to: Timestamp) -> f64 {
    let minutes = to.duration_since(from).as_secs_f64().max(1.0) / 60.0;
    #[expect(clippy::cast_precision_loss, reason = "it is rounded anyway")]
    let rate = scanned as f64 / minutes;
    (rate * 10.0).round() / 10.0
}

fn print(runs: &[RunRow]) {
    let now = SystemClock.now();
    let titles = [
        "RULE",
        "RUN",
        "STARTED",
        "ENDED",
        "LISTINGS",
        "LISTED",
        "CHOSEN",
        "SKIPPED",
        "QUEUED",
        "SCANNED",
        "FAILED",
        "REMAINING",
        "WAITING",
        "PER MINUTE",
        "WINDOW",
    ];
    let mut table = Table::new(titles);
    for run in runs {
        let listings = format!("{}/{}", run.listings_done, run.listings);
        let found = [run.listed, run.selected, run.skipped, run.queued];
        let done = [run.scanned, run.failed, run.remaining, run.waiting];
        let ended = run.ended_at.map_or_else(|| "no".to_owned(), |at| ago(at, now));
        let texts = [run.rule.clone(), run.run.clone(), ago(run.started_at, now), ended, listings].map(cell);
        let rate = cell(format!("{:.0}", run.per_minute));
        let window = cell(cell_text(run.window.as_ref(), now));
        let numbers = found.into_iter().chain(done).map(number_cell);
        table.row(texts.into_iter().chain(numbers).chain([rate, window]));
    }
    table.print();
    for run in runs {
        for (reason, tags) in &run.left_out {
            let reason = reason.as_str().replace('_', " ");
            print_line(&format!("{} {}: left out: {tags} {reason}", run.rule, run.run));
        }
        let put_off = run.put_off.as_ref().map(|put_off| put_off.text(now));
        for line in put_off.iter().chain(&run.errors) {
            print_line(&format!("{} {}: {line}", run.rule, run.run));
        }
    }
}
