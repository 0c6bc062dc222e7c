//! The command line: what can be asked for, with help and examples.

mod advisories;
mod env;
mod image;
mod metrics;
mod registry;
mod results;
mod token;
mod versions;
mod vex;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use tidewatch_core::hook::HookId;
use tidewatch_core::names::{OrgName, RegistryId, RuleId};
use tidewatch_core::rule::Pattern;

use crate::instance::{Given, StackName};

pub(crate) use advisories::{
    Advisories, AdvisoryPlaces, BuildAdvisories, DiffAdvisories, InfoOfAdvisories, QueryAdvisories,
    SyncAdvisories,
};
pub(crate) use env::{AddEnv, Env, RemoveEnv, SetEnv, ShowEnv};
pub(crate) use image::{ImageArguments, Inventory, LayerLimits, Scan};
pub(crate) use metrics::MetricsOptions;
pub(crate) use registry::{CheckRegistry, Registry};
pub(crate) use results::{Explain, Image, Images, Policy};
pub(crate) use token::{CreateToken, RevokeToken, Token};
pub(crate) use versions::{CompareVersions, Versions};
pub(crate) use vex::{AddVex, ExportVex, NamedVex, Vex};

/// Know how vulnerable your container images are, on the dashboards you already have.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "\
Examples:
  tidewatch scan oci:./image                 scan an image on disk
  tidewatch inventory docker-archive:a.tar   list the packages of an image
  tidewatch advisories build --from ./osv    compile advisories
  tidewatch up                               start local mode
  tidewatch apply tidewatch.yaml             tell it what to scan
  tidewatch registry check hub               can it be read?
  tidewatch rules run nightly --wait         scan now
  tidewatch env add production hub/web:1.2   count what runs in production
  tidewatch token create --org acme          a token for Prometheus
  tidewatch images --with CVE-2021-44228     which images have a vulnerability
  tidewatch hook create --registry hub       scan what is pushed, at once
  tidewatch status                           how things stand

Exit codes: 0 done; 1 failed; 2 wrong command line or configuration; 3 a condition such as --fail-on is not met."
)]
pub(crate) struct Cli {
    /// Where local mode keeps everything.
    #[arg(long, global = true, env = "TIDEWATCH_DATA", value_name = "DIR", default_value = "tidewatch-data")]
    pub(crate) data: PathBuf,

    /// Work on a deployed stack, by its name or ARN, instead of a data folder.
    #[arg(long, global = true, env = "TIDEWATCH_STACK", value_name = "NAME")]
    pub(crate) stack: Option<StackName>,

    /// Tables for people, or JSON for programs (docs/COMMAND.md has the shapes). CSV is for what reads results, the other
    /// formats are those of `tidewatch inventory`.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,

    /// Print results only: no progress, no advice.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The command line of this process, with how the data folder and the stack were given. Help, or a command line
    /// that cannot be read, ends the process.
    pub(crate) fn read() -> (Self, InstanceOptions) {
        let mut matches = Self::command().get_matches();
        let given = InstanceOptions {
            data: matches.value_source("data").into(),
            stack: matches.value_source("stack").into(),
        };
        let cli = Self::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit());
        (cli, given)
    }
}

/// How the options were given that name the instance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InstanceOptions {
    pub(crate) data: Given,
    pub(crate) stack: Given,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables.
    #[default]
    Table,
    /// JSON.
    Json,
    /// CSV: of `images`, `image`, `policy` and `explain`.
    Csv,
    /// Sorted lines of type, name and version.
    Tsv,
    /// CycloneDX 1.6, in JSON.
    Cyclonedx,
    /// SPDX 2.3, in JSON.
    Spdx,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start local mode: everything in one process.
    Up(Up),
    /// Scan one image now, without local mode.
    Scan(Scan),
    /// List the packages of one image now, as a table or a bill of materials.
    Inventory(Inventory),
    /// Put a configuration in force.
    Apply(Apply),
    /// Print the JSON Schema of the configuration file, for editors.
    #[command(after_help = "\
Examples:
  tidewatch schema > tidewatch.schema.json
  # at the top of tidewatch.yaml, for editors with yaml-language-server:
  # yaml-language-server: $schema=tidewatch.schema.json")]
    Schema,
    /// Rules: list, run, see how runs are getting on.
    #[command(subcommand)]
    Rules(Rules),
    /// Registries: look whether they can be read.
    #[command(subcommand)]
    Registry(Registry),
    /// Environments: streams of the images that run somewhere.
    #[command(subcommand)]
    Env(Env),
    /// OpenVEX documents: put in force, list, export.
    #[command(subcommand)]
    Vex(Vex),
    /// Tokens for the metrics endpoint and the results.
    #[command(subcommand)]
    Token(Token),
    /// Hooks, by which registries tell of pushes.
    #[command(subcommand)]
    Hook(Hook),
    /// Advisories: compile, look up.
    #[command(subcommand)]
    Advisories(Advisories),
    /// List the images that are known, with their results.
    Images(Images),
    /// Show all that is known of one image.
    Image(Image),
    /// Show what a policy says of the images of a stream.
    Policy(Policy),
    /// List the rows behind a number of the metrics.
    Explain(Explain),
    /// Show how things stand: what is in force, how far images are judged by it, how old advisories and numbers are.
    #[command(after_help = "\
Examples:
  tidewatch status
  tidewatch status --org acme --format json")]
    Status(Org),
    /// Look whether all numbers follow from what they were made of, and mend those that do not.
    #[command(after_help = "\
Examples:
  tidewatch reconcile
  tidewatch reconcile --format json

A running instance looks at everything once a day by itself. Exit code 3: something did not follow; it is a mistake of the program: please report it.")]
    Reconcile(Org),
    /// Versions: compare.
    #[command(subcommand)]
    Versions(Versions),
}

/// Start local mode: rules, scans and the metrics endpoint in one process, with everything kept in the data folder.
/// It can be killed at any time and goes on where it was.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidewatch up
  tidewatch up --config tidewatch.yaml --listen 0.0.0.0:8480
  tidewatch up --ecosystem Debian,Alpine
  tidewatch up --advisories-url /srv/osv

Advisories are fetched at the start and then hourly, from the OSV service unless another place is given. It ends on Ctrl-C, after at most 30 seconds for what is at work. The metrics are at http://ADDRESS/v1/exporter/org/ORG/metrics.")]
pub(crate) struct Up {
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8480")]
    pub(crate) listen: SocketAddr,
    /// A configuration to put in force at the start.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How many images are scanned at the same time.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: u16,
    #[command(flatten)]
    pub(crate) advisories: AdvisoryPlaces,
    #[command(flatten)]
    pub(crate) ecosystems: Ecosystems,
    #[command(flatten)]
    pub(crate) limits: LayerLimits,
    #[command(flatten)]
    pub(crate) metrics: MetricsOptions,
}

/// Which ecosystems.
#[derive(Debug, Args)]
pub(crate) struct Ecosystems {
    /// An ecosystem whose advisories are fetched, by its name at OSV; can be given several times. Without it: all whose
    /// packages are found in images, and GIT, which has CVSS scores of CVEs.
    #[arg(long = "ecosystem", env = "TIDEWATCH_ECOSYSTEMS", value_name = "NAME", value_delimiter = ',')]
    pub(crate) names: Vec<String>,
}

/// Check a configuration, print what it changes, and put it in force.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidewatch apply tidewatch.yaml --dry-run
  tidewatch apply tidewatch.yaml")]
pub(crate) struct Apply {
    /// The configuration file.
    #[arg(value_name = "FILE", default_value = "tidewatch.yaml")]
    pub(crate) file: PathBuf,
    /// Print the changes only.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Ask the registries of rules that are new or changed what their first run will cost, before anything is put in force.
    #[arg(long)]
    pub(crate) estimate: bool,
}

/// Which organisation.
#[derive(Debug, Args)]
pub(crate) struct Org {
    /// The organisation; needed only when there are several.
    #[arg(long, env = "TIDEWATCH_ORG")]
    pub(crate) org: Option<OrgName>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rules {
    /// List the rules, with their last and next run.
    #[command(after_help = "\
Examples:
  tidewatch rules list
  tidewatch rules list --org acme --format json")]
    List(Org),
    /// Run a rule now, whatever its schedule says.
    #[command(after_help = "\
Examples:
  tidewatch rules run nightly
  tidewatch rules run nightly --wait")]
    Run(RunRule),
    /// Say what a run of a rule would choose now and why, without doing it.
    #[command(after_help = "\
Examples:
  tidewatch rules preview nightly
  tidewatch rules preview nightly --repository team/** --chosen
  tidewatch rules preview nightly --format json

It asks the registries from here, so it needs their credentials in the environment or in files, as local mode does. It
pulls no layer and writes nothing.")]
    Preview(PreviewRule),
    /// Show the latest runs, and how far they are.
    #[command(after_help = "\
Examples:
  tidewatch rules status
  tidewatch rules status nightly --runs 10")]
    Status(RuleStatus),
}

#[derive(Debug, Args)]
pub(crate) struct RunRule {
    /// The rule.
    pub(crate) rule: RuleId,
    /// Wait until every image of the run is done, and show the progress; fail when one of them failed.
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) org: Org,
}

#[derive(Debug, Args)]
pub(crate) struct PreviewRule {
    /// The rule.
    pub(crate) rule: RuleId,
    /// Only repositories that match: team/web, team/**
    #[arg(long, value_name = "PATTERN")]
    pub(crate) repository: Option<Pattern>,
    /// Show the tags that are chosen alone.
    #[arg(long)]
    pub(crate) chosen: bool,
    /// Ask for the manifest of each image to scan, to know the layers of all of them: one request for each.
    #[arg(long)]
    pub(crate) measure: bool,
    #[command(flatten)]
    pub(crate) org: Org,
}

#[derive(Debug, Args)]
pub(crate) struct RuleStatus {
    /// The rule; all of them without it.
    pub(crate) rule: Option<RuleId>,
    /// How many runs of each rule.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) runs: u16,
    #[command(flatten)]
    pub(crate) org: Org,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Hook {
    /// Make a hook for a registry, and print what to put into the registry's configuration. Its secret is shown once.
    #[command(after_help = "\
Examples:
  tidewatch hook create --registry local
  tidewatch hook create --registry local --url https://tidewatch.example.com

A pushed tag is scanned at once when a rule of the registry chooses it, whatever the rule's schedule.")]
    Create(CreateHook),
    /// List hooks, without their secrets.
    #[command(after_help = "\
Examples:
  tidewatch hook list
  tidewatch hook list --org acme --format json")]
    List(Org),
    /// Give a hook a new secret. The one before stays good until the next time.
    #[command(after_help = "\
Examples:
  tidewatch hook rotate 234567abcdefghij")]
    Rotate(RotateHook),
    /// Revoke a hook: it is refused from the next call on.
    #[command(after_help = "\
Examples:
  tidewatch hook revoke 234567abcdefghij")]
    Revoke(RevokeHook),
}

#[derive(Debug, Args)]
pub(crate) struct CreateHook {
    /// The registry whose pushes it tells of, by its id in the configuration.
    #[arg(long, value_name = "ID")]
    pub(crate) registry: RegistryId,
    /// What sends the notifications; without it, what the registry's kind sends.
    #[arg(long, value_enum)]
    pub(crate) kind: Option<HookKindName>,
    #[command(flatten)]
    pub(crate) base: BaseUrl,
    #[command(flatten)]
    pub(crate) org: Org,
}

/// Where hooks are called.
#[derive(Debug, Args)]
pub(crate) struct BaseUrl {
    /// The address of Tidewatch as the registry reaches it: `https://tidewatch.example.com`. Without it, that of the
    /// stack, or the one that a running local mode listens on.
    #[arg(long, value_name = "URL", value_parser = base_url)]
    pub(crate) url: Option<String>,
}

/// Reads a URL without a query, and drops slashes at its end.
fn base_url(text: &str) -> Result<String, String> {
    let uri: http::Uri = text.parse().map_err(|error| format!("{error}"))?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    if !is_web || uri.query().is_some() || text.contains(['@', '#']) {
        return Err("expected http:// or https://, a host, and at most a path".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The kinds of hooks by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookKindName {
    /// A registry that is the distribution software, or built on it.
    Distribution,
    /// Docker Hub.
    DockerHub,
    /// Azure Container Registry.
    Acr,
    /// Quay.
    Quay,
    /// Harbor, in either of its forms.
    Harbor,
    /// JFrog Artifactory, with its secret sent as it is.
    Jfrog,
    /// A plain form: {"repository": "team/web", "tag": "1.4.2"}
    Generic,
}

#[derive(Debug, Args)]
pub(crate) struct RotateHook {
    /// The id of the hook: what stands last in its URL.
    pub(crate) id: HookId,
    #[command(flatten)]
    pub(crate) base: BaseUrl,
    #[command(flatten)]
    pub(crate) org: Org,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeHook {
    /// The id of the hook: what stands last in its URL.
    pub(crate) id: HookId,
    #[command(flatten)]
    pub(crate) org: Org,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use tidewatch_tests::configuration_docs::{Readers, VARIABLES};

    use super::*;

    /// The arguments of a command and of those below it.
    fn arguments(command: &clap::Command) -> Vec<&clap::Arg> {
        command.get_arguments().chain(command.get_subcommands().flat_map(arguments)).collect()
    }

    #[test]
    fn the_variables_of_options_are_documented_with_their_defaults() {
        let command = Cli::command();
        let arguments = arguments(&command);
        let with_variable: Vec<_> =
            arguments.iter().filter(|argument| argument.get_env().is_some()).collect();
        assert!(!with_variable.is_empty());
        for argument in with_variable {
            let name = argument.get_env().unwrap();
            let row = VARIABLES.iter().find(|row| name == row.name).unwrap_or_else(|| panic!("{name:?}"));
            assert_ne!(row.readers, Readers::Functions, "{name:?}");
            let option = format!("`--{}`", argument.get_long().unwrap());
            assert!(row.meaning.contains(&option), "{name:?} does not name {option}");
            for default in argument.get_default_values() {
                assert_eq!(row.default, format!("`{}`", default.display()), "{name:?}");
            }
        }
    }
}
