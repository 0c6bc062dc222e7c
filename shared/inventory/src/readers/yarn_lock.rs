//! The lock file of Yarn, `yarn.lock`, in the form of Yarn 1 and in that of Yarn 2 and later (Berry). Packages that only
//! developers need count: the file does not tell them apart. Workspaces and links to folders of the project do not.
//!
//! Specification: <https://classic.yarnpkg.com/lang/en/docs/yarn-lock/>; of Berry, what writes it:
//! <https://github.com/yarnpkg/berry/blob/master/packages/yarnpkg-parsers/sources/syml.ts>.

use tidewatch_core::package::PackageType;

use super::{Access, Evidence, Reader};
use crate::paths;
use crate::pattern::PathPattern;
use crate::reading::npm::{add, alias, name_of, split_name};
use crate::reading::once::Once;
use crate::reading::{InputFile, Reading, excerpt, is_of_a_dependency};

pub(super) const READER: Reader = Reader {
    id: "yarn-lock",
    paths: &[PathPattern::new("**/yarn.lock")],
    evidence: Evidence::LockFile(PackageType::Npm),
    file_bytes: 32 << 20,
    access: Access::Whole(read),
};

fn read(file: &InputFile<'_>) -> Reading {
    let mut packages = Once::new(file.packages);
    if is_of_a_dependency(file.path) {
        return packages.into_reading();
    }
    let mut entry = None::<Entry>;
    for line in file.bytes.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii_end();
        match line.trim_ascii_start().first() {
            None | Some(b'#') => {}
            Some(_) if line.starts_with(b"  ") => {
                if let Some(entry) = &mut entry {
                    entry.field(line);
                }
            }
            // What follows a key of more than 1024 characters.
            Some(b':') if line == b":" => {}
            Some(_) => {
                entry.take().into_iter().for_each(|entry| entry.add(&mut packages));
                entry = Entry::with_key(line);
                if entry.is_none() {
                    let line = excerpt(&paths::text(line.get(..200).unwrap_or(line)));
                    packages
                        .problems()
                        .add(|| format!("is no lock file of Yarn: it holds the line {line:?}"));
                    break;
                }
            }
        }
        if packages.is_full() {
            break;
        }
    }
    // The last entry of a cut file may lack its end.
    entry.filter(|_| file.complete).into_iter().for_each(|entry| entry.add(&mut packages));
    packages.into_reading()
}

/// One package, and the ranges that it stands for.
#[derive(Debug, Default)]
struct Entry {
    /// The first of the ranges, `NAME@RANGE`.
    range: String,
    version: Option<String>,
    /// Of Yarn 1: the address that it came from.
    resolved: Option<String>,
    /// Of Berry: `NAME@PROTOCOL:REFERENCE`, of which the name is the real one.
    resolution: Option<String>,
}

impl Entry {
    /// An entry with the key `NAME@RANGE, NAME@RANGE…:`; `None` when the line is none. Yarn 1 quotes each range that needs
    /// it, Berry all together.
    fn with_key(line: &[u8]) -> Option<Self> {
        let line = str::from_utf8(line).ok()?;
        let key = match line.strip_prefix("? ") {
            Some(key) => key,
            None => line.strip_suffix(':')?,
        };
        let range = match key.strip_prefix('"') {
            Some(quoted) => quoted.split(['"', ',']).next()?,
            None => key.split(',').next()?,
        };
        Some(Self { range: range.trim().to_owned(), ..Self::default() })
    }

    /// Takes a line `  KEY VALUE` of Yarn 1, or `  KEY: VALUE` of Berry. What is further to the right is of a list.
    fn field(&mut self, line: &[u8]) {
        let Some((key, value)) = str::from_utf8(line)
            .ok()
            .and_then(|line| line.strip_prefix("  "))
            .and_then(|line| line.split_once(' '))
        else {
            return;
        };
        let place = match key.trim_end_matches(':') {
            "version" => &mut self.version,
            "resolution" => &mut self.resolution,
            "resolved" => &mut self.resolved,
            _ => return,
        };
        *place = Some(value.trim().trim_matches('"').to_owned());
    }

    fn add(self, packages: &mut Once) {
        if self.range == "__metadata" {
            return;
        }
        let locator = self.resolution.as_deref().unwrap_or(&self.range);
        let Some((name, reference)) = split_name(locator) else {
            let locator = excerpt(&paths::text(locator.as_bytes()));
            packages.problems().add(|| format!("names the package {locator:?} in no way that is known"));
            return;
        };
        let is_of_project =
            ["workspace:", "link:", "portal:"].iter().any(|protocol| reference.starts_with(protocol));
        if is_of_project {
            return;
        }
        // What the project has replaced by another package keeps its name in the key.
        let in_registry = self.resolved.as_deref().and_then(name_in_registry);
        let name = match alias(reference) {
            // In a resolution `npm:` is followed by no name.
            Some((real, _)) if self.resolution.is_none() => real,
            _ => name,
        };
        let name = in_registry.unwrap_or(name);
        add(packages, name, self.version.as_deref(), READER.id);
    }
}

/// `@SCOPE/NAME` of an address `https://REGISTRY/@SCOPE/NAME/-/NAME-VERSION.tgz`.
fn name_in_registry(address: &str) -> Option<&str> {
    let (folder, _) = address.split_once("/-/")?;
    let (above, name) = folder.rsplit_once('/')?;
    let scope = above.rsplit('/').next().filter(|part| part.starts_with('@'));
    let length = name.len() + scope.map_or(0, |scope| scope.len() + 1);
    name_of(folder.get(folder.len() - length..)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reading::file;

    fn read_text(text: &str) -> Reading {
        read(&file("app/yarn.lock", text.as_bytes()))
    }

    fn names(reading: &Reading) -> Vec<String> {
        reading.packages.iter().map(|package| format!("{}@{}", package.name, package.version)).collect()
    }

    const YARN_1: &str = r#"# THIS IS AN AUTOGENERATED FILE. DO NOT EDIT THIS FILE DIRECTLY.
# yarn lockfile v1


"@babel/code-frame@^7.0.0", "@babel/code-frame@^7.8.3":
  version "7.8.3"
  resolved "https://registry.example/@babel/code-frame/-/code-frame-7.8.3.tgz#33e2"
  integrity sha512-a9gxpmdXtZEInkCSHUJDLHZVBgb1QS0jhss4cPP93EW7s+uC5bikET2twEF3KV+7rDblJcmNvTR7VJejqd2C2g==
  dependencies:
    "@babel/highlight" "^7.8.3"
    version "^1.0.0"

ms@2.0.0:
  version "2.0.0"
  resolved "https://registry.example/ms/-/ms-2.0.0.tgz#5608"

"ms@^2.1.1 || >=3", ms@^2.1.3:
  version "2.1.3"

"old-ms@npm:ms@2.0.0":
  version "2.0.0"

"node@npm:@types/node@^18":
  version "18.0.0"

resize-observer-polyfill@^1.5.1:
  name resize-observer-polyfill
  version "1.5.2"
  resolved "https://npm.example.com/api/@4lolo/resize-observer-polyfill/-/resize-observer-polyfill-1.5.2.tgz#5886"

"forked@git+https://git@example.com/a/forked.git#main":
  version "1.0.1"
  resolved "git+https://git@example.com/a/forked.git#0a1b2c"

"shared@link:packages/shared":
  version "0.0.0"
  uid ""
"#;

    #[test]
    fn yarn_1_names_ranges_and_the_version_that_they_have() {
        let reading = read_text(YARN_1);
        assert_eq!(
            names(&reading),
            [
                "@babel/code-frame@7.8.3",
                "ms@2.0.0",
                "ms@2.1.3",
                "@types/node@18.0.0",
                "@4lolo/resize-observer-polyfill@1.5.2",
                "forked@1.0.1"
            ]
        );
        assert!(reading.problems.is_empty());
    }

    const BERRY: &str = r#"# This file is generated by running "yarn install" inside your project.
# Manual changes might be lost - proceed with caution!

__metadata:
  version: 8
  cacheKey: 10c0

"@babel/code-frame@npm:^7.0.0, @babel/code-frame@npm:^7.8.3":
  version: 7.12.11
  resolution: "@babel/code-frame@npm:7.12.11"
  dependencies:
    "@babel/highlight": "npm:^7.10.4"
  checksum: 10c0/3963eff3
  languageName: node
  linkType: hard

"old-ms@npm:ms@2.0.0":
  version: 2.0.0
  resolution: "ms@npm:2.0.0"
  languageName: node
  linkType: hard

"forked@https://github.com/a/forked.git#main":
  version: 1.0.1
  resolution: "forked@https://github.com/a/forked.git#commit=0a1b2c"
  linkType: hard

"resolve@npm:^1.22.0":
  version: 1.22.0
  resolution: "resolve@npm:1.22.0"
  linkType: hard

"resolve@patch:resolve@^1.22.0#~builtin<compat/resolve>":
  version: 1.22.0
  resolution: "resolve@patch:resolve@npm%3A1.22.0#~builtin<compat/resolve>::version=1.22.0&hash=07638b"
  linkType: hard

"shared@workspace:packages/shared":
  version: 0.0.0-use.local
  resolution: "shared@workspace:packages/shared"
  languageName: unknown
  linkType: soft

"shop@workspace:.":
  version: 0.0.0-use.local
  resolution: "shop@workspace:."
  linkType: soft

"near@link:../near::locator=shop%40workspace%3A.":
  version: 0.0.0-use.local
  resolution: "near@link:../near::locator=shop%40workspace%3A."
  linkType: soft
"#;

    #[test]
    fn berry_names_what_each_package_really_is() {
        let reading = read_text(BERRY);
        assert_eq!(
            names(&reading),
            ["@babel/code-frame@7.12.11", "ms@2.0.0", "forked@1.0.1", "resolve@1.22.0"]
        );
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn a_key_that_is_very_long_stands_on_a_line_of_its_own() {
        let ranges: Vec<String> = (0..100).map(|number| format!("debug@npm:^4.1.{number}")).collect();
        let text = format!(
            "? \"{}\"\n:\n  version: 4.3.4\n  resolution: \"debug@npm:4.3.4\"\n  linkType: hard\n",
            ranges.join(", ")
        );
        let reading = read_text(&text);
        assert_eq!(names(&reading), ["debug@4.3.4"]);
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn lines_may_end_as_on_windows_and_a_file_may_be_empty() {
        assert_eq!(read_text(&YARN_1.replace('\n', "\r\n")), read_text(YARN_1));
        assert_eq!(read_text("# yarn lockfile v1\n\n\n"), Reading::default());
        assert_eq!(read_text(""), Reading::default());
    }

    #[test]
    fn what_is_no_lock_file_is_a_problem_and_what_came_before_counts() {
        let conflict = "a@1:\n  version \"1.0.0\"\n\n<<<<<<< HEAD\nb@1:\n  version \"1.0.0\"\n";
        let reading = read_text(conflict);
        assert_eq!(names(&reading), ["a@1.0.0"]);
        assert_eq!(
            reading.problems.into_reasons(),
            [r#"is no lock file of Yarn: it holds the line "<<<<<<< HEAD""#]
        );
        let reading = read_text(&"\u{1b}".repeat(1 << 20));
        assert!(reading.problems.into_reasons()[0].len() < 400);
    }

    #[test]
    fn an_entry_without_a_version_is_a_problem_and_the_others_count() {
        let reading =
            read_text("a@1:\n  resolved \"x\"\n\nb@1:\n  version \"1.0.0\"\n\nc:\n  version \"1\"\n");
        assert_eq!(names(&reading), ["b@1.0.0"]);
        assert_eq!(
            reading.problems.into_reasons(),
            ["names no version of a", "names the package \"c\" in no way that is known"]
        );
    }

    #[test]
    fn the_last_entry_of_a_cut_file_does_not_count() {
        let text = "a@1:\n  version \"1.0.0\"\n\nb@1:\n  version \"1.0";
        let reading = read(&InputFile { complete: false, ..file("yarn.lock", text.as_bytes()) });
        assert_eq!(names(&reading), ["a@1.0.0"]);
    }

    #[test]
    fn very_many_packages_are_read() {
        let text: Vec<String> =
            (0..100_000).map(|number| format!("p{number}@^1:\n  version \"1.0.{number}\"\n\n")).collect();
        assert_eq!(read_text(&text.concat()).packages.len(), 100_000);
    }

    proptest! {
        #[test]
        fn no_lines_make_it_panic(
            text in "((\\? )?\"?[a@]{0,3}(npm:|workspace:)?[a@1.]{0,4}\"?,?:?\n|  (version|resolution):? \"?[a@1:]{0,6}\"?\n|[:#\n]){0,20}",
        ) {
            for package in read_text(&text).packages {
                prop_assert!(!package.name.is_empty() && !package.version.is_empty());
            }
        }
    }
}
