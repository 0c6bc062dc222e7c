//! The command `tidewatch`: local mode, scans, rules, tokens and advisories, on one machine or on a deployed stack.

mod aws;
mod cli;
mod commands;
mod config_file;
mod failure;
mod instance;
mod local;
mod output;
mod sbom;
mod source;
mod stack;

use std::process::ExitCode;

use tidewatch_runtime::logs;

fn main() -> ExitCode {
    let (cli, given) = cli::Cli::read();
    let default_level = if matches!(cli.command, cli::Command::Up(_)) { "info" } else { "error" };
    let filter =
        tidewatch_runtime::environment::variable("TIDEWATCH_LOG").unwrap_or_else(|| default_level.to_owned());
    logs::start(&filter);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime
        .map_err(|error| failure::Failure::new(anyhow::Error::new(error).context("failed to start")))
        .and_then(|runtime| {
            let done = runtime.block_on(commands::run(cli, given));
            // Dropping it would wait for blocking work, however long that takes; nothing is lost without.
            runtime.shutdown_background();
            done
        });
    match done {
        Ok(exit) => exit,
        Err(failure) => failure.report(),
    }
}
