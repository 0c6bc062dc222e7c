//! The deployment, as a user makes and uses it: template.yaml is deployed by SAM to MiniStack, an emulation of AWS on
//! this machine that enforces the roles and runs the real function binaries; images lie in Debian's docker-registry.
//!
//! It runs as `make test-deploy`. Without the tools of that (TIDEWATCH_TOOLS) and the built functions
//! (TIDEWATCH_LAMBDA_FOLDER) everything in it is skipped. The parts run one after the other, on one deployment.

mod advisories;
mod deployment;
mod messages;
mod metrics;
mod requests;
mod template;

use std::process::ExitCode;
use std::sync::Arc;

use deployment::{Deployment, Tools};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

/// The command.
const BINARY: &str = env!("CARGO_BIN_EXE_tidewatch");

/// How long something may take that a schedule of a minute starts.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(180);

/// What a part of the test says of the deployment.
type Outcome = anyhow::Result<()>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They share one deployment, and the advisories of one change the numbers of another.
    arguments.test_threads = Some(1);
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(reason) => {
            tidewatch_testkit::skip::skipped(format_args!("the deployment is not tested: {reason}"));
            return ExitCode::SUCCESS;
        }
    };
    match run(&arguments, tools) {
        Ok(code) => code,
        Err(error) => {
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{error:?}\n"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, tools: Tools) -> anyhow::Result<ExitCode> {
    let runtime = Arc::new(Runtime::new()?);
    if arguments.list {
        return Ok(libtest_mimic::run(arguments, Vec::new()).exit_code());
    }
    let deployment = Arc::new(runtime.block_on(Deployment::make(tools))?);
    let trials = vec![
        trial(&runtime, &deployment, "the_template_passes_every_linter", template::passes_every_linter),
        trial(&runtime, &deployment, "every_route_answers_and_no_other_path_does", requests::routes),
        trial(
            &runtime,
            &deployment,
            "a_rule_leads_to_a_scraped_metric_that_equals_local_mode",
            metrics::rule_to_metric,
        ),
        trial(
            &runtime,
            &deployment,
            "advisories_are_read_from_the_bucket_of_others",
            advisories::from_a_bucket,
        ),
        trial(&runtime, &deployment, "a_push_leads_to_a_scraped_metric", metrics::push_to_metric),
        trial(
            &runtime,
            &deployment,
            "new_advisories_change_the_numbers_and_no_registry_is_asked",
            advisories::new_advisories,
        ),
        trial(
            &runtime,
            &deployment,
            "a_message_that_nobody_can_read_ends_in_the_dead_letter_queue_of_its_queue",
            messages::poisoned,
        ),
        trial(
            &runtime,
            &deployment,
            "no_function_was_refused_anything_by_its_role",
            requests::nothing_was_refused,
        ),
        trial(&runtime, &deployment, "a_deleted_stack_leaves_the_table_and_the_bucket", template::deleted),
    ];
    let conclusion = libtest_mimic::run(arguments, trials);
    if conclusion.has_failed() {
        deployment.keep_logs()?;
    }
    Ok(conclusion.exit_code())
}

fn trial(
    runtime: &Arc<Runtime>,
    deployment: &Arc<Deployment>,
    name: &str,
    test: impl AsyncFn(&Deployment) -> Outcome + Send + 'static,
) -> Trial {
    let (runtime, deployment) = (Arc::clone(runtime), Arc::clone(deployment));
    Trial::test(name, move || {
        runtime.block_on(test(&deployment)).map_err(|error| Failed::from(format!("{error:?}")))
    })
}
