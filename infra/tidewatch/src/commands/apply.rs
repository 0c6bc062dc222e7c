//! `tidewatch apply`: checks a configuration, shows what it changes, and puts it in force.

mod first_runs;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use comfy_table::Color;
use serde::Serialize;
use tidewatch_core::config::{Config, Credentials, EventsConfig, ExceptionConfig, MetricsConfig};
use tidewatch_core::ports::Clock as _;
use tidewatch_runtime::system::SystemClock;
use tidewatch_store::RecordError;

use super::{Context, no_data};
use crate::cli::Apply;
use crate::config_file::{self, ConfigFileError};
use crate::failure::Failure;
use crate::instance::{Instance, Place};
use crate::output::{Table, advise, cell, print_document};

use first_runs::{FirstRun, estimated, not_asked};

/// One part of the configuration that changes.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Change {
    /// `added`, `changed` or `removed`.
    action: &'static str,
    /// `registry`, `rule`, `policy`, `platforms`, `count_platforms`, `events` or `metrics`.
    kind: &'static str,
    id: String,
}

#[derive(Serialize)]
struct Plan<'a> {
    org: &'a str,
    changes: &'a [Change],
    /// The version that is in force now; none when only planned for a new organisation.
    version: Option<i64>,
    applied: bool,
    /// What the first runs of rules that are new or changed cost.
    first_runs: &'a [FirstRun],
}

pub(super) async fn run(context: &Context, arguments: Apply) -> Result<(), Failure> {
    let config = read(&arguments.file)?;
    if arguments.dry_run
        && let Some(folder) = context.missing_folder()
    {
        advise(context.quiet, &format!("{}: apply makes it", no_data(folder)));
        let changes = changes(None, &config);
        let first_runs = not_asked(&changes);
        let (org, first_runs) = (config.org.as_str(), first_runs.as_slice());
        let plan = Plan { org, changes: &changes, version: None, applied: false, first_runs };
        return report(context, &plan, true);
    }
    let instance = context.instance().await?;
    apply(&instance, &config, (arguments.dry_run, arguments.estimate), context).await
}

/// Puts the configuration of `file` in force.
pub(super) async fn apply_file(instance: &Instance, file: &Path, context: &Context) -> Result<(), Failure> {
    apply(instance, &read(file)?, (false, false), context).await
}

fn read(file: &Path) -> Result<Config, Failure> {
    config_file::read(file).map_err(|error| {
        let hint = match &error {
            ConfigFileError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "nothing was changed; give the file: tidewatch apply FILE (README.md shows one)"
            }
            _ => "nothing was changed; mend the file and apply it again",
        };
        Failure::wrong_use(error).hint(hint)
    })
}

async fn apply(
    instance: &Instance,
    config: &Config,
    (dry_run, estimate): (bool, bool),
    context: &Context,
) -> Result<(), Failure> {
    if let Place::Stack(_) = instance.place {
        check_credentials(config)?;
    }
    let current = instance.records.config(&config.org).await?;
    let changes = changes(current.as_ref().map(|applied| &applied.config), config);
    // Before anything is in force: a rule may begin as soon as it is.
    let first_runs = if estimate {
        estimated(instance, config, current.as_ref(), &changes, context).await
    } else {
        not_asked(&changes)
    };
    let mut version = current.map(|applied| applied.version);
    let new_org = version.is_none();
    let apply = !dry_run && (!changes.is_empty() || new_org);
    if apply {
        let applied = instance.records.apply_config(config, version, SystemClock.now()).await;
        version = Some(applied.map_err(|error| {
            match error {
                RecordError::Changed { .. } => Failure::new(error)
                    .hint("somebody else has applied a configuration just now: look at it, then try again"),
                error => error.into(),
            }
        })?);
    }
    let (org, first_runs) = (config.org.as_str(), first_runs.as_slice());
    let plan = Plan { org, changes: &changes, version, applied: apply, first_runs };
    report(context, &plan, dry_run)
}

/// Refuses credentials that the functions of a stack cannot read: those on the machine of whoever applies them.
fn check_credentials(config: &Config) -> Result<(), Failure> {
    let of_a_machine =
        |credentials: &Credentials| matches!(credentials, Credentials::Env(_) | Credentials::File(_));
    let registries = config.registries.iter();
    let unreadable: Vec<&str> = registries
        .filter(|registry| registry.credentials.as_ref().is_some_and(of_a_machine))
        .map(|registry| registry.id.as_str())
        .collect();
    if unreadable.is_empty() {
        return Ok(());
    }
    Err(Failure::wrong_use(anyhow::anyhow!(
        "a stack cannot read the credentials of {}: {{env: …}} and {{file: …}} are those of one machine",
        unreadable.join(", ")
    ))
    .hint("nothing was changed; keep them in AWS Secrets Manager, and write credentials: {secret: NAME}"))
}

fn report(context: &Context, plan: &Plan<'_>, dry_run: bool) -> Result<(), Failure> {
    if context.is_json() {
        return print_document("apply", 1, plan);
    }
    print(plan.changes);
    for run in plan.first_runs {
        advise(context.quiet, &run.line());
    }
    let org = plan.org;
    let outcome = match (plan.applied, dry_run, plan.version) {
        (true, _, Some(version)) => format!("{org}: in force as version {version}"),
        (_, true, _) => format!("{org}: {} changes, not applied (--dry-run)", plan.changes.len()),
        _ => format!("{org}: nothing has changed"),
    };
    advise(context.quiet, &outcome);
    Ok(())
}

fn print(changes: &[Change]) {
    if changes.is_empty() {
        return;
    }
    let mut table = Table::new(["CHANGE", "KIND", "ID"]);
    for change in changes {
        let color = match change.action {
            "added" => Color::Green,
            "removed" => Color::Red,
            _ => Color::Yellow,
        };
        table.row([cell(change.action).fg(color), cell(change.kind), cell(&change.id)]);
    }
    table.print();
}

/// What differs between the configuration in force and a new one.
fn changes(current: Option<&Config>, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut compare = |kind,
                       old: BTreeMap<String, serde_json::Value>,
                       new: BTreeMap<String, serde_json::Value>| {
        for (id, part) in &new {
            match old.get(id) {
                None => changes.push(Change { action: "added", kind, id: id.clone() }),
                Some(old) if old != part => changes.push(Change { action: "changed", kind, id: id.clone() }),
                Some(_) => {}
            }
        }
        let removed = old.keys().filter(|id| !new.contains_key(*id));
        changes.extend(removed.map(|id| Change { action: "removed", kind, id: id.clone() }));
    };
    for (kind, parts) in PARTS {
        compare(kind, current.map(parts).unwrap_or_default(), parts(new));
    }
    changes
}

type Parts = fn(&Config) -> BTreeMap<String, serde_json::Value>;

/// The parts of a configuration that are compared, by id.
const PARTS: [(&str, Parts); 9] = [
    ("platforms", |config| BTreeMap::from([("platforms".to_owned(), serde_json::json!(config.platforms))])),
    ("count_platforms", |config| {
        let changed = (!config.count_platforms.is_default()).then_some(config.count_platforms);
        changed.into_iter().map(|count| ("count_platforms".to_owned(), serde_json::json!(count))).collect()
    }),
    ("registry", |config| by_id(&config.registries, |registry| registry.id.to_string())),
    ("rule", |config| by_id(&config.rules, |rule| rule.id.to_string())),
    ("policy", |config| by_id(&config.policies, |policy| policy.id.to_string())),
    ("environment", |config| by_id(&config.environments, |environment| environment.id.to_string())),
    ("exception", |config| by_id(&config.exceptions, ExceptionConfig::id)),
    ("events", |config| {
        let changed = (config.events != EventsConfig::default()).then_some(config.events);
        changed.into_iter().map(|events| ("events".to_owned(), serde_json::json!(events))).collect()
    }),
    ("metrics", |config| {
        let changed = (config.metrics != MetricsConfig::default()).then_some(config.metrics);
        changed.into_iter().map(|metrics| ("metrics".to_owned(), serde_json::json!(metrics))).collect()
    }),
];

fn by_id<T: Serialize>(parts: &[T], id: impl Fn(&T) -> String) -> BTreeMap<String, serde_json::Value> {
    parts.iter().map(|part| (id(part), serde_json::json!(part))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(rules: &serde_json::Value) -> Config {
        let registries = json!([{"id": "hub", "kind": "oci", "url": "https://hub.example.com"}]);
        serde_json::from_value(json!({"org": "acme", "registries": registries, "rules": rules})).unwrap()
    }

    #[test]
    fn another_way_of_counting_is_a_change_and_the_default_is_none() {
        let (one, mut all) = (config(&json!([])), config(&json!([])));
        all.count_platforms = tidewatch_core::config::CountPlatforms::All;
        let of = |current: Option<&Config>, new: &Config| {
            let changes = changes(current, new);
            let found = changes.into_iter().filter(|change| change.kind == "count_platforms");
            found.map(|change| change.action).collect::<Vec<_>>()
        };
        assert_eq!((of(Some(&one), &all), of(Some(&all), &one)), (vec!["added"], vec!["removed"]));
        assert_eq!((of(None, &one), of(Some(&all), &all)), (vec![], vec![]));
    }

    #[test]
    fn a_stack_takes_no_credentials_of_this_machine() {
        let with = |credentials: serde_json::Value| {
            let mut config = config(&json!([]));
            config.registries[0].credentials = serde_json::from_value(credentials).unwrap();
            check_credentials(&config)
        };
        for machine in [json!({"env": "LOGIN"}), json!({"file": "/run/login"})] {
            let failure = with(machine).unwrap_err();
            assert!(failure.text().contains("the credentials of hub"), "{}", failure.text());
            assert!(!failure.text().contains("LOGIN"));
        }
        assert!(with(json!(null)).is_ok());
    }

    #[test]
    fn a_plan_names_what_is_added_changed_and_removed() {
        let old = config(&json!([{"id": "a", "registries": ["hub"]}, {"id": "b", "registries": ["hub"]}]));
        let new = config(
            &json!([{"id": "b", "registries": ["hub"], "include": ["x"]}, {"id": "c", "registries": ["hub"]}]),
        );
        let found: Vec<String> =
            changes(Some(&old), &new).iter().map(|c| format!("{} {} {}", c.action, c.kind, c.id)).collect();
        assert_eq!(found, ["changed rule b", "added rule c", "removed rule a"]);
        assert!(changes(Some(&new), &new).is_empty());
    }
}
