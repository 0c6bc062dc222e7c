//! What can be asked of registries.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tidewatch_core::names::{RegistryId, RepositoryName};

use super::Org;

#[derive(Debug, Subcommand)]
pub(crate) enum Registry {
    /// Look step by step whether a registry can be read, and say what is missing and how it is granted there.
    #[command(after_help = "\
Examples:
  tidewatch registry check hub
  tidewatch registry check harbor --config tidewatch.yaml
  tidewatch registry check ecr --repository team/web --format json

It asks the registry from here, so it needs its credentials in the environment or in files, as local mode does; with --stack, secrets of AWS are read with your own rights. It reads one manifest and the first bytes of one blob, and writes nothing. Exit code 3: a step failed.")]
    Check(CheckRegistry),
}

#[derive(Debug, Args)]
pub(crate) struct CheckRegistry {
    /// The registry, by its id in the configuration.
    pub(crate) id: RegistryId,
    /// A configuration that need not be in force.
    #[arg(long, value_name = "FILE", conflicts_with = "org")]
    pub(crate) config: Option<PathBuf>,
    /// The repository to read from; without it the first one that has an image.
    #[arg(long, value_name = "NAME")]
    pub(crate) repository: Option<RepositoryName>,
    #[command(flatten)]
    pub(crate) org: Org,
}
