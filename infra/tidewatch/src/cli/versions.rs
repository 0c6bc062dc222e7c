//! The commands about versions.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Versions {
    /// Compare two versions as their ecosystem orders them.
    #[command(after_help = "\
Examples:
  tidewatch versions compare Debian:12 1.0~rc1-1 1.0-1
  tidewatch versions compare npm 1.2.3-beta 1.2.3
  tidewatch versions compare PyPI --file comparisons.txt
  tidewatch versions compare rpm --file - < comparisons.txt
  tidewatch versions compare PyPI -- -class-1 1.0

It prints <, = or >. A file has a comparison on each line: `a < b`, `a = b` or `a > b`; blank lines and what begins with \
# or // are comments. Printed are the comparisons that are wrong; then the exit code is 1.")]
    Compare(CompareVersions),
}

#[derive(Debug, Args)]
pub(crate) struct CompareVersions {
    /// The ecosystem by OSV's name, with its release or without: Debian:12, npm. Or an order: dpkg, rpm, semver.
    pub(crate) ecosystem: String,
    /// The one version.
    #[arg(required_unless_present = "file", requires = "b")]
    pub(crate) a: Option<String>,
    /// The other.
    pub(crate) b: Option<String>,
    /// Check the comparisons in a file; - is the standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["a", "b"])]
    pub(crate) file: Option<PathBuf>,
}
