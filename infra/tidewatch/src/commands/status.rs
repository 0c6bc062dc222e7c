//! `tidewatch status`: how things stand with an organisation.

mod queues;
mod registries;

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Serialize;
use tidewatch_core::names::{OrgName, RegistryId, StreamName};
use tidewatch_core::ports::Clock as _;
use tidewatch_core::result::ResultState;
use tidewatch_runtime::system::SystemClock;
use tidewatch_store::records::{AdvisoryStanding, AppliedConfig, PartState, SnapshotHead, SwitchProgress};

use super::Context;
use crate::cli::Org;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::{Table, ago, cell, number_cell, print_document, print_line};

use queues::{QueueRow, queues};
use registries::{RegistryRow, registries};

#[derive(Serialize)]
struct Document {
    org: OrgName,
    /// Whether work is done.
    running: bool,
    /// The version of what is in force: of configuration and VEX documents.
    version: i64,
    applied_at: Timestamp,
    /// VEX documents in force.
    vex_documents: usize,
    judging: Judging,
    advisories: Advisories,
    /// `null` before the first roll-up.
    snapshot: Option<SnapshotRow>,
    streams: Vec<StreamRow>,
    /// By id.
    registries: BTreeMap<RegistryId, RegistryRow>,
    /// By name.
    queues: BTreeMap<&'static str, QueueRow>,
}

/// How far images are judged by what is in force.
#[derive(Serialize)]
struct Judging {
    progress: Progress,
    /// Messages that are done, and all of them; `null` while they are not sent, or are forgotten.
    done: Option<u32>,
    of: Option<u32>,
    /// When they were sent.
    since: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Progress {
    /// All images are judged by what is in force.
    Done,
    /// Images are being judged anew.
    Judging,
    /// Nobody has sent for the images yet.
    Waiting,
}

#[derive(Serialize)]
struct Advisories {
    families: Vec<FamilyRow>,
    sources: Vec<SourceRow>,
    /// Rows that cannot be read.
    unreadable: usize,
}

#[derive(Serialize)]
struct FamilyRow {
    family: String,
    advisories: u64,
    built_at: Timestamp,
    /// When the newest of its records was changed.
    newest_modified: Option<Timestamp>,
}

#[derive(Serialize)]
struct SourceRow {
    source: String,
    checked_at: Option<Timestamp>,
    changed_at: Option<Timestamp>,
    /// Why the last try failed.
    error: Option<String>,
}

#[derive(Serialize)]
struct SnapshotRow {
    /// The version of what was in force when it was made.
    version: i64,
    number: i64,
    made_at: Timestamp,
    /// When a roll-up last found it right.
    checked_at: Timestamp,
}

#[derive(Serialize)]
struct StreamRow {
    stream: StreamName,
    images: u64,
    /// Images by state; every state stands here.
    states: BTreeMap<ResultState, u64>,
}

pub(super) async fn run(context: &Context, org: Org) -> Result<(), Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(org.org).await?;
    let now = SystemClock.now();
    let document = read(&instance, org, now).await?;
    if context.is_json() {
        return print_document("status", 1, &document);
    }
    print(&document, now);
    Ok(())
}

async fn read(instance: &Instance, org: OrgName, now: Timestamp) -> Result<Document, Failure> {
    let records = &instance.records;
    let applied =
        records.config(&org).await?.with_context(|| format!("there is no configuration of {org}"))?;
    let judging = judging(instance, &org, &applied, now).await?;
    let advisories = advisories(records.advisory_standing().await?);
    let snapshot = records.snapshot_head(&org).await?.map(SnapshotRow::from);
    let names = records.streams(&org, &applied.config).await?.names;
    let groups = records.groups(&org, &names).await?;
    let streams = names.into_iter().zip(groups).map(|(stream, groups)| {
        let totals = PartState::sum(&groups);
        let state = |state| (state, totals.states.get(&state).copied().unwrap_or(0));
        StreamRow { stream, images: totals.images, states: ResultState::ALL.map(state).into() }
    });
    Ok(Document {
        running: instance.is_running,
        version: applied.version,
        applied_at: applied.applied_at,
        vex_documents: applied.vex.len(),
        judging,
        advisories,
        snapshot,
        streams: streams.collect(),
        registries: registries(instance, &applied.config, now).await?,
        queues: queues(instance).await,
        org,
    })
}

async fn judging(
    instance: &Instance,
    org: &OrgName,
    applied: &AppliedConfig,
    now: Timestamp,
) -> Result<Judging, Failure> {
    let records = &instance.records;
    let basis = records.basis(applied, now).await?;
    let covered = records.postings(org).await?.and_then(|stored| stored.postings.covered);
    let switch = records.switch(org).await?.filter(|switch| switch.judging == basis.judging);
    let since = switch.map(|switch| switch.sent_at);
    if switch.is_none_or(|switch| switch.is_forgotten(now)) {
        // Nothing is noted of a switch of long ago, nor of one that is not sent for.
        let is_sent = covered.is_some_and(|covered| covered.judging == basis.judging);
        let progress = if is_sent { Progress::Done } else { Progress::Waiting };
        return Ok(Judging { progress, done: None, of: None, since });
    }
    let found = records.switch_progress(org, &basis.judging).await?;
    let (done, of) = found.map(|progress| (progress.done, progress.parts)).unzip();
    let is_done = found.is_some_and(SwitchProgress::is_done);
    Ok(Judging { progress: if is_done { Progress::Done } else { Progress::Judging }, done, of, since })
}

fn advisories(standing: AdvisoryStanding) -> Advisories {
    let families = standing.families.into_iter().map(|(family, index)| FamilyRow {
        family,
        advisories: index.advisories,
        built_at: index.built_at,
        newest_modified: index.newest_modified,
    });
    let sources = standing.sources.into_iter().map(|(source, known)| SourceRow {
        source,
        checked_at: known.checked_at,
        changed_at: known.changed_at,
        error: known.error.map(|error| error.reason),
    });
    Advisories {
        families: families.collect(),
        sources: sources.collect(),
        unreadable: standing.unreadable.len(),
    }
}

impl From<SnapshotHead> for SnapshotRow {
    fn from(head: SnapshotHead) -> Self {
        let SnapshotHead { config_version, number, made_at, checked_at, .. } = head;
        Self { version: config_version, number, made_at, checked_at }
    }
}

fn print(document: &Document, now: Timestamp) {
    let Document { org, version, applied_at, vex_documents, snapshot, advisories, .. } = document;
    let running = if document.running { "" } else { "; nothing is running: tidewatch up" };
    print_line(&format!("{org}{running}"));
    print_line(&format!(
        "in force: version {version}, since {}; {vex_documents} VEX documents",
        ago(*applied_at, now)
    ));
    print_line(&format!("judged: {}", document.judging.words()));
    print_line(&match snapshot {
        None => "numbers: none are served yet".to_owned(),
        Some(snapshot) => format!(
            "numbers: snapshot {} of version {}, made {}, found right {}",
            snapshot.number,
            snapshot.version,
            ago(snapshot.made_at, now),
            ago(snapshot.checked_at, now)
        ),
    });
    if advisories.unreadable > 0 {
        print_line(&format!("advisories: {} rows cannot be read", advisories.unreadable));
    }
    registries::print(&document.registries, now);
    print_streams(&document.streams);
    print_advisories(advisories, now);
    queues::print(&document.queues);
}

impl Judging {
    fn words(&self) -> String {
        match (self.progress, self.done, self.of) {
            (Progress::Done, ..) => "all images, by what is in force".to_owned(),
            (Progress::Judging, Some(done), Some(of)) => {
                format!("{done} of {of} messages are done; the numbers of before are served until then")
            }
            (Progress::Judging | Progress::Waiting, ..) => {
                "images wait to be sent for; the numbers of before are served until then".to_owned()
            }
        }
    }
}

fn print_streams(streams: &[StreamRow]) {
    print_line("");
    let mut table =
        Table::new(["STREAM", "IMAGES", "SCANNED", "PARTIAL", "UNSUPPORTED", "EOL", "FAILED", "PENDING"]);
    for row in streams {
        let states = ResultState::ALL.map(|state| row.states.get(&state).copied().unwrap_or(0));
        let counts = [row.images].into_iter().chain(states).map(number_cell);
        table.row([cell(row.stream.as_str())].into_iter().chain(counts));
    }
    table.print();
}

fn print_advisories(advisories: &Advisories, now: Timestamp) {
    let time = |time: Option<Timestamp>| cell(time.map_or_else(|| "-".to_owned(), |time| ago(time, now)));
    if !advisories.families.is_empty() {
        print_line("");
        let mut table = Table::new(["ADVISORIES", "NUMBER", "BUILT", "NEWEST"]);
        for row in &advisories.families {
            let (built, newest) = (time(Some(row.built_at)), time(row.newest_modified));
            table.row([cell(&row.family), number_cell(row.advisories), built, newest]);
        }
        table.print();
    }
    if !advisories.sources.is_empty() {
        print_line("");
        let mut table = Table::new(["SOURCE", "CHECKED", "CHANGED", "ERROR"]);
        for row in &advisories.sources {
            let error = row.error.as_deref().unwrap_or("");
            table.row([cell(&row.source), time(row.checked_at), time(row.changed_at), cell(error)]);
        }
        table.print();
    }
}
