//! The arguments of `tidewatch vex`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tidewatch_core::names::StreamName;
use tidewatch_core::rule::Pattern;
use tidewatch_read_results::ImageIdentity;

use super::Org;

#[derive(Debug, Subcommand)]
pub(crate) enum Vex {
    /// Put OpenVEX documents in force: what they say is not affected does not count.
    #[command(after_help = "\
Examples:
  tidewatch vex add web.vex.json
  tidewatch vex add vex/*.json --org acme

All images are judged again; until that is done the metrics have the numbers of before. Statements need products: a document that was uploaded is held by no image.")]
    Add(AddVex),
    /// List the documents in force.
    #[command(after_help = "\
Examples:
  tidewatch vex list
  tidewatch vex list --format json")]
    List(Org),
    /// Show a document as it was uploaded.
    #[command(after_help = "\
Examples:
  tidewatch vex show 4f53cda18c2b
  tidewatch vex show 4f53cda18c2b --format json")]
    Show(NamedVex),
    /// Take a document out of force.
    #[command(after_help = "\
Examples:
  tidewatch vex remove 4f53cda18c2b")]
    Remove(NamedVex),
    /// Print the exceptions in force as an OpenVEX document about images of a stream.
    #[command(after_help = "\
Examples:
  tidewatch vex export > acme.vex.json
  tidewatch vex export --stream production --repository 'payments/**'
  tidewatch vex export hub/team/web:1.4.2

A false positive becomes `not_affected`, an accepted risk `affected` with what was decided. Documents that were uploaded are not repeated.")]
    Export(Box<ExportVex>),
}

#[derive(Debug, Args)]
pub(crate) struct AddVex {
    /// The OpenVEX documents, in JSON.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) org: Org,
}

#[derive(Debug, Args)]
pub(crate) struct NamedVex {
    /// The document: the beginning of its id, as `tidewatch vex list` shows it.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) org: Org,
}

#[derive(Debug, Args)]
pub(crate) struct ExportVex {
    /// Only this image of the stream: REGISTRY/REPOSITORY:TAG, REGISTRY/REPOSITORY@DIGEST, or the digest of the manifest
    /// of a platform.
    #[arg(value_name = "IMAGE")]
    pub(crate) image: Option<ImageIdentity>,
    /// The images of this stream.
    #[arg(long, value_name = "NAME", default_value = "latest-indexed")]
    pub(crate) stream: StreamName,
    /// Only repositories, or repositories and tags, that match: team/web, team/**, *:1.*
    #[arg(long, value_name = "PATTERN")]
    pub(crate) repository: Option<Pattern>,
    /// Whose statements they are, in the document; the organisation without it.
    #[arg(long, value_name = "NAME")]
    pub(crate) author: Option<String>,
    #[command(flatten)]
    pub(crate) org: Org,
}
