//! The commands that read one image now: which one, how, and what is printed.

use std::path::PathBuf;

use clap::Args;
use tidewatch_core::Severity;
use tidewatch_core::image::Platform;
use tidewatch_inventory::Limits;

/// Which image, and how to read it.
#[derive(Debug, Args)]
pub(crate) struct ImageArguments {
    // The texts in attributes hold what rustdoc would read as links and tags.
    #[arg(
        value_name = "REF",
        help = "The image: HOST/REPOSITORY[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG], \
                docker-archive:FILE[:TAG], or dir:PATH",
        long_help = "The image:\n\
                     - HOST/REPOSITORY[:TAG][@DIGEST]  in a registry\n\
                     - oci:DIR[:TAG]                   an OCI image layout on disk\n\
                     - oci-archive:FILE[:TAG]          an OCI image layout in a tar archive\n\
                     - docker-archive:FILE[:TAG]       an archive that `docker save` has written\n\
                     - dir:PATH                        a folder, as the root of a file system"
    )]
    pub(crate) reference: String,
    /// Which platform of a multi-platform image.
    #[arg(long, value_name = "PLATFORM", default_value = "linux/amd64")]
    pub(crate) platform: Platform,
    /// Speak http, not https, to the registry.
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// An environment variable that holds USER:PASSWORD for the registry.
    #[arg(long, value_name = "VAR")]
    pub(crate) credentials_env: Option<String>,
    #[command(flatten)]
    pub(crate) limits: LayerLimits,
}

/// What a layer may ask of the process that reads it.
#[derive(Debug, Args)]
pub(crate) struct LayerLimits {
    /// Limits on what is read of one layer, such as entries=2000000,spilled_bytes=1GiB. Those that are not named keep their
    /// defaults; docs/INVENTORY.md lists them.
    #[arg(long, env = "TIDEWATCH_LAYER_LIMITS", value_name = "NAME=NUMBER,…")]
    limits: Option<Limits>,
}

impl LayerLimits {
    /// The limits that were given, else the defaults.
    pub(crate) fn get(&self) -> Limits {
        self.limits.unwrap_or_default()
    }
}

/// Scan one image now, and print its packages' vulnerabilities. Nothing is kept, and local mode need not be running.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidewatch scan registry.example.com/team/web:1.4.2
  tidewatch scan oci:./image:v1 --advisories ./osv
  tidewatch scan docker-archive:web.tar --fail-on HIGH
  tidewatch scan 127.0.0.1:5000/web:1 --plain-http --fail-on HIGH

An advisory source given by --advisories is compiled first; without it, the advisories of the data folder are used.")]
pub(crate) struct Scan {
    #[command(flatten)]
    pub(crate) image: ImageArguments,
    #[arg(
        long,
        value_name = "DIR",
        help = "A folder of OSV archives (<Ecosystem>/all.zip or <Ecosystem>/*.json) to match against"
    )]
    pub(crate) advisories: Option<PathBuf>,
    /// Exit with code 3 when there is a vulnerability of this severity or a worse one, or when that cannot be told.
    #[arg(long, value_name = "SEVERITY")]
    pub(crate) fail_on: Option<Severity>,
}

/// List the packages of one image now, with what is known of each: where it lies, its source, its licence. Nothing is
/// kept, no advisories are needed, and local mode need not be running.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidewatch inventory registry.example.com/team/web:1.4.2
  tidewatch inventory docker-archive:web.tar --wide
  tidewatch inventory oci-archive:web.tar:1.4.2 --format cyclonedx --output web.cdx.json
  tidewatch inventory registry.example.com/team/web:1.4.2 --format spdx > web.spdx.json
  tidewatch inventory dir:/srv/root --format tsv | cut -f 1 | sort | uniq -c

What could not be read is named on standard error, and stands in JSON and in bills of materials.
Bills of materials are the same at every call when they have the same time: by --created, or by the variable
SOURCE_DATE_EPOCH.")]
pub(crate) struct Inventory {
    #[command(flatten)]
    pub(crate) image: ImageArguments,
    /// Write the result to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Show also architecture, source, licence and place, in the table.
    #[arg(long)]
    pub(crate) wide: bool,
    /// Leave out the packages of languages that a package of the distribution has brought along: they do not count as
    /// vulnerable beside it.
    #[arg(long)]
    pub(crate) without_owned: bool,
    /// The time that a bill of materials was made, as 2026-01-31T12:00:00Z or in seconds since 1970. Without it:
    /// the variable SOURCE_DATE_EPOCH, or now.
    #[arg(long, value_name = "TIME", value_parser = crate::sbom::parse_time)]
    pub(crate) created: Option<jiff::Timestamp>,
}
