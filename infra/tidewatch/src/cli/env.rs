//! The arguments of `tidewatch env`.

use clap::{Args, Subcommand};
use tidewatch_core::environment::ImageReference;
use tidewatch_core::names::StreamName;

use super::Org;

#[derive(Debug, Subcommand)]
pub(crate) enum Env {
    /// List environments, with how many images each has.
    #[command(after_help = "\
Examples:
  tidewatch env list
  tidewatch env list --format json")]
    List(Org),
    /// Show the images of an environment, and whether their tags point elsewhere by now.
    #[command(after_help = "\
Examples:
  tidewatch env show production
  tidewatch env show production --format json")]
    Show(ShowEnv),
    /// Put images into an environment, which is made when it is not there. Each is pinned to what its tag points to now,
    /// and replaces the image of its repository that was there.
    #[command(after_help = "\
Examples:
  tidewatch env add production ecr/payments/api:1.4.2 ecr/web/front:2.0
  tidewatch env add production ecr/web/front:canary --keep
  tidewatch env add staging ecr/web/front:main --follow

An image that nobody has scanned is scanned at once, whether a rule chooses it or not.")]
    Add(AddEnv),
    /// Make these the images of an environment: the others leave it.
    #[command(after_help = "\
Examples:
  tidewatch env set production ecr/payments/api:1.4.2 ecr/web/front:2.0")]
    Set(SetEnv),
    /// Take images out of an environment, by their repository, tag or digest.
    #[command(after_help = "\
Examples:
  tidewatch env remove production ecr/web/front")]
    Remove(RemoveEnv),
    /// Take an environment away, with all that is in it: its series end.
    #[command(after_help = "\
Examples:
  tidewatch env delete staging")]
    Delete(ShowEnv),
}

#[derive(Debug, Args)]
pub(crate) struct ShowEnv {
    /// The environment.
    pub(crate) name: StreamName,
    #[command(flatten)]
    pub(crate) org: Org,
}

#[derive(Debug, Args)]
pub(crate) struct AddEnv {
    /// The environment.
    pub(crate) name: StreamName,
    /// The images, as REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@DIGEST, where REGISTRY is the id of a registry of the configuration.
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<ImageReference>,
    /// Leave other images of the same repository in the environment.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Pin the image anew whenever its tag moves.
    #[arg(long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) org: Org,
}

#[derive(Debug, Args)]
pub(crate) struct SetEnv {
    /// The environment.
    pub(crate) name: StreamName,
    /// The images; none empties it.
    #[arg(value_name = "IMAGE")]
    pub(crate) images: Vec<ImageReference>,
    /// Pin the images anew whenever their tags move.
    #[arg(long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) org: Org,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveEnv {
    /// The environment.
    pub(crate) name: StreamName,
    /// What is taken out: REGISTRY/REPOSITORY for all images of a repository, with `:TAG` or `@DIGEST` for one.
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<String>,
    #[command(flatten)]
    pub(crate) org: Org,
}
