//! CycloneDX 1.6, in JSON. Where packages were found, and by which reader, stands in properties that begin with
//! `tidewatch:`, and so does what could not be read.
//!
//! Specification: <https://cyclonedx.org/docs/1.6/json/>

use std::collections::BTreeMap;

use serde::Serialize;
use tidewatch_core::package::{Package, PackageType};

use super::license::License;
use super::{Sbom, TOOL, root, seconds, uuid};
use crate::failure::Failure;

/// The reference of the component that the document is about.
const ROOT: &str = "root";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Component<'a>>,
    dependencies: Vec<Dependency>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    compositions: Vec<Composition>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    timestamp: String,
    tools: Tools<'a>,
    component: Component<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Tools<'a> {
    components: [Component<'a>; 1],
}

#[derive(Default, Serialize)]
struct Component<'a> {
    r#type: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    bom_ref: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<LicenseChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Hash<'a> {
    alg: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum LicenseChoice {
    Expression(String),
    License(NamedLicense),
}

#[derive(Serialize)]
struct NamedLicense {
    name: String,
}

#[derive(Serialize)]
struct Property {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct Dependency {
    r#ref: String,
    #[serde(rename = "dependsOn", skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
}

#[derive(Serialize)]
struct Composition {
    aggregate: &'static str,
    assemblies: [&'static str; 1],
}

pub(super) fn document<'a>(sbom: &Sbom<'a>) -> Result<Document<'a>, Failure> {
    let mut components: Vec<Component<'a>> = operating_system(sbom).into_iter().collect();
    let mut references = References::default();
    components.extend(sbom.listed().map(|package| component(sbom, package, &mut references)));
    let packages = components.iter().filter_map(|component| component.bom_ref.clone());
    let dependencies = vec![Dependency { r#ref: ROOT.to_owned(), depends_on: packages.collect() }];
    let is_partial = !sbom.problems().is_empty();
    let incomplete = Composition { aggregate: "incomplete", assemblies: [ROOT] };
    let mut document = Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: None,
        version: 1,
        metadata: metadata(sbom),
        components,
        dependencies,
        compositions: is_partial.then_some(incomplete).into_iter().collect(),
    };
    document.serial_number = Some(format!("urn:uuid:{}", uuid(&document)?));
    Ok(document)
}

fn metadata<'a>(sbom: &Sbom<'a>) -> Metadata<'a> {
    let (name, version) = TOOL;
    let tool =
        Component { r#type: "application", name, version: Some(version.to_owned()), ..Component::default() };
    let platform = sbom.image.platform.as_ref().map(|platform| property("platform", platform.to_string()));
    let component = Component {
        r#type: if sbom.image.digest.is_some() { "container" } else { "file" },
        bom_ref: Some(ROOT.to_owned()),
        name: sbom.reference,
        version: root::version(sbom),
        purl: root::purl(sbom),
        properties: platform.into_iter().collect(),
        ..Component::default()
    };
    let problems = sbom.problems().iter().map(|problem| property("problem", problem.to_string()));
    Metadata {
        timestamp: seconds(sbom.created),
        tools: Tools { components: [tool] },
        component,
        properties: problems.collect(),
    }
}

fn operating_system<'a>(sbom: &Sbom<'a>) -> Option<Component<'a>> {
    let distribution = sbom.image.inventory.distribution.as_ref()?;
    Some(Component {
        r#type: "operating-system",
        bom_ref: Some("operating-system".to_owned()),
        name: &distribution.id,
        version: distribution.version_id.clone(),
        description: Some(distribution.pretty_name.as_str()).filter(|name| !name.is_empty()),
        ..Component::default()
    })
}

fn component<'a>(sbom: &Sbom<'_>, package: &'a Package, references: &mut References) -> Component<'a> {
    let purl = sbom.purl(package);
    let (group, name) = group_and_name(package);
    let hashes = package.sha1.as_deref().map(|content| Hash { alg: "SHA-1", content });
    let license = package.license.as_deref().and_then(License::of).map(|license| match license {
        License::Expression { text, .. } => LicenseChoice::Expression(text),
        License::Words(name) => LicenseChoice::License(NamedLicense { name }),
    });
    Component {
        r#type: "library",
        bom_ref: Some(references.unique(&purl)),
        group,
        name,
        version: Some(package.version.clone()),
        description: None,
        hashes: hashes.into_iter().collect(),
        licenses: license.into_iter().collect(),
        purl: Some(purl),
        properties: properties(package),
    }
}

fn properties(package: &Package) -> Vec<Property> {
    let mut properties = vec![property("reader", package.reader.clone())];
    if let Some(source) = &package.source {
        properties.push(property("source:name", source.name.clone()));
        properties.push(property("source:version", source.version.clone()));
    }
    for (number, location) in package.locations.iter().enumerate() {
        properties.push(property(&format!("location:{number}:layer"), location.layer.to_string()));
        properties.push(property(&format!("location:{number}:path"), location.path.clone()));
    }
    properties
}

fn property(name: &str, value: String) -> Property {
    Property { name: format!("tidewatch:{name}"), value }
}

/// The group of types that have one apart from the name.
fn group_and_name(package: &Package) -> (Option<&str>, &str) {
    let separator = match package.package_type {
        PackageType::Maven => ':',
        PackageType::Npm | PackageType::Composer => '/',
        _ => return (None, &package.name),
    };
    package.name.split_once(separator).map_or((None, &package.name), |(group, name)| (Some(group), name))
}

/// References that were given out, by the purls that they begin with.
#[derive(Default)]
struct References(BTreeMap<String, usize>);

impl References {
    /// The purl; where several packages have it, all but the first with a number.
    fn unique(&mut self, purl: &str) -> String {
        let count = self.0.entry(purl.to_owned()).or_default();
        *count += 1;
        // Purls have no fragment of their own here.
        if *count == 1 { purl.to_owned() } else { format!("{purl}#{count}") }
    }
}
