//! The SPDX files of Bitnami's images, `opt/bitnami/NAME/.spdx-NAME.spdx`: the component that was built, and those that
//! were built into it. What else such a file lists, packages of languages, is found where it is installed.
//!
//! Specification: <https://spdx.github.io/spdx-spec/v2.3/package-information/>, the purl:
//! <https://github.com/package-url/purl-spec/blob/main/types-doc/bitnami-definition.md>.

use serde::Deserialize;
use tidewatch_core::package::{Package, PackageType};

use super::{Access, Evidence, Reader};
use crate::license::license_of;
use crate::paths;
use crate::pattern::PathPattern;
use crate::reading::lenient_json::{self, List, Object};
use crate::reading::purl::Purl;
use crate::reading::spdx_json::SpdxPackage;
use crate::reading::{InputFile, Problems, Reading, excerpt, short_text};

pub(super) const READER: Reader = Reader {
    id: "bitnami",
    paths: &[PathPattern::new("**/.spdx-*.spdx")],
    evidence: Evidence::Installed,
    file_bytes: 8 << 20,
    access: Access::Whole(read),
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    packages: List<Object<SpdxPackage>>,
}

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    let Some(document) = reading.problems.ok_or_add(lenient_json::parse::<Document>(file.bytes)) else {
        return reading;
    };
    for Object(component) in document.packages.0 {
        let package = package(&component, &mut reading.problems);
        if package.is_some_and(|package| !reading.add(package, file.packages)) {
            break;
        }
    }
    reading
}

/// The package, when its purl is one of Bitnami.
fn package(component: &SpdxPackage, problems: &mut Problems) -> Option<Package> {
    if !component.purl.starts_with("pkg:bitnami/") {
        return None;
    }
    let Some(purl) = Purl::parse(&component.purl).filter(|purl| !purl.version.is_empty()) else {
        let text = paths::text(component.purl.as_bytes());
        problems.add(|| format!("holds a purl without name or version: {}", excerpt(&text)));
        return None;
    };
    let name = problems.ok_or_add(short_text("package name", purl.name.as_bytes()))?;
    let version = problems.ok_or_add(short_text("version", purl.version.as_bytes()))?;
    let architecture = purl.architecture.map(|text| short_text("architecture", text.as_bytes()));
    Some(Package {
        architecture: architecture.and_then(|architecture| problems.ok_or_add(architecture)),
        license: license_of(component.license().as_bytes()),
        ..Package::new(PackageType::Bitnami, name, version, READER.id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    const PATH: &str = "opt/bitnami/postgresql/.spdx-postgresql.spdx";

    const SPDX: &str = r#"{
    "SPDXID": "SPDXRef-DOCUMENT",
    "spdxVersion": "SPDX-2.3",
    "creationInfo": {"created": "2025-02-02T05:18:41.934Z", "creators": ["Organization: Example"]},
    "name": "SPDX document for PostgreSQL 17.2.0",
    "dataLicense": "CC0-1.0",
    "documentDescribes": ["SPDXRef-postgresql"],
    "documentNamespace": "postgresql-17.2.0",
    "packages": [
        {
            "SPDXID": "SPDXRef-postgresql",
            "name": "postgresql",
            "versionInfo": "17.2.0-8",
            "licenseConcluded": "PostgreSQL",
            "licenseDeclared": "PostgreSQL",
            "filesAnalyzed": false,
            "externalRefs": [
                {"referenceCategory": "SECURITY", "referenceType": "cpe23Type",
                 "referenceLocator": "cpe:2.3:*:postgresql:postgresql:17.2.0:*:*:*:*:*:*:*"},
                {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                 "referenceLocator": "pkg:bitnami/postgresql@17.2.0-8?arch=arm64&distro=debian-12"}
            ],
            "copyrightText": "NOASSERTION"
        },
        {
            "name": "geos", "versionInfo": "3.13.0", "licenseConcluded": "NOASSERTION", "licenseDeclared": "LGPL-2.1-only",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": "pkg:bitnami/geos@3.13.0"}]
        },
        {
            "name": "pljava-api", "versionInfo": "1.6.8",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": "pkg:maven/org.postgresql/pljava-api@1.6.8"}]
        }
    ],
    "relationships": [{"spdxElementId": "SPDXRef-postgresql", "relationshipType": "CONTAINS", "relatedSpdxElement": "SPDXRef-geos"}]
}"#;

    #[test]
    fn components_of_bitnami_count() {
        let reading = read(&file(PATH, SPDX.as_bytes()));
        insta::assert_json_snapshot!(reading.packages);
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn what_cannot_be_used_is_a_problem_and_does_not_lose_the_others() {
        let purls = ["pkg:bitnami/a", "pkg:bitnami/b%@1", "pkg:bitnami/@1", "pkg:bitnami/c@1"];
        let packages = purls.map(|purl| {
            format!(r#"{{"externalRefs": [{{"referenceType": "purl", "referenceLocator": "{purl}"}}]}}"#)
        });
        let text = format!(r#"{{"packages": [1, {{"externalRefs": {{}}}}, {}]}}"#, packages.join(","));
        let reading = read(&file(PATH, text.as_bytes()));
        assert_eq!(reading.packages.len(), 1);
        insta::assert_json_snapshot!(reading.problems.into_reasons());
        let tag_value = "SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\n";
        assert_eq!(read(&file(PATH, tag_value.as_bytes())).problems.into_reasons().len(), 1);
        let few = read(&InputFile { packages: 1, ..file(PATH, SPDX.as_bytes()) });
        assert_eq!((few.packages.len(), few.problems.into_reasons().len()), (1, 1));
    }
}
