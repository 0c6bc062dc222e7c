//! The lock files of npm, `package-lock.json` and `npm-shrinkwrap.json`, versions 1 to 3. What only developers need
//! (`dev`) is not in an image that was built for use, and does not count; nor do the project itself, its workspaces and
//! links to them.
//!
//! Specification: <https://docs.npmjs.com/cli/configuring-npm/package-lock-json>.

use serde::de::MapAccess;

use tidewatch_core::package::PackageType;

use super::{Access, Evidence, Reader};
use crate::pattern::PathPattern;
use crate::reading::json::{self, Visit};
use crate::reading::licenses::Licenses;
use crate::reading::once::Once;
use crate::reading::{InputFile, Reading, is_of_a_dependency, npm};

pub(super) const READER: Reader = Reader {
    id: "npm-lock",
    paths: &[PathPattern::new("**/package-lock.json"), PathPattern::new("**/npm-shrinkwrap.json")],
    evidence: Evidence::LockFile(PackageType::Npm),
    file_bytes: 32 << 20,
    access: Access::Whole(read),
};

fn read(file: &InputFile<'_>) -> Reading {
    if is_of_a_dependency(file.path) {
        return Reading::default();
    }
    let mut packages = Once::new(file.packages);
    let result =
        json::visit(file.bytes, &mut Lock { packages: &mut packages, version: 0, has_packages: false });
    packages.problems().ok_or_add(result);
    packages.into_reading()
}

/// The file.
struct Lock<'p> {
    packages: &'p mut Once,
    version: u64,
    has_packages: bool,
}

impl Visit for Lock<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
        match key {
            "lockfileVersion" => json::value(fields, &mut Number(&mut self.version)),
            "packages" => {
                self.has_packages = true;
                json::value(fields, &mut Places(self.packages))
            }
            // Version 2 says it all again in the older form, for older versions of npm.
            "dependencies" if self.version < 2 && !self.has_packages => {
                json::value(fields, &mut Dependencies(self.packages))
            }
            _ => json::skip(fields),
        }
    }
}

struct Number<'n>(&'n mut u64);

impl Visit for Number<'_> {
    fn number(&mut self, number: u64) {
        *self.0 = number;
    }
}

/// The packages of versions 2 and 3, by the folders that they are installed in.
struct Places<'p>(&'p mut Once);

impl Visit for Places<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
        let mut place = Place::default();
        json::value(fields, &mut place)?;
        place.add(key, self.0);
        Ok(())
    }
}

#[derive(Default)]
struct Place {
    name: Option<String>,
    version: Option<String>,
    license: Licenses,
    is_link: bool,
    is_dev: bool,
}

impl Visit for Place {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
        match key {
            "name" => self.name = json::text(fields)?,
            "version" => self.version = json::text(fields)?,
            "license" => json::value(fields, &mut self.license)?,
            "link" => self.is_link = json::truth(fields)?,
            "dev" => self.is_dev = json::truth(fields)?,
            _ => json::skip(fields)?,
        }
        Ok(())
    }
}

impl Place {
    fn add(self, path: &str, packages: &mut Once) {
        // The project itself and its workspaces lie in no node_modules.
        let folder = path.rsplit_once("node_modules/").map(|(_, folder)| folder);
        // Without a version there is no more than the place where somebody would have liked a peer.
        let (Some(folder), Some(version)) = (folder, &self.version) else { return };
        if self.is_link || self.is_dev {
            return;
        }
        // There is a name where the folder has another one.
        let name = self.name.as_deref().unwrap_or(folder);
        npm::add_licensed(packages, name, Some(version), self.license.into_license(), READER.id);
    }
}

/// The packages of version 1, by their names, each with those below it. They may be nested 60 deep.
struct Dependencies<'p>(&'p mut Once);

impl Visit for Dependencies<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
        let mut dependency = Dependency { packages: self.0, version: None, is_dev: false };
        json::value(fields, &mut dependency)?;
        dependency.add(key);
        Ok(())
    }
}

struct Dependency<'p> {
    packages: &'p mut Once,
    version: Option<String>,
    is_dev: bool,
}

impl Visit for Dependency<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error> {
        match key {
            "version" => self.version = json::text(fields)?,
            "dev" => self.is_dev = json::truth(fields)?,
            // Below a package that only developers need lies what it alone can use.
            "dependencies" if !self.is_dev => json::value(fields, &mut Dependencies(self.packages))?,
            _ => json::skip(fields)?,
        }
        Ok(())
    }
}

impl Dependency<'_> {
    fn add(self, name: &str) {
        let version = self.version.as_deref();
        // A folder of the project.
        let is_link = version.is_some_and(|version| version.starts_with("file:"));
        if self.is_dev || is_link {
            return;
        }
        let (name, version) = match version.and_then(npm::alias) {
            Some((name, version)) => (name, Some(version)),
            None => (name, version),
        };
        npm::add(self.packages, name, version, READER.id);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reading::file;

    const PATH: &str = "app/package-lock.json";

    fn read_text(text: &str) -> Reading {
        read(&file(PATH, text.as_bytes()))
    }

    fn names(reading: &Reading) -> Vec<String> {
        reading.packages.iter().map(|package| format!("{}@{}", package.name, package.version)).collect()
    }

    #[test]
    fn version_1_nests_its_packages() {
        let reading = read_text(
            r#"{
              "name": "shop", "version": "1.0.0", "lockfileVersion": 1, "requires": true,
              "dependencies": {
                "express": {
                  "version": "4.16.4", "resolved": "https://registry.example/express/-/express-4.16.4.tgz",
                  "integrity": "sha512-x", "requires": {"debug": "2.6.9"},
                  "dependencies": {
                    "debug": {"version": "2.6.9", "dependencies": {"ms": {"version": "2.0.0", "bundled": true}}}
                  }
                },
                "ms": {"version": "2.1.3", "optional": true},
                "also-ms": {"version": "npm:ms@2.0.0"},
                "@types/node": {"version": "npm:@types/node@18.0.0"},
                "mocha": {"version": "9.0.0", "dev": true, "dependencies": {"debug": {"version": "4.3.1"}}},
                "shared": {"version": "file:packages/shared"},
                "forked": {"version": "git+ssh://git@example.com/a/forked.git#0a1b2c", "from": "forked@example"}
              }
            }"#,
        );
        assert_eq!(
            names(&reading),
            ["ms@2.0.0", "debug@2.6.9", "express@4.16.4", "ms@2.1.3", "@types/node@18.0.0"]
        );
        assert_eq!(
            reading.problems.into_reasons(),
            [r#"names no version of forked, but "git+ssh://git@example.com/a/forked.git#0a1b2c""#]
        );
    }

    const PACKAGES: &str = r#"
        "packages": {
          "": {"name": "shop", "version": "1.0.0", "workspaces": ["packages/*"]},
          "node_modules/express": {"version": "4.18.2", "license": "MIT", "resolved": "https://x/express-4.18.2.tgz"},
          "node_modules/express/node_modules/@s/debug": {"version": "2.6.9", "inBundle": true},
          "node_modules/aliased": {"name": "lodash", "version": "4.17.21"},
          "node_modules/forked": {"version": "1.0.1", "resolved": "git+ssh://git@example.com/a/forked.git#0a1b2c"},
          "node_modules/mocha": {"version": "9.0.0", "dev": true},
          "node_modules/both": {"version": "1.0.0", "devOptional": true, "license": ["MIT", "ISC"]},
          "node_modules/peer": {"optional": true, "peer": true},
          "node_modules/broken": null,
          "node_modules/shared": {"resolved": "packages/shared", "link": true},
          "packages/shared": {"version": "2.0.0"},
          "packages/shared/node_modules/ms": {"version": "2.0.0"}
        }"#;

    #[test]
    fn versions_2_and_3_name_the_folders_of_their_packages() {
        let three = read_text(&format!(r#"{{"name": "shop", "lockfileVersion": 3, {PACKAGES}}}"#));
        insta::assert_json_snapshot!(three.packages);
        assert!(three.problems.is_empty());
        let older = r#""dependencies": {"express": {"version": "4.18.2"}, "x": {"version": "git+ssh://x"}}"#;
        let two = read_text(&format!(r#"{{"lockfileVersion": 2, {PACKAGES}, {older}}}"#));
        assert_eq!(two, three);
    }

    #[test]
    fn what_was_read_of_a_cut_file_counts() {
        let text = r#"{"lockfileVersion": 3, "packages": {"node_modules/a": {"version": "1.0.0"}, "node_modules/b": {"ver"#;
        let reading = read_text(text);
        assert_eq!(names(&reading), ["a@1.0.0"]);
        assert_eq!(reading.problems.into_reasons().len(), 1);
    }

    #[test]
    fn packages_nested_without_end_are_a_problem() {
        let text = format!(
            r#"{{"dependencies": {{{}"#,
            r#""a": {"version": "1.0.0", "dependencies": {"#.repeat(100_000)
        );
        let reading = read_text(&text);
        assert!(reading.packages.is_empty());
        assert!(reading.problems.into_reasons()[0].contains("recursion limit"));
    }

    #[test]
    fn very_many_packages_are_read_and_one_of_many_copies() {
        let entries: Vec<String> = (0..100_000)
            .map(|number| format!(r#""node_modules/p{number}": {{"version": "1.0.0"}}, "node_modules/x/node_modules/a": {{"version": "1.0.0"}}"#))
            .collect();
        let text = format!(r#"{{"lockfileVersion": 3, "packages": {{{}}}}}"#, entries.join(","));
        assert_eq!(read_text(&text).packages.len(), 100_001);
        let reading = read(&InputFile { packages: 10, ..file(PATH, text.as_bytes()) });
        assert_eq!((reading.packages.len(), reading.problems.into_reasons().len()), (10, 1));
    }

    #[test]
    fn huge_texts_are_problems_of_few_words() {
        let long = "x".repeat(1 << 20);
        let text = format!(
            r#"{{"packages": {{"node_modules/{long}": {{"version": "1"}}, "node_modules/a": {{"version": "{long}"}}}}}}"#
        );
        let reading = read_text(&text);
        assert!(reading.packages.is_empty());
        assert!(reading.problems.into_reasons().iter().all(|reason| reason.len() < 200));
    }

    proptest! {
        #[test]
        fn no_json_makes_it_panic(
            text in "(\\{|\\}|\\[|\\]|,|:|\"(packages|dependencies|version|name|dev|link|node_modules/a|a|npm:a@1|1)\"|true|1|\"dependencies\":\\{\"a\":\\{\"version\":\"1\",){0,30}",
        ) {
            for package in read_text(&format!("{{{text}")).packages {
                prop_assert!(!package.name.is_empty() && !package.version.is_empty());
            }
        }
    }
}
