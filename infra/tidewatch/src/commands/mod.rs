//! The commands, one file each.

mod advisories;
mod apply;
mod images;
mod rules;
mod scan;
mod token;
mod up;

use std::process::ExitCode;

use crate::cli::{Cli, Command, Format};
use crate::failure::Failure;
use crate::local::Instance;

/// What every command is told.
pub(crate) struct Context {
    data: std::path::PathBuf,
    format: Format,
    quiet: bool,
}

impl Context {
    fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    async fn instance(&self) -> Result<Instance, Failure> {
        Instance::open(&self.data).await
    }
}

/// Runs a command, and gives its exit code.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let context = Context { data: cli.data, format: cli.format, quiet: cli.quiet };
    match cli.command {
        Command::Up(arguments) => up::run(&context, arguments).await,
        Command::Scan(arguments) => return scan::run(&context, arguments).await,
        Command::Apply(arguments) => apply::run(&context, arguments).await,
        Command::Rules(command) => rules::run(&context, command).await,
        Command::Token(command) => token::run(&context, command).await,
        Command::Advisories(command) => advisories::run(&context, command).await,
        Command::Images(arguments) => images::run(&context, arguments).await,
    }
    .map(|()| ExitCode::SUCCESS)
}
