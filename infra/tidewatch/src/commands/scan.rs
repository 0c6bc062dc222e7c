//! `tidewatch scan`: one image, now, with nothing kept.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;
use tidewatch_advisories::{Index, IndexSet, Memos, families_for};
use tidewatch_assessment::{AdvisoryIndexes, Against, Assessment, Subject, assess};
use tidewatch_core::Digest;
use tidewatch_core::finding::Finding;
use tidewatch_core::image::Platform;
use tidewatch_core::judgement::Criteria;
use tidewatch_core::metadata::ImageMetadata;
use tidewatch_core::policy::Outcome;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::problem::Problem;
use tidewatch_core::result::{Inventory, ResultState};
use tidewatch_core::severity::{Severity, SeverityCounts};
use tidewatch_core::tables::Tables;
use tidewatch_runtime::system::SystemClock;
use tidewatch_store::records::CurrentAdvisories;

use super::{Context, advisories};
use crate::cli::Scan;
use crate::failure::{Failure, exit};
use crate::local;
use crate::output::{Table, advise, cell, print_document, print_line};
use crate::source;

#[derive(Serialize)]
struct Document<'a> {
    reference: &'a str,
    digest: Option<Digest>,
    platform: Option<&'a Platform>,
    state: ResultState,
    reason: Option<&'a str>,
    distribution: Option<&'a str>,
    packages: u64,
    vulnerabilities: SeverityCounts,
    findings: &'a [Finding],
    policies:
        &'a std::collections::BTreeMap<tidewatch_core::names::PolicyId, tidewatch_core::policy::Evaluation>,
    problems: Vec<&'a Problem>,
}

pub(super) async fn run(context: &Context, arguments: Scan) -> Result<ExitCode, Failure> {
    // Refused before anything is pulled.
    context.place.folder()?;
    if let Some(source) = &arguments.advisories {
        advisories::check_source(source)?;
    }
    let read = source::read(context.quiet, &arguments.image).await?;
    let config = source::config_of(&arguments.image.platform)?;
    let (digest, platform) = (read.digest, read.platform);
    let said = read.said;
    let metadata = ImageMetadata::of(said.clone(), read.inventory.vex.clone()).or_only_image(said.as_ref());
    let inventory = Inventory::from(read.inventory);
    let Advisories { indexes, current, tables } = advisories(context, &arguments, &inventory).await?;
    let (memos, criteria) = (Memos::default(), Criteria::new(&config, Vec::new()));
    let (advisories, tables) = (&current, &*tables);
    let against = Against { indexes: &indexes, memos: &memos, advisories, criteria: &criteria, tables };
    let subject = Subject { digest, inventory, metadata };
    let assessment = assess(subject, against, SystemClock.now())?;
    print(context, &arguments, (digest, platform.as_ref()), &assessment)?;
    Ok(if meets_condition(&arguments, &assessment) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::CONDITION_NOT_MET)
    })
}

/// Whether the image meets `--fail-on`. One of which not everything is known does not.
fn meets_condition(arguments: &Scan, assessment: &Assessment) -> bool {
    let Some(limit) = arguments.fail_on else { return true };
    let state = assessment.result.state;
    if assessment.report.findings.iter().any(|finding| finding.severity <= limit) {
        return false;
    }
    if state != ResultState::Scanned {
        advise(
            false,
            &format!("--fail-on: the image is {state}, so it cannot be told; that counts as failed"),
        );
    }
    state == ResultState::Scanned
}

/// What an image is matched against and judged by.
#[derive(Default)]
struct Advisories {
    indexes: IndexSet,
    current: CurrentAdvisories,
    tables: Arc<Tables>,
}

/// The indexes that the image needs, and the tables: compiled now from the folder that was given, or those of the data
/// folder.
async fn advisories(
    context: &Context,
    arguments: &Scan,
    inventory: &Inventory,
) -> Result<Advisories, Failure> {
    if let Some(source) = &arguments.advisories {
        let folder = tempfile::tempdir().context("failed to make a temporary folder")?;
        let built = advisories::compile(source, folder.path(), context).await?;
        let now = SystemClock.now();
        let (mut indexes, mut current) = (IndexSet::default(), CurrentAdvisories::default());
        for family in &built.families {
            indexes.insert(Arc::new(Index::open(&family.path)?));
            current
                .families
                .insert(family.family.to_owned(), tidewatch_assessment::index_record(family, now));
        }
        return Ok(Advisories { indexes, current, tables: Arc::new(built.tables) });
    }
    if !local::exists(context.place.folder()?) {
        advise(context.quiet, "there are no advisories: give a folder by --advisories, or build them first");
        return Ok(Advisories::default());
    }
    let instance = context.instance().await?;
    let current = instance.records.current_advisories().await?;
    let opened = AdvisoryIndexes::new(instance.cache()).open(&instance.records, inventory, &current).await?;
    let needed = families_for(inventory.distribution.as_ref(), &inventory.packages);
    if needed.iter().any(|family| current.hash(family).is_none()) {
        advise(
            context.quiet,
            "advisories are missing: tidewatch advisories build --from DIR, or --advisories DIR",
        );
    }
    let tables = instance.records.tables(&current).await?;
    Ok(Advisories { indexes: opened, current, tables })
}

fn print(
    context: &Context,
    arguments: &Scan,
    (digest, platform): (Option<Digest>, Option<&Platform>),
    assessment: &Assessment,
) -> Result<(), Failure> {
    let Assessment { result, report, .. } = assessment;
    if context.is_json() {
        let document = Document {
            reference: &arguments.image.reference,
            digest,
            platform,
            state: result.state,
            reason: result.reason.as_deref(),
            distribution: result.distribution.as_deref(),
            packages: result.packages,
            vulnerabilities: result.severities,
            findings: &report.findings,
            policies: &report.policies,
            problems: assessment.problems().collect(),
        };
        return print_document("scan", 1, &document);
    }
    if !report.findings.is_empty() {
        let mut table =
            Table::new(["VULNERABILITY", "SEVERITY", "PACKAGE", "INSTALLED", "FIXED", "EXPLOITED"]);
        for finding in &report.findings {
            table.row([
                cell(&finding.vulnerability),
                crate::output::severity_word_cell(finding.severity),
                cell(&finding.package),
                cell(&finding.version),
                cell(finding.fixed_version.as_deref().unwrap_or_default()),
                cell(finding.known_exploited.map(|day| format!("since {day}")).unwrap_or_default()),
            ]);
        }
        table.print();
    }
    let distribution = result.distribution.as_deref().unwrap_or("no distribution");
    let counts: Vec<String> = Severity::ALL
        .into_iter()
        .map(|severity| format!("{} {}", result.severities.of(severity), severity.as_str().to_lowercase()))
        .collect();
    print_line(&format!(
        "{distribution}: {} packages, {} known vulnerabilities ({})",
        result.packages,
        result.severities.total(),
        counts.join(", ")
    ));
    print_line(&format!(
        "state: {}{}",
        result.state,
        result.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"))
    ));
    for (id, evaluation) in &report.policies {
        let because = match evaluation.outcome {
            Outcome::Fail => format!(", by {} rows", evaluation.failing.len()),
            _ => evaluation.reason.as_ref().map_or_else(String::new, |reason| format!(", because {reason}")),
        };
        print_line(&format!("policy {id}: {}{because}", evaluation.outcome.as_str()));
    }
    Ok(())
}
