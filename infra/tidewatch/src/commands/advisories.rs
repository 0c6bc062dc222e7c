//! `tidewatch advisories`: compiles advisories, puts them in force, looks them up.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use indicatif::DecimalBytes;
use serde::Serialize;
use tidewatch_advisories::{Build, BuildOptions, FAMILIES};
use tidewatch_assessment::store_index;
use tidewatch_core::ports::Clock as _;
use tidewatch_runtime::system::SystemClock;
use tidewatch_store::Records;
use tidewatch_store::records::{AdvisoryFamily, CurrentAdvisories};

use super::Context;
use super::advisory_sources::{self, SourceRow};
use crate::cli::{self, BuildAdvisories, QueryAdvisories};
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
        cli::Advisories::Sync(arguments) => advisory_sources::sync(context, arguments).await,
        cli::Advisories::Query(arguments) => query(context, arguments).await,
        cli::Advisories::Info => info(context).await,
    }
}

async fn build(context: &Context, arguments: BuildAdvisories) -> Result<(), Failure> {
    check_source(&arguments.from)?;
    // What is wrong with a stack is said before the long work. A data folder is opened after it, because other commands
    // wait as long as it is open.
    let opened = match &context.place {
        Place::Folder(_) => None,
        Place::Stack(_) => Some(context.instance().await?),
    };
    let folder = context.build_folder()?;
    let built = compile(&arguments.from, folder.path(), context).await?;
    if built.families.is_empty() {
        return Err(Failure::wrong_use(anyhow::anyhow!(
            "{} holds no ecosystem that is matched",
            arguments.from.display()
        ))
        .hint("the folder must hold Debian/all.zip, Alpine/all.zip or folders of their JSON files"));
    }
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
    for problem in problems.iter().take(10) {
        advise(context.quiet, &format!("not used: {problem}"));
    }
    if problems.len() > 10 {
        advise(context.quiet, &format!("not used: {} more (--format json lists them)", problems.len() - 10));
    }
    advise(
        context.quiet,
        "in force; a running instance matches every known image again within a tick, without asking a registry",
    );
    Ok(())
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
    let source = source.to_owned();
    let options = BuildOptions { output: output.to_owned(), now: SystemClock.now() };
    let built = tokio::task::spawn_blocking(move || {
        let bar = bars.bar("advisories");
        let built = tidewatch_advisories::build(&source, &options, &mut |progress| {
            if progress.done.is_multiple_of(256) || progress.done == progress.total {
                bar.set(progress.done as u64, progress.total as u64);
                bar.say(progress.ecosystem.to_owned());
            }
        });
        bar.finish();
        built
    });
    Ok(built.await??)
}

/// Stores the indexes and puts them in force. Gives everything that could not be used.
async fn publish(records: &Records, built: &Build) -> Result<Vec<String>, Failure> {
    let now = SystemClock.now();
    let mut families = Vec::new();
    let mut problems: Vec<String> = built.problems.iter().map(ToString::to_string).collect();
    for family in &built.families {
        let file = std::fs::read(&family.path).context("failed to read the compiled advisories")?;
        let index = store_index(records, family, file.into(), now).await?;
        problems.extend(family.problems.iter().map(ToString::to_string));
        families.push((family.family.to_owned(), index));
    }
    records.publish_advisories(families).await?;
    Ok(problems)
}

async fn info(context: &Context) -> Result<(), Failure> {
    let instance = context.existing_instance().await?;
    let current = instance.records.current_advisories().await?;
    let sources = advisory_sources::rows(instance.records.advisory_sources().await?);
    if context.is_json() {
        let rows = FamilyRows { families: rows(&current), sources, problems: Vec::new() };
        return print_document("advisories", 1, &rows);
    }
    print(&current);
    if current.families.is_empty() {
        advise(
            context.quiet,
            "there are no advisories in force: tidewatch up --advisories-url URL, or tidewatch advisories build \
             --from DIR",
        );
    }
    advisory_sources::print(&sources, SystemClock.now());
    Ok(())
}

#[derive(Serialize)]
struct QueryRows {
    ecosystem: String,
    package: String,
    #[serde(rename = "advisories")]
    rows: Vec<AdvisoryRow>,
}

#[derive(Serialize)]
struct AdvisoryRow {
    advisory: String,
    /// The vulnerability by all its ids; an advisory about several has a row for each.
    vulnerability: Vec<String>,
    severity: tidewatch_core::Severity,
    /// The versions that fix it, one for each range.
    fixed: Vec<String>,
}

async fn query(context: &Context, arguments: QueryAdvisories) -> Result<(), Failure> {
    let QueryAdvisories { ecosystem, package } = arguments;
    let family =
        FAMILIES.iter().find(|family| family.holds(&ecosystem)).map(|family| family.id).ok_or_else(|| {
            Failure::wrong_use(anyhow::anyhow!("there are no advisories for the ecosystem {ecosystem:?}"))
                .hint("name it with its release, as OSV does: Debian:12, Alpine:v3.19")
        })?;
    let instance = context.existing_instance().await?;
    let current = instance.records.current_advisories().await?;
    let indexes = Arc::new(tidewatch_assessment::AdvisoryIndexes::new(instance.cache()));
    let index = indexes.open_family(&instance.records, family, &current).await?.ok_or_else(|| {
        Failure::new(anyhow::anyhow!("there are no advisories yet for {family}"))
            .hint("compile them: tidewatch advisories build --from DIR")
    })?;
    let rows: Vec<AdvisoryRow> = index
        .query(&ecosystem, &package)?
        .into_iter()
        .flat_map(|advisory| {
            let fixed: Vec<String> = advisory.fixed_versions().map(str::to_owned).collect();
            let id = advisory.id;
            advisory.vulnerabilities.into_iter().map(move |vulnerability| AdvisoryRow {
                advisory: id.clone(),
                vulnerability: vulnerability.ids,
                severity: vulnerability.rating.severity,
                fixed: fixed.clone(),
            })
        })
        .collect();
    if context.is_json() {
        return print_document("advisory-query", 1, &QueryRows { ecosystem, package, rows });
    }
    if rows.is_empty() {
        let covered =
            if index.covers(&ecosystem) { "none is known" } else { "nothing is known of this release" };
        advise(context.quiet, &format!("{ecosystem} {package}: {covered}"));
        return Ok(());
    }
    let mut table = Table::new(["ADVISORY", "VULNERABILITY", "SEVERITY", "FIXED"]);
    for row in rows {
        table.row(
            [row.advisory, row.vulnerability.join(" "), row.severity.to_string(), row.fixed.join(" ")]
                .map(cell),
        );
    }
    table.print();
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
