//! The commands, one file each.

mod advisories;
mod advisory_sources;
mod apply;
mod env;
mod explain;
mod hook;
mod image;
mod images;
mod inventory;
mod policy;
mod preview;
mod reconcile;
mod registry;
mod results;
mod rules;
mod run_images;
mod scan;
mod schema;
mod status;
mod token;
mod up;
mod versions;
mod vex;

use std::path::Path;
use std::process::ExitCode;

use crate::cli::{Cli, Command, Format, InstanceOptions};
use crate::failure::Failure;
use crate::instance::{BuildFolder, Instance, Place, remove_leftovers};
use crate::{local, stack};

/// What every command is told.
pub(crate) struct Context {
    place: Place,
    format: Format,
    quiet: bool,
}

impl Context {
    fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    fn is_csv(&self) -> bool {
        self.format == Format::Csv
    }

    /// The instance: of the stack, or of the data folder, which is made when it is not there.
    async fn instance(&self) -> Result<Instance, Failure> {
        match &self.place {
            Place::Folder(folder) => local::open(folder).await,
            Place::Stack(name) => stack::open(name, self.quiet).await,
        }
    }

    /// The instance of a stack, or of a data folder that is there: for commands that make no sense on an empty one.
    async fn existing_instance(&self) -> Result<Instance, Failure> {
        if let Some(folder) = self.missing_folder() {
            return Err(Failure::wrong_use(anyhow::anyhow!("{}", no_data(folder))).hint(
                "name the right one by --data, or begin a new one: tidewatch advisories build --from DIR, \
                 tidewatch apply tidewatch.yaml; a deployed one is named by --stack",
            ));
        }
        self.instance().await
    }

    /// The data folder, when that is the place and it is not there.
    fn missing_folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(folder) if !local::exists(folder) => Some(folder),
            Place::Folder(_) | Place::Stack(_) => None,
        }
    }

    /// A folder to compile advisories in, on this machine.
    fn build_folder(&self) -> Result<BuildFolder, Failure> {
        match &self.place {
            Place::Folder(folder) => BuildFolder::make(&local::make_folder(folder)?),
            Place::Stack(_) => {
                let cache = stack::cache_folder()?;
                // No process has this folder for itself, so whoever comes next clears up.
                remove_leftovers(&cache);
                BuildFolder::make(&cache)
            }
        }
    }
}

fn no_data(folder: &Path) -> String {
    format!("there is no data folder at {}", folder.display())
}

/// Runs a command, and gives its exit code.
pub(crate) async fn run(cli: Cli, given: InstanceOptions) -> Result<ExitCode, Failure> {
    let is_local = matches!(
        cli.command,
        Command::Up(_) | Command::Scan(_) | Command::Inventory(_) | Command::Versions(_) | Command::Schema
    );
    let place = Place::choose((cli.data, given.data), (cli.stack, given.stack), is_local)?;
    check_format(&cli.command, cli.format)?;
    let context = Context { place, format: cli.format, quiet: cli.quiet };
    let done = dispatch(&context, cli.command).await;
    match &context.place {
        Place::Folder(_) => done,
        Place::Stack(name) => done.map_err(|failure| stack::explain(failure, name)),
    }
}

/// Refuses the formats that a command does not print.
fn check_format(command: &Command, format: Format) -> Result<(), Failure> {
    let (is_printed, by) = match format {
        Format::Table | Format::Json => return Ok(()),
        Format::Csv => (
            matches!(
                command,
                Command::Images(_) | Command::Image(_) | Command::Policy(_) | Command::Explain(_)
            ),
            "`tidewatch images`, `image`, `policy` and `explain` print",
        ),
        Format::Tsv | Format::Cyclonedx | Format::Spdx => {
            (matches!(command, Command::Inventory(_)), "`tidewatch inventory` prints")
        }
    };
    if is_printed {
        return Ok(());
    }
    Err(Failure::wrong_use(anyhow::anyhow!("only {by} this format"))
        .hint("choose --format table or --format json"))
}

async fn dispatch(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Up(arguments) => up::run(context, arguments).await,
        Command::Scan(arguments) => return scan::run(context, arguments).await,
        Command::Inventory(arguments) => inventory::run(context, arguments).await,
        Command::Schema => schema::run(),
        Command::Apply(arguments) => apply::run(context, arguments).await,
        Command::Registry(command) => return registry::run(context, command).await,
        Command::Rules(command) => rules::run(context, command).await,
        Command::Env(command) => env::run(context, command).await,
        Command::Vex(command) => vex::run(context, command).await,
        Command::Status(org) => status::run(context, org).await,
        Command::Reconcile(org) => return reconcile::run(context, org).await,
        Command::Token(command) => token::run(context, command).await,
        Command::Hook(command) => hook::run(context, command).await,
        Command::Advisories(command) => advisories::run(context, command).await,
        Command::Images(arguments) => images::run(context, arguments).await,
        Command::Image(arguments) => image::run(context, arguments).await,
        Command::Policy(arguments) => policy::run(context, arguments).await,
        Command::Explain(arguments) => explain::run(context, arguments).await,
        Command::Versions(command) => versions::run(context, command),
    }
    .map(|()| ExitCode::SUCCESS)
}
