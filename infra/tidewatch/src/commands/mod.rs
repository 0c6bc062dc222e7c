//! The commands, one file each.

mod advisories;
mod advisory_sources;
mod apply;
mod images;
mod rules;
mod run_images;
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

    /// The instance of the data folder, which is made when it is not there.
    async fn instance(&self) -> Result<Instance, Failure> {
        Instance::open(&self.data).await
    }

    /// The instance of a data folder that is there: for commands that make no sense on an empty one.
    async fn existing_instance(&self) -> Result<Instance, Failure> {
        if !Instance::exists(&self.data) {
            return Err(Failure::wrong_use(anyhow::anyhow!("{}", self.no_data())).hint(
                "name the right one by --data, or begin a new one: tidewatch advisories build --from DIR, \
                 tidewatch apply tidewatch.yaml",
            ));
        }
        self.instance().await
    }

    fn no_data(&self) -> String {
        format!("there is no data folder at {}", self.data.display())
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
