//! The commands that read results: which images, and which part of what is known of them.

use clap::Args;
use tidewatch_core::names::{PolicyId, StreamName};
use tidewatch_core::result::ResultState;
use tidewatch_core::rule::Pattern;
use tidewatch_read_results::{ImageIdentity, Series};

use super::Org;

/// List the images that are known: each tag that a rule chose, on each platform, with its result; or the images of a
/// stream.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidewatch images
  tidewatch images --repository 'team/**' --format json
  tidewatch images --stream production --state partial
  tidewatch images --with CVE-2021-44228 --format csv > affected.csv")]
pub(crate) struct Images {
    /// The images of this stream, as the metrics count them, instead of every tag.
    #[arg(long, value_name = "NAME")]
    pub(crate) stream: Option<StreamName>,
    /// Only images that have this vulnerability, by any of its ids; of the stream latest-indexed when none is named.
    #[arg(long, value_name = "ID")]
    pub(crate) with: Option<String>,
    /// Only images in this state: scanned, partial, unsupported, eol, failed or pending.
    #[arg(long)]
    pub(crate) state: Option<ResultState>,
    /// Only repositories, or repositories and tags, that match: team/web, team/**, *:1.*
    #[arg(long, value_name = "PATTERN")]
    pub(crate) repository: Option<Pattern>,
    #[command(flatten)]
    pub(crate) org: Org,
}

/// Show all that is known of an image: its vulnerabilities with their fixes, what suppresses them, what policies say, and
/// where it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidewatch image hub/team/web:1.4.2
  tidewatch image sha256:320880dd3e64c79b2b6b67abb0f83c571fe1382edd6ed892c97b045c8a5572b0 --format json
  tidewatch image hub/team/web --format csv > findings.csv

The registry is named by its id in the configuration. `tidewatch scan` reads an image that is not known.")]
pub(crate) struct Image {
    /// Which image: REGISTRY/REPOSITORY:TAG, REGISTRY/REPOSITORY@DIGEST, or the digest of the manifest of a platform.
    #[arg(value_name = "REF")]
    pub(crate) reference: ImageIdentity,
    #[command(flatten)]
    pub(crate) org: Org,
}

/// Show what a policy says of the images of a stream.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidewatch policy fixable-vulnerabilities --failing
  tidewatch policy default-non-root-user --stream production --format csv")]
pub(crate) struct Policy {
    /// The policy, by the id that it has in the metrics.
    pub(crate) id: PolicyId,
    /// Only images that fail it.
    #[arg(long)]
    pub(crate) failing: bool,
    /// The stream.
    #[arg(long, value_name = "NAME", default_value = "latest-indexed")]
    pub(crate) stream: StreamName,
    #[command(flatten)]
    pub(crate) org: Org,
}

/// List the rows behind a number of the metrics. Their counts add up to it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidewatch explain 'scout_stream_vulnerabilities{streamName=\"latest-indexed\",severity=\"CRITICAL\"}'
  tidewatch explain 'scout_policy_evaluated_images{streamName=\"production\",id=\"fixable-vulnerabilities\"}' --format csv

A line can be copied as it is from a dashboard or a scrape: other labels, and the value, do not matter.")]
pub(crate) struct Explain {
    /// The series, as Prometheus writes it.
    #[arg(value_name = "SERIES")]
    pub(crate) series: Series,
    #[command(flatten)]
    pub(crate) org: Org,
}
