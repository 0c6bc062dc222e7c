//! The commands on advisories: compile them, look them up, compare them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tidewatch_sync_advisories::{
    AMAZON_LINUX_VARIABLE, EOL_VARIABLE, KEV_VARIABLE, NVD_VARIABLE, OSV_VARIABLE, Place, Places,
    SettingsError,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Advisories {
    /// Compile advisories and put them in force.
    #[command(after_help = "\
Examples:
  tidewatch advisories build --from ./osv
  tidewatch advisories build --from ./osv --output ./indexes

DIR holds a folder for each ecosystem, as OSV publishes them: DIR/Debian/all.zip, or DIR/Debian/*.json; beside them \
'DIR/Amazon Linux/RELEASE/updateinfo.xml.gz', DIR/KEV/known_exploited_vulnerabilities.json, DIR/EOL/endoflife.json, and DIR/NVD/*.json.gz.")]
    Build(BuildAdvisories),
    /// Have advisories fetched now, by the instance that runs.
    #[command(after_help = "\
Examples:
  tidewatch advisories sync
  tidewatch advisories sync --wait
  tidewatch advisories sync --ecosystem Debian

What has not changed is not downloaded. A deployed stack fetches hourly without being told to, and so does tidewatch up.")]
    Sync(SyncAdvisories),
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
pub(crate) struct SyncAdvisories {
    /// What to fetch: an ecosystem by its name at OSV, KEV, EOL, or NVD and a year as NVD-2024; can be given several times.
    /// Without it: everything that is fetched.
    #[arg(long = "ecosystem", env = "TIDEWATCH_ECOSYSTEMS", value_name = "NAME", value_delimiter = ',')]
    pub(crate) names: Vec<String>,
    /// Wait until each was fetched or has failed, and show the progress; fail when one of them failed.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Take an archive even if it has less than half of the records of the one before.
    #[arg(long, requires = "names")]
    pub(crate) accept_fewer: bool,
}

/// Where advisories are.
#[derive(Debug, Args)]
#[allow(clippy::struct_field_names, reason = "they are the names of the options")]
pub(crate) struct AdvisoryPlaces {
    /// Where the archives of OSV are, as PLACE/ECOSYSTEM/all.zip: a URL, s3://BUCKET/PREFIX, or a folder; `none` to
    /// fetch nothing. Without it: the bucket of the OSV service.
    #[arg(long, env = OSV_VARIABLE, value_name = "PLACE", value_parser = place)]
    advisories_url: Option<String>,
    /// Where the repositories of Amazon Linux are, or `none`. Without it: where the distribution has them.
    #[arg(long, env = AMAZON_LINUX_VARIABLE, value_name = "PLACE", value_parser = place)]
    amazon_linux_url: Option<String>,
    /// Where CISA's catalogue of known exploited vulnerabilities is, or `none`. Without it: where the agency has it.
    #[arg(long, env = KEV_VARIABLE, value_name = "PLACE", value_parser = place)]
    kev_url: Option<String>,
    /// Where the table of endoflife.date is, which says until when distributions are supported, or `none`. Without it:
    /// where that has it.
    #[arg(long, env = EOL_VARIABLE, value_name = "PLACE", value_parser = place)]
    eol_url: Option<String>,
    /// Where the feeds of the NVD are, as PLACE/nvdcve-2.0-2024.json.gz, for scores of more CVEs: at their publisher
    /// <https://nvd.nist.gov/feeds/json/cve/2.0>. Without it they are not fetched.
    #[arg(long, env = NVD_VARIABLE, value_name = "PLACE", value_parser = place)]
    nvd_url: Option<String>,
}

impl AdvisoryPlaces {
    /// What was said of them.
    pub(crate) fn get(self) -> Places {
        let Self { advisories_url, amazon_linux_url, kev_url, eol_url, nvd_url } = self;
        let (osv, amazon_linux) = (advisories_url, amazon_linux_url);
        Places { osv, amazon_linux, kev: kev_url, eol: eol_url, nvd: nvd_url }
    }
}

/// Refuses what is no place. A variable that is empty is as good as not set.
fn place(text: &str) -> Result<String, SettingsError> {
    if !text.is_empty() {
        Place::parse_or_none(text)?;
    }
    Ok(text.to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct QueryAdvisories {
    /// The ecosystem, with its release where it has them: Debian:12, Alpine:v3.19, npm.
    #[arg(required_unless_present = "batch", requires = "package")]
    pub(crate) ecosystem: Option<String>,
    /// The name of the package; on distributions mostly that of the source package.
    pub(crate) package: Option<String>,
    /// Only the advisories that affect this version.
    // Every command has an option of the name of the field.
    #[arg(id = "of", value_name = "VERSION")]
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
