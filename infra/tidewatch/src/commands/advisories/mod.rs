//! `tidewatch advisories`: compiles advisories, puts them in force, looks them up.

use std::path::Path;

use anyhow::Context as _;
use indicatif::DecimalBytes;
use serde::Serialize;
use tidewatch_advisories::{Build, BuildOptions};
use tidewatch_assessment::{index_record, store_index};
use tidewatch_core::ports::Clock as _;
use tidewatch_runtime::system::SystemClock;
use tidewatch_store::Records;
use tidewatch_store::records::{AdvisoryFamily, CurrentAdvisories};

mod diff;
mod indexes;
mod query;
mod sync;

use super::Context;
use super::advisory_sources::{self, SourceRow};
use crate::cli::{self, BuildAdvisories, InfoOfAdvisories};
use crate::failure::Failure;
use crate::instance::Place;
use crate::output::{ProgressBars, Table, advise, ago, cell, number_cell, print_document, while_waiting};

#[derive(Serialize)]
struct FamilyRow {
    family: String,
    #[serde(flatten)]
    index: AdvisoryFamily,
}

#[derive(Serialize)]
struct FamilyRows {
    families: Vec<FamilyRow>,
    /// Where they are fetched from; none when they are compiled by hand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<SourceRow>,
    /// What could not be used, as `subject: reason`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

pub(super) async fn run(context: &Context, command: cli::Advisories) -> Result<(), Failure> {
    match command {
        cli::Advisories::Build(arguments) => build(context, arguments).await,
        cli::Advisories::Sync(arguments) => sync::run(context, arguments).await,
        cli::Advisories::Query(arguments) => query::run(context, arguments).await,
        cli::Advisories::Info(arguments) => info(context, arguments).await,
        cli::Advisories::Diff(arguments) => diff::run(context, &arguments),
    }
}

async fn build(context: &Context, arguments: BuildAdvisories) -> Result<(), Failure> {
    check_source(&arguments.from)?;
    if let Some(output) = &arguments.output {
        return build_into(context, &arguments.from, output).await;
    }
    // What is wrong with a stack is said before the long work. A data folder is opened after it, because other commands
    // wait as long as it is open.
    let opened = match &context.place {
        Place::Folder(_) => None,
        Place::Stack(_) => Some(context.instance().await?),
    };
    let folder = context.build_folder()?;
    let built = compile(&arguments.from, folder.path(), context).await?;
    let instance = match opened {
        Some(instance) => instance,
        None => context.instance().await?,
    };
    let publishing = publish(&instance.records, &built);
    let problems = while_waiting(context.quiet, "putting them in force", publishing).await?;
    let current = instance.records.current_advisories().await?;
    if context.is_json() {
        let rows = FamilyRows { families: rows(&current), sources: Vec::new(), problems };
        return print_document("advisories", 1, &rows);
    }
    print(&current);
    print_problems(context, &problems);
    advise(
        context.quiet,
        "in force; a running instance matches every known image again within a tick, without asking a registry",
    );
    Ok(())
}

/// Compiles the advisories of `source` into the folder `output` and puts nothing in force.
async fn build_into(context: &Context, source: &Path, output: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(output)
        .with_context(|| format!("failed to make the folder {}", output.display()))?;
    let built = compile(source, output, context).await?;
    let now = SystemClock.now();
    let families = built.families.iter().map(|family| (family.family.to_owned(), index_record(family, now)));
    let current = CurrentAdvisories { families: families.collect(), tables: built.tables.versions() };
    let problems = problems(&built);
    if context.is_json() {
        let rows = FamilyRows { families: rows(&current), sources: Vec::new(), problems };
        return print_document("advisories", 1, &rows);
    }
    print(&current);
    print_problems(context, &problems);
    advise(context.quiet, &format!("written to {}; nothing was put in force", output.display()));
    Ok(())
}

fn print_problems(context: &Context, problems: &[String]) {
    for problem in problems.iter().take(10) {
        advise(context.quiet, &format!("not used: {problem}"));
    }
    if problems.len() > 10 {
        advise(context.quiet, &format!("not used: {} more (--format json lists them)", problems.len() - 10));
    }
}

/// Refuses a folder of advisories that is none.
pub(super) fn check_source(source: &Path) -> Result<(), Failure> {
    if source.is_dir() {
        return Ok(());
    }
    Err(Failure::wrong_use(anyhow::anyhow!("there is no folder {}", source.display()))
        .hint("give the folder that holds Debian/all.zip or Alpine/all.zip, as OSV publishes them"))
}

/// Compiles the advisories of `source` into `output`, with progress.
pub(super) async fn compile(source: &Path, output: &Path, context: &Context) -> Result<Build, Failure> {
    let bars = ProgressBars::new(context.quiet);
    let folder = source.to_owned();
    let options = BuildOptions { output: output.to_owned(), now: SystemClock.now() };
    let built = tokio::task::spawn_blocking(move || {
        let bar = bars.bar("advisories");
        let built = tidewatch_advisories::build(&folder, &options, &mut |progress| {
            if progress.done.is_multiple_of(256) || progress.done == progress.total {
                bar.set(progress.done as u64, progress.total as u64);
                bar.say(progress.ecosystem.to_owned());
            }
        });
        bar.finish();
        built
    });
    let built = built.await??;
    if built.families.is_empty() {
        let nothing = anyhow::anyhow!("{} holds no ecosystem that is matched", source.display());
        return Err(Failure::wrong_use(nothing)
            .hint("the folder must hold Debian/all.zip, Alpine/all.zip or folders of their JSON files"));
    }
    Ok(built)
}

/// Everything that could not be used.
fn problems(built: &Build) -> Vec<String> {
    let families = built.families.iter().flat_map(|family| &family.problems);
    built.problems.iter().chain(families).map(ToString::to_string).collect()
}

/// Stores the indexes and puts them in force. Gives everything that could not be used.
async fn publish(records: &Records, built: &Build) -> Result<Vec<String>, Failure> {
    let now = SystemClock.now();
    let mut families = Vec::new();
    for family in &built.families {
        let file = std::fs::read(&family.path).context("failed to read the compiled advisories")?;
        let index = store_index(records, family, file.into(), now).await?;
        families.push((family.family.to_owned(), index));
    }
    records.publish_advisories(families).await?;
    if let Some(date) = built.tables.known_exploited {
        records.publish_known_exploited(date).await?;
    }
    if let Some(table) = &built.tables.end_of_life {
        let version = records.put_end_of_life(table).await?;
        records.publish_end_of_life(version).await?;
    }
    Ok(problems(built))
}

async fn info(context: &Context, arguments: InfoOfAdvisories) -> Result<(), Failure> {
    if let Some(folder) = arguments.index {
        return indexes::info(context, &folder);
    }
    let instance = context.existing_instance().await?;
    let current = instance.records.current_advisories().await?;
    let records = &instance.records;
    let (stored, progress) = (records.advisory_sources().await?, records.advisory_progress().await?);
    let sources = advisory_sources::rows(stored, progress, SystemClock.now());
    if context.is_json() {
        let rows = FamilyRows { families: rows(&current), sources, problems: Vec::new() };
        return print_document("advisories", 1, &rows);
    }
    print(&current);
    if current.families.is_empty() {
        advise(
            context.quiet,
            "there are no advisories in force: tidewatch up fetches them, and tidewatch advisories build --from DIR \
             compiles a folder",
        );
    }
    advisory_sources::print(&sources, SystemClock.now());
    Ok(())
}

fn rows(current: &CurrentAdvisories) -> Vec<FamilyRow> {
    let row = |(family, index): (&String, &AdvisoryFamily)| FamilyRow {
        family: family.clone(),
        index: index.clone(),
    };
    current.families.iter().map(row).collect()
}

fn print(current: &CurrentAdvisories) {
    if current.families.is_empty() {
        return;
    }
    let now = SystemClock.now();
    let mut table =
        Table::new(["FAMILY", "RECORDS", "ADVISORIES", "WITHDRAWN", "PROBLEMS", "SIZE", "NEWEST", "BUILT"]);
    for (family, index) in &current.families {
        let newest = index.newest_modified.map_or_else(String::new, |newest| ago(newest, now));
        let size = DecimalBytes(index.size);
        let [records, advisories, withdrawn, problems] =
            [index.records, index.advisories, index.withdrawn, index.problems].map(number_cell);
        let (family, built) = (cell(family), cell(ago(index.built_at, now)));
        table.row([family, records, advisories, withdrawn, problems, number_cell(size), cell(newest), built]);
    }
    table.print();
}
