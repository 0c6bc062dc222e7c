//! The document `tidewatch.inventory`, which docs/COMMAND.md describes.

use serde::Serialize;
use tidewatch_core::Digest;
use tidewatch_core::image::Platform;
use tidewatch_core::package::{Location, Package, SourcePackage};
use tidewatch_core::problem::Problem;
use tidewatch_inventory::READER_VERSION;

use super::Sbom;
use crate::failure::Failure;
use crate::output::document_text;

#[derive(Serialize)]
struct Document<'a> {
    reference: &'a str,
    digest: Option<Digest>,
    platform: Option<&'a Platform>,
    reader_version: u32,
    distribution: Option<Distribution<'a>>,
    packages: Vec<Row<'a>>,
    owned: Vec<Row<'a>>,
    problems: &'a [Problem],
}

#[derive(Serialize)]
struct Distribution<'a> {
    id: &'a str,
    version_id: Option<&'a str>,
    name: &'a str,
}

#[derive(Serialize)]
struct Row<'a> {
    r#type: &'a str,
    name: &'a str,
    version: &'a str,
    purl: String,
    architecture: Option<&'a str>,
    source: Option<&'a SourcePackage>,
    license: Option<&'a str>,
    sha1: Option<&'a str>,
    locations: &'a [Location],
    reader: &'a str,
}

pub(super) fn text(sbom: &Sbom<'_>) -> Result<String, Failure> {
    let inventory = &sbom.image.inventory;
    let document = Document {
        reference: sbom.reference,
        digest: sbom.image.digest,
        platform: sbom.image.platform.as_ref(),
        reader_version: READER_VERSION,
        distribution: inventory.distribution.as_ref().map(|distribution| Distribution {
            id: &distribution.id,
            version_id: distribution.version_id.as_deref(),
            name: &distribution.pretty_name,
        }),
        packages: inventory.packages.iter().map(|package| row(sbom, package)).collect(),
        owned: sbom.owned().iter().map(|package| row(sbom, package)).collect(),
        problems: &inventory.problems,
    };
    document_text("inventory", 1, &document)
}

fn row<'a>(sbom: &Sbom<'_>, package: &'a Package) -> Row<'a> {
    Row {
        r#type: package.package_type.as_str(),
        name: &package.name,
        version: &package.version,
        purl: sbom.purl(package),
        architecture: package.architecture.as_deref(),
        source: package.source.as_ref(),
        license: package.license.as_deref(),
        sha1: package.sha1.as_deref(),
        locations: &package.locations,
        reader: &package.reader,
    }
}
