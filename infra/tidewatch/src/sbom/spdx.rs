//! SPDX 2.3, in JSON. What a package was found by and where stands in its `sourceInfo`, and what could not be read in the
//! comment of the document.
//!
//! Specification: <https://spdx.github.io/spdx-spec/v2.3/>

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tidewatch_core::Digest;
use tidewatch_core::package::Package;

use super::license::License;
use super::{Sbom, TOOL, root, seconds, uuid};
use crate::failure::Failure;

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const ROOT: &str = "SPDXRef-Root";
const NO_ASSERTION: &str = "NOASSERTION";

/// Characters of a name that stand in an id.
const NAME: usize = 60;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    #[serde(rename = "documentNamespace")]
    namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    creation_info: CreationInfo,
    packages: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<ExtractedLicense>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreationInfo {
    created: String,
    creators: [String; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<String>,
    download_location: &'static str,
    files_analyzed: bool,
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    supplier: &'static str,
    primary_package_purpose: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
struct ExternalRef {
    #[serde(rename = "referenceCategory")]
    category: &'static str,
    #[serde(rename = "referenceType")]
    kind: &'static str,
    #[serde(rename = "referenceLocator")]
    locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtractedLicense {
    license_id: String,
    name: String,
    extracted_text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    #[serde(rename = "relationshipType")]
    kind: &'static str,
    related_spdx_element: String,
}

pub(super) fn document(sbom: &Sbom<'_>) -> Result<Document, Failure> {
    let mut licenses = Licenses::default();
    let mut packages = vec![root(sbom)];
    packages.extend(operating_system(sbom));
    let mut ids = BTreeSet::new();
    packages.extend(sbom.listed().map(|package| entry(sbom, package, &mut licenses, &mut ids)));
    let contained = packages.iter().skip(1).map(|package| relationship(ROOT, "CONTAINS", &package.id));
    let described = relationship(DOCUMENT, "DESCRIBES", ROOT);
    let (tool, version) = TOOL;
    let mut document = Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: sbom.reference.to_owned(),
        namespace: String::new(),
        comment: comment(sbom),
        creation_info: CreationInfo {
            created: seconds(sbom.created),
            creators: [format!("Tool: {tool}-{version}")],
        },
        relationships: std::iter::once(described).chain(contained).collect(),
        packages,
        has_extracted_licensing_infos: licenses.0.into_values().collect(),
    };
    document.namespace = format!("https://spdx.org/spdxdocs/tidewatch-{}", uuid(&document)?);
    Ok(document)
}

fn root(sbom: &Sbom<'_>) -> Entry {
    let is_image = sbom.image.digest.is_some();
    let platform = sbom.image.platform.as_ref().filter(|_| is_image);
    let digest =
        sbom.image.digest.map(|digest| Checksum { algorithm: "SHA256", checksum_value: digest.hex() });
    Entry {
        version_info: root::version(sbom),
        primary_package_purpose: if is_image { "CONTAINER" } else { "FILE" },
        source_info: platform.map(|platform| format!("the image for {platform}")),
        checksums: digest.into_iter().collect(),
        external_refs: root::purl(sbom).map(purl).into_iter().collect(),
        ..bare(ROOT.to_owned(), sbom.reference.to_owned())
    }
}

fn operating_system(sbom: &Sbom<'_>) -> Option<Entry> {
    let distribution = sbom.image.inventory.distribution.as_ref()?;
    let name = Some(distribution.pretty_name.clone()).filter(|name| !name.is_empty());
    Some(Entry {
        version_info: distribution.version_id.clone().filter(|version| !version.is_empty()),
        primary_package_purpose: "OPERATING-SYSTEM",
        source_info: name,
        ..bare("SPDXRef-OperatingSystem".to_owned(), distribution.id.clone())
    })
}

fn entry(sbom: &Sbom<'_>, package: &Package, licenses: &mut Licenses, ids: &mut BTreeSet<String>) -> Entry {
    let locator = sbom.purl(package);
    let sha1 = package.sha1.clone().map(|checksum_value| Checksum { algorithm: "SHA1", checksum_value });
    Entry {
        version_info: Some(package.version.clone()),
        license_declared: package
            .license
            .as_deref()
            .and_then(License::of)
            .map_or_else(|| NO_ASSERTION.to_owned(), |license| licenses.declare(license)),
        source_info: Some(source_info(package)),
        checksums: sha1.into_iter().collect(),
        external_refs: vec![purl(locator.clone())],
        ..bare(id(package, &locator, ids), package.name.clone())
    }
}

/// An entry of which nothing is known but its name.
fn bare(id: String, name: String) -> Entry {
    Entry {
        id,
        name,
        version_info: None,
        download_location: NO_ASSERTION,
        files_analyzed: false,
        license_concluded: NO_ASSERTION,
        license_declared: NO_ASSERTION.to_owned(),
        copyright_text: NO_ASSERTION,
        supplier: NO_ASSERTION,
        primary_package_purpose: "LIBRARY",
        source_info: None,
        checksums: Vec::new(),
        external_refs: Vec::new(),
    }
}

/// An id that says which package it is, and differs from all others.
fn id(package: &Package, purl: &str, ids: &mut BTreeSet<String>) -> String {
    let name: String = package
        .name
        .chars()
        .take(NAME)
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' })
        .collect();
    let hash = Digest::of(purl.as_bytes()).hex();
    let hash = hash.get(..16).unwrap_or_default();
    let first = format!("SPDXRef-{}-{name}-{hash}", package.package_type.as_str());
    let numbered = (2..=usize::MAX).map(|number| format!("{first}-{number}"));
    let id = std::iter::once(first.clone()).chain(numbered).find(|id| !ids.contains(id)).unwrap_or(first);
    ids.insert(id.clone());
    id
}

/// Where it was found and by what, and what it was built from.
fn source_info(package: &Package) -> String {
    let places: Vec<String> = package
        .locations
        .iter()
        .map(|location| format!("{} of layer {}", location.path, location.layer))
        .collect();
    let source = package.source.as_ref().map_or_else(String::new, |source| {
        format!("; built from source package {} {}", source.name, source.version)
    });
    format!("found by the reader {} in {}{source}", package.reader, places.join(", "))
}

fn comment(sbom: &Sbom<'_>) -> Option<String> {
    let problems: Vec<String> = sbom.problems().iter().map(ToString::to_string).collect();
    (!problems.is_empty()).then(|| {
        format!("Not everything could be read, so packages may be missing:\n{}", problems.join("\n"))
    })
}

fn purl(locator: String) -> ExternalRef {
    ExternalRef { category: "PACKAGE-MANAGER", kind: "purl", locator }
}

fn relationship(from: &str, kind: &'static str, to: &str) -> Relationship {
    Relationship { spdx_element_id: from.to_owned(), kind, related_spdx_element: to.to_owned() }
}

/// The licences that are not on the list of SPDX, by their ids: a document has to say what they are.
#[derive(Default)]
struct Licenses(BTreeMap<String, ExtractedLicense>);

impl Licenses {
    /// The expression for a licence.
    fn declare(&mut self, license: License) -> String {
        match license {
            License::Expression { text, references } => {
                for reference in references {
                    let said = "The package names this licence; its text is not known.".to_owned();
                    self.add(&reference, &reference, said);
                }
                text
            }
            License::Words(words) => {
                let id = License::id_of_words(&words);
                self.add(&id, &words, words.clone());
                id
            }
        }
    }

    fn add(&mut self, id: &str, name: &str, extracted_text: String) {
        self.0.entry(id.to_owned()).or_insert_with(|| ExtractedLicense {
            license_id: id.to_owned(),
            name: name.to_owned(),
            extracted_text,
        });
    }
}
