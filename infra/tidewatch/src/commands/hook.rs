//! `tidewatch hook`: makes, lists, rotates and revokes the hooks by which registries tell of pushes.

mod senders;

use jiff::Timestamp;
use serde::Serialize;
use tidewatch_core::config::RegistryConfig;
use tidewatch_core::hook::{HookId, HookKind, HookRecord, HookSecret};
use tidewatch_core::names::{OrgName, RegistryId};
use tidewatch_core::ports::Clock as _;
use tidewatch_runtime::system::{SystemClock, SystemRandomness};

use super::Context;
use crate::cli::{self, CreateHook, HookKindName, Org, RevokeHook, RotateHook};
use crate::failure::Failure;
use crate::instance::Instance;
use crate::output::{Table, advise, ago, cell, print_document};

use senders::{instructions, sender_of};

/// A hook as it is shown: never its secrets.
#[derive(Serialize)]
struct Row {
    id: String,
    org: String,
    registry: String,
    kind: &'static str,
    /// Where it takes notifications, from the root on.
    path: String,
    /// How many secrets are good.
    secrets: usize,
    created_at: Timestamp,
    revoked_at: Option<Timestamp>,
    /// Whether its calls are taken.
    valid: bool,
}

#[derive(Serialize)]
struct Hooks {
    hooks: Vec<Row>,
}

/// A hook with its new secret.
#[derive(Serialize)]
struct Revealed {
    /// The path alone when it is not known where Tidewatch is reached.
    url: String,
    /// Shown this once.
    secret: String,
    /// What to put into the configuration of the sender.
    configuration: String,
    #[serde(flatten)]
    row: Row,
}

pub(super) async fn run(context: &Context, command: cli::Hook) -> Result<(), Failure> {
    match command {
        cli::Hook::Create(arguments) => create(context, arguments).await,
        cli::Hook::List(org) => list(context, org).await,
        cli::Hook::Rotate(arguments) => rotate(context, arguments).await,
        cli::Hook::Revoke(arguments) => revoke(context, arguments).await,
    }
}

async fn create(context: &Context, arguments: CreateHook) -> Result<(), Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(arguments.org.org).await?;
    let registry = registry(&instance, &org, &arguments.registry).await?;
    let kind = match arguments.kind {
        Some(named) => kind_of(named),
        None => sender_of(registry.kind).ok_or_else(|| sends_nothing(&registry))?,
    };
    let secret = HookSecret::generate(&SystemRandomness);
    let record = HookRecord {
        id: HookId::generate(&SystemRandomness),
        org,
        registry: arguments.registry,
        kind,
        secrets: vec![secret.digest()],
        created_at: SystemClock.now(),
        revoked_at: None,
    };
    instance.records.put_hook(&record).await?;
    reveal(context, &instance, &record, &secret, arguments.base.url)
}

async fn rotate(context: &Context, arguments: RotateHook) -> Result<(), Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(arguments.org.org).await?;
    let secret = HookSecret::generate(&SystemRandomness);
    let rotated = instance.records.rotate_hook(&org, &arguments.id, secret.digest()).await?;
    let record = rotated.ok_or_else(|| no_such_hook(&org, &arguments.id))?;
    advise(context.quiet, "the secret before this one stays good until the next time");
    reveal(context, &instance, &record, &secret, arguments.base.url)
}

/// Prints a hook with its secret, which nobody can show again.
fn reveal(
    context: &Context,
    instance: &Instance,
    record: &HookRecord,
    secret: &HookSecret,
    base: Option<String>,
) -> Result<(), Failure> {
    let base = base.or_else(|| instance.url.clone());
    let url = format!("{}{}", base.as_deref().unwrap_or_default(), record.path());
    let configuration = instructions(record.kind, &url, secret);
    if context.is_json() {
        let secret = secret.reveal().to_owned();
        return print_document("hook", 1, &Revealed { url, secret, configuration, row: row(record) });
    }
    anstream::print!("{configuration}");
    if base.is_none() {
        advise(
            context.quiet,
            "put the address at which the registry reaches Tidewatch before the path in `url`",
        );
    }
    advise(
        context.quiet,
        &format!(
            "hook {}: do this at the registry {} now, and restart it where that was a configuration: the secret cannot \
             be shown again",
            record.id, record.registry
        ),
    );
    Ok(())
}

const fn kind_of(named: HookKindName) -> HookKind {
    match named {
        HookKindName::Distribution => HookKind::Distribution,
        HookKindName::DockerHub => HookKind::DockerHub,
        HookKindName::Acr => HookKind::Acr,
        HookKindName::Quay => HookKind::Quay,
        HookKindName::Harbor => HookKind::Harbor,
        HookKindName::Jfrog => HookKind::Jfrog,
        HookKindName::Generic => HookKind::Generic,
    }
}

fn sends_nothing(registry: &RegistryConfig) -> Failure {
    let kind = registry.kind.as_str();
    Failure::wrong_use(anyhow::anyhow!("registries of kind {kind} send no webhook that is taken")).hint(
        "a script that hears of pushes can call one: --kind generic; until then, rules find what is pushed",
    )
}

async fn registry(instance: &Instance, org: &OrgName, id: &RegistryId) -> Result<RegistryConfig, Failure> {
    let applied = instance.records.config(org).await?;
    let registries = applied.map(|applied| applied.config.registries).unwrap_or_default();
    if let Some(found) = registries.iter().find(|registry| registry.id == *id) {
        return Ok(found.clone());
    }
    let known: Vec<&str> = registries.iter().map(|registry| registry.id.as_str()).collect();
    Err(Failure::wrong_use(anyhow::anyhow!("the configuration of {org} has no registry {id:?}"))
        .hint(format!("there are: {}", known.join(", "))))
}

async fn list(context: &Context, org: Org) -> Result<(), Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(org.org).await?;
    let now = SystemClock.now();
    let hooks: Vec<Row> = instance.records.hooks(&org).await?.iter().map(row).collect();
    if context.is_json() {
        return print_document("hooks", 1, &Hooks { hooks });
    }
    let mut table = Table::new(["ID", "REGISTRY", "KIND", "SECRETS", "CREATED", "STATE"]);
    for hook in &hooks {
        let state = if hook.valid { "valid" } else { "revoked" };
        let (secrets, created) = (hook.secrets.to_string(), ago(hook.created_at, now));
        let cells = [&hook.id, &hook.registry, hook.kind, &secrets, &created, state];
        table.row(cells.map(cell));
    }
    table.print();
    Ok(())
}

async fn revoke(context: &Context, arguments: RevokeHook) -> Result<(), Failure> {
    let instance = context.existing_instance().await?;
    let org = instance.org(arguments.org.org).await?;
    let revoked = instance.records.revoke_hook(&org, &arguments.id, SystemClock.now()).await?;
    let record = revoked.ok_or_else(|| no_such_hook(&org, &arguments.id))?;
    if context.is_json() {
        return print_document("hooks", 1, &Hooks { hooks: vec![row(&record)] });
    }
    advise(context.quiet, &format!("{}: revoked; it is refused from the next call on", record.id));
    Ok(())
}

fn no_such_hook(org: &OrgName, id: &HookId) -> Failure {
    Failure::wrong_use(anyhow::anyhow!("{org} has no hook {:?} that is not revoked", id.as_str()))
        .hint("list the ids: tidewatch hook list")
}

fn row(record: &HookRecord) -> Row {
    Row {
        id: record.id.to_string(),
        org: record.org.to_string(),
        registry: record.registry.to_string(),
        kind: record.kind.as_str(),
        path: record.path(),
        secrets: record.secrets.len(),
        created_at: record.created_at,
        revoked_at: record.revoked_at,
        valid: record.revoked_at.is_none(),
    }
}
