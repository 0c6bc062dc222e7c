//! `tidewatch vex`: OpenVEX documents that are in force beside the exceptions of the file, and those exceptions as one.

mod export;

use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde::Serialize;
use tidewatch_core::Digest;
use tidewatch_core::names::OrgName;
use tidewatch_core::ports::Clock as _;
use tidewatch_core::vex::VexDocument;
use tidewatch_inventory::vex;
use tidewatch_runtime::system::SystemClock;
use tidewatch_store::records::{MOST_DOCUMENT_BYTES, NewVex, VexEntry, VexError};

use super::Context;
use crate::cli::{self, AddVex, NamedVex, Org};
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::{Table, advise, ago, cell, number_cell, print_document, write_out};

/// How many digits of its id a document is shown by.
const SHORT: usize = 12;

/// The fewest digits that name one.
const FEWEST: usize = 4;

/// The documents in force.
#[derive(Serialize)]
struct Listed {
    /// The version of what is in force.
    version: i64,
    documents: Vec<Row>,
}

/// What is told of a document.
#[derive(Serialize)]
struct Row {
    /// Its id: 64 hexadecimal digits, the SHA-256 of what it says.
    id: String,
    #[serde(flatten)]
    entry: VexEntry,
}

/// A document.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: Row,
    /// What was read of it.
    content: VexDocument,
}

/// A document that is out of force.
#[derive(Serialize)]
struct Removed {
    /// The version of what is in force.
    version: i64,
    removed: String,
}

pub(super) async fn run(context: &Context, command: cli::Vex) -> Result<(), Failure> {
    match command {
        cli::Vex::Add(arguments) => add(context, arguments).await,
        cli::Vex::List(org) => list(context, org).await,
        cli::Vex::Show(arguments) => show(context, arguments).await,
        cli::Vex::Remove(arguments) => remove(context, arguments).await,
        cli::Vex::Export(arguments) => export::run(context, *arguments).await,
    }
}

async fn open(context: &Context, org: Org) -> Result<(Instance, OrgName), Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(org.org).await?;
    Ok((instance, org))
}

async fn add(context: &Context, arguments: AddVex) -> Result<(), Failure> {
    let new = arguments.files.iter().map(|file| read(file, context)).collect::<Result<Vec<_>, _>>()?;
    let (instance, org) = open(context, arguments.org).await?;
    let added = instance.records.add_vex(&org, &new, SystemClock.now()).await;
    let version = added.map_err(|error| match error {
        VexError::Record(error) => Failure::new(error),
        error => {
            Failure::wrong_use(error).hint("nothing was changed; take some away: tidewatch vex remove ID")
        }
    })?;
    let ids: Vec<Digest> = new.iter().map(|new| new.document.digest()).collect();
    let mut entries = instance.records.vex_entries(&org).await?;
    entries.retain(|entry| ids.contains(&entry.digest));
    told(context, version, entries)?;
    advise(context.quiet, &format!("{org}: in force as version {version}{}", judged(&instance)));
    Ok(())
}

/// Reads a document; what of it cannot be used is told. One that says nothing of any product is refused.
fn read(file: &Path, context: &Context) -> Result<NewVex, Failure> {
    let name = file.display();
    let refused = |error: anyhow::Error| {
        Failure::wrong_use(error.context(format!("failed to read {name}"))).hint("nothing was changed")
    };
    let text = std::fs::read_to_string(file).map_err(|error| refused(error.into()))?;
    if text.len() > MOST_DOCUMENT_BYTES {
        return Err(refused(anyhow!("it has {} bytes: at most {MOST_DOCUMENT_BYTES} are taken", text.len())));
    }
    let read = vex::read(text.as_bytes()).map_err(|error| refused(error.into()))?;
    for problem in &read.problems {
        advise(context.quiet, &format!("{name}: {problem}"));
    }
    let document = read.document;
    if !document.statements.iter().any(|statement| !statement.products.is_empty()) {
        return Err(refused(anyhow!("none of its statements names a product")));
    }
    let file = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    Ok(NewVex { document, text, file })
}

async fn list(context: &Context, org: Org) -> Result<(), Failure> {
    let (instance, org) = open(context, org).await?;
    let entries = instance.records.vex_entries(&org).await?;
    let version = instance.records.config(&org).await?.map_or(0, |applied| applied.version);
    if entries.is_empty() && !context.is_json() {
        advise(context.quiet, "there are no documents; put some in force: tidewatch vex add FILE");
        return Ok(());
    }
    told(context, version, entries)
}

/// Tells of these documents.
fn told(context: &Context, version: i64, entries: Vec<VexEntry>) -> Result<(), Failure> {
    if context.is_json() {
        let documents = entries.into_iter().map(Row::from).collect();
        return print_document("vex", 1, &Listed { version, documents });
    }
    let now = SystemClock.now();
    let mut table = Table::new(["ID", "DOCUMENT", "AUTHOR", "STATEMENTS", "FILE", "ADDED"]);
    for entry in entries {
        table.row([
            cell(short(&entry.digest)),
            cell(&entry.document),
            cell(&entry.author),
            number_cell(entry.statements),
            cell(&entry.file),
            cell(ago(entry.added_at, now)),
        ]);
    }
    table.print();
    Ok(())
}

async fn show(context: &Context, arguments: NamedVex) -> Result<(), Failure> {
    let (instance, org) = open(context, arguments.org).await?;
    let entry = named(&instance, &org, &arguments.id).await?;
    let stored = instance.records.vex(&org, &entry.digest).await?.context("the document is not there")?;
    if context.is_json() {
        return print_document("vex", 1, &Shown { row: entry.into(), content: stored.document });
    }
    write_out(&(stored.text.trim_end().to_owned() + "\n"))
}

async fn remove(context: &Context, arguments: NamedVex) -> Result<(), Failure> {
    let (instance, org) = open(context, arguments.org).await?;
    let entry = named(&instance, &org, &arguments.id).await?;
    let removed = instance.records.remove_vex(&org, &entry.digest, SystemClock.now()).await?;
    // Somebody else may have come first.
    let version = match removed {
        Some(version) => version,
        None => instance.records.config(&org).await?.map_or(0, |applied| applied.version),
    };
    let removed = entry.digest.hex();
    if context.is_json() {
        return print_document("vex", 1, &Removed { version, removed });
    }
    let (shown, judged) = (short(&entry.digest), judged(&instance));
    advise(context.quiet, &format!("{shown} is gone: in force as version {version}{judged}"));
    Ok(())
}

/// What becomes of the images.
const fn judged(instance: &Instance) -> &'static str {
    if instance.is_running {
        "; all images are judged again"
    } else {
        "; all images are judged again once local mode runs: tidewatch up"
    }
}

/// The document in force whose id begins with `id`.
async fn named(instance: &Instance, org: &OrgName, id: &str) -> Result<VexEntry, Failure> {
    let wanted = id.strip_prefix("sha256:").unwrap_or(id).to_ascii_lowercase();
    let entries = instance.records.vex_entries(org).await?;
    let mut found = entries.into_iter().filter(|entry| {
        (wanted.len() >= FEWEST && entry.digest.hex().starts_with(&wanted)) || entry.document == id
    });
    let reason = match (found.next(), found.next()) {
        (Some(entry), None) => return Ok(entry),
        (Some(_), Some(_)) => format!("several documents are meant by {id:?}: give more of the id"),
        (None, _) => format!("no document in force is named {id:?}, by {FEWEST} digits or more"),
    };
    Err(Failure::wrong_use(anyhow!(reason)).hint("list them: tidewatch vex list"))
}

fn short(digest: &Digest) -> String {
    digest.hex().chars().take(SHORT).collect()
}

impl From<VexEntry> for Row {
    fn from(entry: VexEntry) -> Self {
        Self { id: entry.digest.hex(), entry }
    }
}
