//! `tidewatch registry`: looks step by step whether a registry can be read.

mod advice;
mod secrets;
mod steps;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use serde::Serialize;
use tidewatch_core::config::{Config, RegistryConfig};
use tidewatch_core::names::RegistryId;
use tidewatch_core::ports::Registries as _;
use tidewatch_registries::{ConfiguredRegistries, Ports};
use tidewatch_runtime::messages::describe;
use tidewatch_runtime::system::{SystemClock, SystemRandomness, SystemSleeper};

use super::Context;
use crate::aws::CallerAws;
use crate::cli::{self, CheckRegistry};
use crate::config_file;
use crate::failure::{Failure, exit};
use crate::output::{Table, advise, cell, print_document, while_waiting};

use secrets::CallersSecrets;
use steps::{Step, Steps, Taken};

/// What was found of a registry.
#[derive(Serialize)]
struct Checked {
    registry: RegistryId,
    kind: &'static str,
    url: String,
    /// Whether every step was taken.
    ok: bool,
    steps: Vec<StepRow>,
}

#[derive(Serialize)]
struct StepRow {
    step: Step,
    ok: bool,
    /// What was found, or why it failed.
    detail: String,
    /// What to do, where it failed.
    advice: Option<String>,
}

pub(super) async fn run(context: &Context, command: cli::Registry) -> Result<ExitCode, Failure> {
    let cli::Registry::Check(arguments) = command;
    let config = configuration(context, &arguments).await?;
    let registry = config.registry(&arguments.id).ok_or_else(|| no_such_registry(&config, &arguments.id))?;
    let what = format!("asking {}", registry.address());
    let steps = while_waiting(context.quiet, &what, check(registry, &arguments)).await;
    let checked = Checked::of(registry, steps);
    let is_ok = checked.ok;
    if context.is_json() {
        print_document("registry-check", 1, &checked)?;
    } else {
        print(context, &checked);
    }
    Ok(if is_ok { ExitCode::SUCCESS } else { ExitCode::from(exit::CONDITION_NOT_MET) })
}

/// The configuration that the registry stands in: that of the file, or the one in force.
async fn configuration(context: &Context, arguments: &CheckRegistry) -> Result<Config, Failure> {
    if let Some(file) = &arguments.config {
        let read = config_file::read(file);
        return read.map_err(|error| Failure::wrong_use(error).hint("mend the file, then try again"));
    }
    let instance = context.existing_instance().await?;
    let org = instance.org(arguments.org.org.clone()).await?;
    let applied = instance.records.config(&org).await?;
    applied.map(|applied| applied.config).ok_or_else(|| {
        Failure::wrong_use(anyhow!("no configuration is in force"))
            .hint("give one: tidewatch registry check ID --config tidewatch.yaml")
    })
}

fn no_such_registry(config: &Config, id: &RegistryId) -> Failure {
    let known: Vec<&str> = config.registries.iter().map(|registry| registry.id.as_str()).collect();
    Failure::wrong_use(anyhow!("there is no registry {id}")).hint(format!("there are: {}", known.join(", ")))
}

/// Opens the registry and takes the steps. No budget of others is used: these are a handful of requests.
async fn check(registry: &RegistryConfig, arguments: &CheckRegistry) -> Steps {
    let (clock, sleeper) = (Arc::new(SystemClock), Arc::new(SystemSleeper));
    let ports = Ports { clock, sleeper, randomness: Arc::new(SystemRandomness) };
    let registries = ConfiguredRegistries::new(Arc::new(CallersSecrets), ports);
    let registries = registries.with_aws(Arc::new(CallerAws::default()));
    match registries.open(registry).await {
        Err(error) => Steps(vec![Taken { step: Step::Open, outcome: Err(error) }]),
        Ok(opened) => {
            let Steps(taken) = Steps::take(&*opened, arguments.repository.clone()).await;
            let said = match registry.credentials {
                Some(_) => "its credentials are there",
                None => "no credentials are named",
            };
            let open = Taken { step: Step::Open, outcome: Ok(said.to_owned()) };
            Steps([open].into_iter().chain(taken).collect())
        }
    }
}

impl Checked {
    fn of(registry: &RegistryConfig, Steps(taken): Steps) -> Self {
        let row = |taken: &Taken| match &taken.outcome {
            Ok(said) => StepRow { step: taken.step, ok: true, detail: said.clone(), advice: None },
            Err(error) => StepRow {
                step: taken.step,
                ok: false,
                detail: describe(error),
                advice: Some(advice::advice(registry, taken.step, error)),
            },
        };
        let steps: Vec<StepRow> = taken.iter().map(row).collect();
        Self {
            registry: registry.id.clone(),
            kind: registry.kind.as_str(),
            url: registry.address().into_owned(),
            ok: steps.iter().all(|step| step.ok),
            steps,
        }
    }
}

fn print(context: &Context, checked: &Checked) {
    let mut table = Table::new(["STEP", "RESULT", "DETAIL"]);
    for step in &checked.steps {
        let result = if step.ok { "ok" } else { "failed" };
        table.row([cell(step.step.as_str()), cell(result), cell(&step.detail)]);
    }
    table.print();
    for step in &checked.steps {
        if let Some(advice) = &step.advice {
            advise(context.quiet, &format!("{}: {advice}", step.step.as_str()));
        }
    }
    let was_read = checked.steps.iter().any(|step| step.step == Step::ReadManifest);
    if checked.ok && !was_read {
        advise(
            context.quiet,
            "no image was found to read: name a repository that has one: --repository NAME",
        );
    }
}
