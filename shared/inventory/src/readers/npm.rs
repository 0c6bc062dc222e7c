//! Installed JavaScript packages: the `package.json` of each, in `node_modules` or wherever else it is. An application's own
//! counts too when it has a name and a version.
//!
//! Specification: <https://docs.npmjs.com/cli/configuring-npm/package-json>.

use serde::de::MapAccess;
use tidewatch_core::package::{Package, PackageType};

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::json::{self, Visit};
use crate::reading::licenses::Licenses;
use crate::reading::npm::{name_of, version_of};
use crate::reading::{InputFile, Reading};

pub(super) const READER: Reader = Reader {
    id: "npm",
    paths: &[PathPattern::new("**/package.json")],
    evidence: Evidence::Installed,
    // Old versions of npm wrote the whole readme of a package into it.
    file_bytes: 4 << 20,
    access: Access::Whole(read),
};

/// Folders in which packages keep what their tests read.
const TEST_FOLDERS: [&str; 7] =
    ["__fixtures__", "__tests__", "fixtures", "spec", "test", "test-fixtures", "tests"];

fn read(file: &InputFile<'_>) -> Reading {
    let mut reading = Reading::default();
    let mut manifest = Manifest::default();
    match json::visit(file.bytes, &mut manifest) {
        Ok(()) => {
            if let Some(package) = manifest.package() {
                reading.add(package, file.packages);
            }
        }
        // Tests of packages and templates have broken ones of their own, which are no packages.
        Err(error) if is_of_installed(file.path) => reading.problems.add(|| error.to_string()),
        Err(_) => {}
    }
    reading
}

/// Whether the file lies where a package manager puts that of a package: in `node_modules/NAME/` or
/// `node_modules/@SCOPE/NAME/`, but not where a package plays such a place for its tests.
fn is_of_installed(path: &str) -> bool {
    if path.split('/').any(|part| TEST_FOLDERS.contains(&part)) {
        return false;
    }
    let mut parts = path.rsplit('/').skip(1);
    let (name, above) = (parts.next(), parts.next());
    let above = if above.is_some_and(|part| part.starts_with('@')) { parts.next() } else { above };
    name.is_some() && above == Some("node_modules")
}

/// The fields that matter.
#[derive(Default)]
struct Manifest {
    name: Option<String>,
    version: Option<String>,
    license: Licenses,
    licenses: Licenses,
}

impl Visit for Manifest {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
        match key {
            "name" => self.name = json::text(fields)?,
            "version" => self.version = json::text(fields)?,
            "license" => json::value(fields, &mut self.license)?,
            "licenses" => json::value(fields, &mut self.licenses)?,
            _ => json::skip(fields)?,
        }
        Ok(())
    }
}

impl Manifest {
    /// The package; `None` when it is none. Many a folder of a package has a manifest that says no more than how its files
    /// are to be loaded.
    fn package(self) -> Option<Package> {
        let (name, version) = (self.name?, self.version?);
        let (name, version) = (name_of(&name)?, version_of(&version)?);
        Some(Package {
            license: self.license.into_license().or_else(|| self.licenses.into_license()),
            ..Package::new(PackageType::Npm, name, version, READER.id)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::file;

    const INSTALLED: &str = "app/node_modules/express/package.json";

    fn read_text(path: &str, text: &str) -> Reading {
        read(&file(path, text.as_bytes()))
    }

    #[test]
    fn a_package_has_name_version_and_licence() {
        let texts = [
            r#"{"name": "express", "version": "4.18.2", "license": "MIT", "private": false,
                "repository": {"directory": null}, "dependencies": []}"#,
            r#"{"_id": "glob@3.1.21", "name": "glob", "version": "3.1.21", "license": {"type": "BSD", "url": "x"}}"#,
            r#"{"name": "@angular/core", "version": "16.0.0",
                "licenses": [{"type": "MIT", "url": "x"}, {"type": "Apache-2.0"}]}"#,
            r#"{"name": "plain", "version": "v0.1.0"}"#,
        ];
        let packages: Vec<Package> =
            texts.iter().flat_map(|text| read_text(INSTALLED, text).packages).collect();
        insta::assert_json_snapshot!(packages);
    }

    #[test]
    fn an_application_counts_when_it_has_a_name_and_a_version() {
        let text = r#"{"name": "shop", "version": "1.0.0", "private": true}"#;
        assert_eq!(read_text("app/package.json", text).packages.len(), 1);
    }

    #[test]
    fn what_names_no_package_is_none() {
        for text in [
            "{}",
            "null",
            "[]",
            r#"{"type": "module"}"#,
            r#"{"name": "web-streams-ponyfill"}"#,
            r#"{"name": "x", "version": null}"#,
            r#"{"name": "x", "version": {"major": 1}}"#,
            r#"{"name": "", "version": "1.0.0"}"#,
            r#"{"name": "x", "version": ""}"#,
            r#"{"name": "<%= name %>", "version": "1.0.0"}"#,
            r#"{"name": "x", "version": "{{version}}"}"#,
        ] {
            assert_eq!(read_text(INSTALLED, text), Reading::default(), "{text}");
        }
    }

    #[test]
    fn a_broken_one_is_a_problem_only_where_a_package_is_installed() {
        for text in ["", "{", "// no JSON", r#"{"name": "x", "version": "1.0.0""#] {
            for path in [INSTALLED, "node_modules/@s/x/package.json"] {
                let reading = read_text(path, text);
                assert!(reading.packages.is_empty());
                assert_eq!(reading.problems.into_reasons().len(), 1, "{path} {text}");
            }
            for path in [
                "package.json",
                "node_modules/package.json",
                "app/node_modules/resolve/test/resolver/malformed_package_json/package.json",
                "app/node_modules/x/test/node_modules/broken/package.json",
                "usr/share/nodejs/x/package.json",
            ] {
                assert_eq!(read_text(path, text), Reading::default(), "{path} {text}");
            }
        }
    }

    #[test]
    fn a_value_that_is_too_long_is_none() {
        let long = "1".repeat(1025);
        let name = format!(r#"{{"name": "{long}", "version": "1.0.0"}}"#);
        assert_eq!(read_text(INSTALLED, &name), Reading::default());
    }
}
