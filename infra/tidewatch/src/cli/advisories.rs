//! The commands on advisories: compile them, look them up, compare them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Ecosystems;

#[derive(Debug, Subcommand)]
pub(crate) enum Advisories {
    /// Compile advisories and put them in force.
    #[command(after_help = "\
Examples:
  tidewatch advisories build --from ./osv
  tidewatch advisories build --from ./osv --output ./indexes

DIR holds a folder for each ecosystem, as OSV publishes them: DIR/Debian/all.zip, or DIR/Debian/*.json.")]
    Build(BuildAdvisories),
    /// Have advisories fetched now, by the instance that runs.
    #[command(after_help = "\
Examples:
  tidewatch advisories sync
  tidewatch advisories sync --ecosystem Debian

What has not changed is not downloaded. A deployed stack fetches hourly without being told to, and so does tidewatch up \
with --advisories-url.")]
    Sync(Ecosystems),
    /// Look up the advisories about a package, or those that affect a version of it.
    #[command(after_help = "\
Examples:
  tidewatch advisories query Debian:12 openssl
  tidewatch advisories query npm lodash 4.17.20
  tidewatch advisories query --index ./indexes --batch packages.ndjson

A batch has a line {\"ecosystem\": …, \"name\": …, \"version\": …} for each package; other keys are ignored. For each \
comes one line, in the same order, with the \"ids\" of the advisories that affect it, and with \"problems\" where \
something cannot be told.")]
    Query(QueryAdvisories),
    /// Show the advisories in force, and where they come from.
    #[command(after_help = "\
Examples:
  tidewatch advisories info
  tidewatch advisories info --index ./indexes
  tidewatch advisories info --format json")]
    Info(InfoOfAdvisories),
    /// List the packages about which two builds say something different.
    #[command(after_help = "\
Examples:
  tidewatch advisories diff ./indexes.old ./indexes
  tidewatch advisories diff debian-0a….redb debian-1b….redb --format json

Images with one of these packages are those that are matched again when the new build comes into force.")]
    Diff(DiffAdvisories),
}

#[derive(Debug, Args)]
pub(crate) struct BuildAdvisories {
    /// The folder with the advisories.
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
    /// Write the compiled indexes into this folder, and put nothing in force.
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct QueryAdvisories {
    /// The ecosystem, with its release where it has them: Debian:12, Alpine:v3.19, npm.
    #[arg(required_unless_present = "batch", requires = "package")]
    pub(crate) ecosystem: Option<String>,
    /// The name of the package; on distributions mostly that of the source package.
    pub(crate) package: Option<String>,
    /// Only the advisories that affect this version.
    pub(crate) version: Option<String>,
    /// Answer for each line of this file; `-` is the standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "ecosystem")]
    pub(crate) batch: Option<PathBuf>,
    /// Ask the indexes in this folder instead of those in force.
    #[arg(long, value_name = "DIR")]
    pub(crate) index: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InfoOfAdvisories {
    /// Show the indexes in this folder instead of those in force.
    #[arg(long, value_name = "DIR")]
    pub(crate) index: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DiffAdvisories {
    /// The older build: a folder of indexes, or one index.
    pub(crate) old: PathBuf,
    /// The newer build.
    pub(crate) new: PathBuf,
}
