//! `tidewatch env`: environments, and the images that somebody has put into them.

use std::collections::BTreeMap;

use anyhow::anyhow;
use jiff::Timestamp;
use serde::Serialize;
use tidewatch_core::config::{Config, EnvironmentConfig};
use tidewatch_core::environment::{EnvironmentEntry, EnvironmentTarget, ImageReference};
use tidewatch_core::image::Image;
use tidewatch_core::names::{OrgName, StreamName};
use tidewatch_core::ports::Clock as _;
use tidewatch_core::result::ResultState;
use tidewatch_runtime::system::SystemClock;

use super::Context;
use crate::cli::{self, AddEnv, Org, RemoveEnv, SetEnv, ShowEnv};
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::{Table, advise, ago, cell, number_cell, print_document};

/// An environment in a list.
#[derive(Serialize)]
struct Row {
    name: StreamName,
    /// `file` when the configuration gives its images, else `command`.
    belongs_to: &'static str,
    images: usize,
    /// Images that have no result yet, or whose entry is not pinned.
    pending: usize,
}

#[derive(Serialize)]
struct Environments {
    environments: Vec<Row>,
}

/// An image of an environment.
#[derive(Serialize)]
struct Entry {
    reference: ImageReference,
    kept: bool,
    follows: bool,
    added_at: Timestamp,
    /// The image that it is pinned to, on the platform that the gauges count.
    digest: Option<String>,
    platform: Option<String>,
    state: ResultState,
    vulnerabilities: u64,
    /// Whether the tag points elsewhere by now; `null` when nobody lists it.
    moved: Option<bool>,
    /// Why it is not pinned to what the reference means.
    problem: Option<String>,
}

#[derive(Serialize)]
struct Environment {
    name: StreamName,
    images: Vec<Entry>,
}

/// The instance, and what is configured in it.
struct Opened {
    instance: Instance,
    org: OrgName,
    config: Config,
}

impl Opened {
    async fn open(context: &Context, org: Org) -> Result<Self, Failure> {
        let instance = context.existing_instance().await?;
        let org = instance.org(org.org).await?;
        let applied = instance.records.config(&org).await?;
        let config = applied.map(|applied| applied.config).ok_or_else(|| {
            Failure::wrong_use(anyhow!("there is no configuration of {org}"))
                .hint("put one in force: tidewatch apply tidewatch.yaml")
        })?;
        Ok(Self { instance, org, config })
    }

    fn of_file(&self, name: &StreamName) -> Option<&EnvironmentConfig> {
        self.config.environments.iter().find(|environment| environment.id == *name)
    }

    /// Refuses an environment whose images the file gives, and names that are none.
    fn check_ours(&self, name: &StreamName) -> Result<(), Failure> {
        if *name == StreamName::latest_indexed() {
            return Err(Failure::wrong_use(anyhow!("{name} is always there, and no environment")));
        }
        if self.of_file(name).is_some_and(|environment| environment.images.is_some()) {
            return Err(Failure::wrong_use(anyhow!(
                "the environment {name} belongs to the configuration file"
            ))
            .hint("change its `images` there: tidewatch apply tidewatch.yaml"));
        }
        Ok(())
    }

    /// Refuses images of registries that are not there.
    fn check_registries(&self, images: &[ImageReference]) -> Result<(), Failure> {
        let known = || self.config.registries.iter().map(|registry| registry.id.as_str());
        match images.iter().find(|image| self.config.registry(&image.registry).is_none()) {
            Some(image) => Err(Failure::wrong_use(anyhow!("no registry has the id {:?}", image.registry))
                .hint(format!("there are: {}", known().collect::<Vec<_>>().join(", ")))),
            None => Ok(()),
        }
    }

    async fn check_there(&self, name: &StreamName) -> Result<(), Failure> {
        let streams = self.instance.records.streams(&self.org, &self.config).await?;
        if streams.names.contains(name) && *name != StreamName::latest_indexed() {
            return Ok(());
        }
        Err(Failure::wrong_use(anyhow!("{} has no environment {name}", self.org))
            .hint("list them: tidewatch env list"))
    }
}

/// Entries for these images, put there now.
fn wanted(images: Vec<ImageReference>, kept: bool, follows: bool) -> Vec<EnvironmentEntry> {
    let now = SystemClock.now();
    let entry = |image| EnvironmentEntry { kept, follows, ..EnvironmentEntry::new(image, now) };
    images.into_iter().map(entry).collect()
}

pub(super) async fn run(context: &Context, command: cli::Env) -> Result<(), Failure> {
    match command {
        cli::Env::List(org) => list(context, org).await,
        cli::Env::Show(arguments) => show(context, arguments).await,
        cli::Env::Add(arguments) => add(context, arguments).await,
        cli::Env::Set(arguments) => set(context, arguments).await,
        cli::Env::Remove(arguments) => remove(context, arguments).await,
        cli::Env::Delete(arguments) => delete(context, arguments).await,
    }
}

async fn list(context: &Context, org: Org) -> Result<(), Failure> {
    let opened = Opened::open(context, org).await?;
    let streams = opened.instance.records.streams(&opened.org, &opened.config).await?;
    let mut environments = Vec::new();
    for name in streams.names.into_iter().filter(|name| *name != StreamName::latest_indexed()) {
        let images = images(&opened, &name).await?;
        let pending = images.iter().filter(|image| image.state == ResultState::Pending).count();
        let is_of_file = opened.of_file(&name).is_some_and(|environment| environment.images.is_some());
        let belongs_to = if is_of_file { "file" } else { "command" };
        environments.push(Row { name, belongs_to, images: images.len(), pending });
    }
    if context.is_json() {
        return print_document("environments", 1, &Environments { environments });
    }
    if environments.is_empty() {
        advise(context.quiet, "there are no environments; make one: tidewatch env add production IMAGE");
        return Ok(());
    }
    let mut table = Table::new(["ENVIRONMENT", "BELONGS TO", "IMAGES", "PENDING"]);
    for row in &environments {
        let [images, pending] = [row.images, row.pending].map(|count| number_cell(count as u64));
        table.row([cell(row.name.as_str()), cell(row.belongs_to), images, pending]);
    }
    table.print();
    Ok(())
}

async fn show(context: &Context, arguments: ShowEnv) -> Result<(), Failure> {
    let opened = Opened::open(context, arguments.org).await?;
    opened.check_there(&arguments.name).await?;
    let images = images(&opened, &arguments.name).await?;
    let name = arguments.name;
    if context.is_json() {
        return print_document("environment", 1, &Environment { name, images });
    }
    let now = SystemClock.now();
    let mut table = Table::new(["IMAGE", "DIGEST", "STATE", "VULNERABILITIES", "ADDED", "NOTE"]);
    for image in &images {
        let digest = image.digest.as_deref().map_or("-", |digest| digest.get(..19).unwrap_or(digest));
        let mut notes = Vec::new();
        notes.extend(image.problem.clone());
        notes.extend((image.moved == Some(true)).then(|| "its tag points elsewhere by now".to_owned()));
        notes.extend(image.follows.then(|| "follows its tag".to_owned()));
        table.row([
            cell(image.reference.to_string()),
            cell(digest),
            cell(image.state.as_str()),
            number_cell(image.vulnerabilities),
            cell(ago(image.added_at, now)),
            cell(notes.join("; ")),
        ]);
    }
    table.print();
    Ok(())
}

/// The entries of an environment, with what is known of their images.
async fn images(opened: &Opened, name: &StreamName) -> Result<Vec<Entry>, Failure> {
    let Opened { instance, org, .. } = opened;
    let entries = instance.records.entries(org, name).await?;
    let ids: Vec<_> = entries.iter().filter_map(|entry| entry.image().map(Image::id)).collect();
    let mut results = BTreeMap::new();
    for (id, stored) in ids.iter().zip(instance.records.results(org, &ids).await?) {
        results.insert(id.clone(), stored?);
    }
    let mut images = Vec::with_capacity(entries.len());
    for entry in entries {
        let moved = moved(instance, org, &entry).await?;
        let image = entry.image();
        let result = image.and_then(|image| results.get(&image.id())?.as_ref()).map(|stored| &stored.result);
        images.push(Entry {
            kept: entry.kept,
            follows: entry.follows,
            added_at: entry.added_at,
            digest: image.map(|image| image.digest.to_string()),
            platform: image.map(|image| image.platform.to_string()),
            state: result.map_or(ResultState::Pending, |result| result.state),
            vulnerabilities: result.map_or(0, |result| result.severities.total()),
            moved,
            problem: entry.problem.clone(),
            reference: entry.reference,
        });
    }
    Ok(images)
}

/// Whether the tag of an entry points elsewhere than when it was pinned, by what was last seen of it.
async fn moved(
    instance: &Instance,
    org: &OrgName,
    entry: &EnvironmentEntry,
) -> Result<Option<bool>, Failure> {
    let (Some(pinned), Some(tag), None) = (&entry.pinned, &entry.reference.tag, &entry.reference.digest)
    else {
        return Ok(None);
    };
    let ImageReference { registry, repository, .. } = &entry.reference;
    let seen = instance.records.tag(org, registry, repository, tag).await?;
    Ok(seen.map(|seen| seen.digest != pinned.resolved))
}

async fn add(context: &Context, arguments: AddEnv) -> Result<(), Failure> {
    let AddEnv { name, images, keep, follow, org } = arguments;
    let opened = Opened::open(context, org).await?;
    opened.check_ours(&name)?;
    opened.check_registries(&images)?;
    let Opened { instance, org, .. } = &opened;
    instance.records.note_environment(org, &name, true).await?;
    let entries = wanted(images, keep, follow);
    instance.evaluate_rules().add_entries(org, &name, &entries).await?;
    told(context, &opened, &name).await
}

async fn set(context: &Context, arguments: SetEnv) -> Result<(), Failure> {
    let SetEnv { name, images, follow, org } = arguments;
    let opened = Opened::open(context, org).await?;
    opened.check_ours(&name)?;
    opened.check_registries(&images)?;
    let Opened { instance, org, .. } = &opened;
    instance.records.note_environment(org, &name, true).await?;
    let entries = wanted(images, false, follow);
    instance.evaluate_rules().set_entries(org, &name, &entries).await?;
    told(context, &opened, &name).await
}

async fn remove(context: &Context, arguments: RemoveEnv) -> Result<(), Failure> {
    let RemoveEnv { name, images, org } = arguments;
    let opened = Opened::open(context, org).await?;
    opened.check_ours(&name)?;
    opened.check_there(&name).await?;
    let Opened { instance, org, .. } = &opened;
    let entries = instance.records.entries(org, &name).await?;
    for wanted in &images {
        let removed: Vec<_> = entries.iter().filter(|entry| is_meant(wanted, entry)).collect();
        if removed.is_empty() {
            return Err(Failure::wrong_use(anyhow!("{wanted} is not in the environment {name}"))
                .hint(format!("see what is: tidewatch env show {name}")));
        }
        for entry in removed {
            let target = EnvironmentTarget { stream: name.clone(), entry: entry.id() };
            instance.records.remove_entry(org, &target, entry, SystemClock.now()).await?;
        }
    }
    told(context, &opened, &name).await
}

/// Whether `wanted` is the repository of an entry, its reference, or either with the digest that it is pinned to.
fn is_meant(wanted: &str, entry: &EnvironmentEntry) -> bool {
    let ImageReference { registry, repository, tag, .. } = &entry.reference;
    let name = format!("{registry}/{repository}");
    let tagged = tag.as_ref().map(|tag| format!("{name}:{tag}"));
    let digest = entry.image().map(|image| image.digest);
    let by_digest = digest.map(|digest| format!("{name}@{digest}"));
    *wanted == name
        || *wanted == entry.reference.to_string()
        || tagged.as_deref() == Some(wanted)
        || by_digest.as_deref() == Some(wanted)
}

async fn delete(context: &Context, arguments: ShowEnv) -> Result<(), Failure> {
    let opened = Opened::open(context, arguments.org).await?;
    let name = arguments.name;
    opened.check_ours(&name)?;
    opened.check_there(&name).await?;
    let Opened { instance, org, .. } = &opened;
    instance.evaluate_rules().set_entries(org, &name, &[]).await?;
    instance.records.note_environment(org, &name, false).await?;
    if opened.of_file(&name).is_some() {
        let note = format!("{name} is empty now; it is still named in the configuration file");
        advise(context.quiet, &note);
    } else {
        advise(context.quiet, &format!("{name} is gone"));
    }
    Ok(())
}

/// Tells what is in an environment now.
async fn told(context: &Context, opened: &Opened, name: &StreamName) -> Result<(), Failure> {
    let images = images(opened, name).await?;
    if context.is_json() {
        return print_document("environment", 1, &Environment { name: name.clone(), images });
    }
    let waiting = images.iter().filter(|image| image.digest.is_none()).count();
    let rest = match (waiting, opened.instance.is_running) {
        (0, _) => String::new(),
        (_, true) => format!("; of {waiting} the registry is asked: tidewatch env show {name}"),
        (_, false) => format!("; of {waiting} the registry is asked once local mode runs: tidewatch up"),
    };
    let note = format!("{name} has {} images{rest}", images.len());
    advise(context.quiet, &note);
    Ok(())
}
