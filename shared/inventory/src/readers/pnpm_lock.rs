//! The lock file of pnpm, `pnpm-lock.yaml`, versions 5 to 9. Packages that only developers need (`dev`) do not count; version
//! 9 does not mark them. YAML is read event by event: nothing is built of it, and no alias is followed.
//!
//! Specification: <https://github.com/pnpm/spec/tree/master/lockfile>.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser};

use super::{Access, Evidence, Reader};
use crate::paths;
use crate::pattern::PathPattern;
use crate::reading::npm;
use crate::reading::once::Once;
use crate::reading::{InputFile, Reading, excerpt, is_of_a_dependency};

/// The deepest nesting; pnpm writes 6 levels at most, and the parser needs memory for each.
const DEPTH: usize = 64;

pub(super) const READER: Reader = Reader {
    id: "pnpm-lock",
    paths: &[PathPattern::new("**/pnpm-lock.yaml")],
    evidence: Evidence::LockFile,
    file_bytes: 16 << 20,
    access: Access::Whole(read),
};

fn read(file: &InputFile<'_>) -> Reading {
    let mut packages = Once::new(file.packages);
    if is_of_a_dependency(file.path) {
        return packages.into_reading();
    }
    // Only comments of a lock file are no ASCII, and what is cut may end within a character.
    let text = String::from_utf8_lossy(file.bytes);
    let mut lock = Lock { version: None, entry: Entry::default(), packages: &mut packages };
    if let Err(error) = lock.read(&text) {
        packages.problems().add(|| error);
    }
    packages.into_reading()
}

/// The state of reading one file.
struct Lock<'p> {
    /// The major version of the lock file.
    version: Option<u32>,
    /// The package that is being read.
    entry: Entry,
    packages: &'p mut Once,
}

/// One of `packages`.
#[derive(Default)]
struct Entry {
    name: Option<String>,
    version: Option<String>,
    is_dev: bool,
}

/// A mapping or list that is open.
struct Level<'y> {
    is_mapping: bool,
    /// The key whose value comes next.
    key: Option<Cow<'y, str>>,
}

impl Lock<'_> {
    /// Reads all documents: newer versions of pnpm put a document about themselves before that of the project.
    fn read(&mut self, text: &str) -> Result<(), String> {
        let mut levels = Vec::<Level<'_>>::new();
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            match event.map_err(|error| format!("is no YAML that can be read: {error}"))?.0 {
                Event::DocumentStart(_) => levels.clear(),
                Event::Scalar(value, ..) => self.scalar(&mut levels, value)?,
                Event::Alias(_) => self.scalar(&mut levels, Cow::Borrowed(""))?,
                Event::MappingStart(..) => levels.push(Level { is_mapping: true, key: None }),
                Event::SequenceStart(..) => levels.push(Level { is_mapping: false, key: None }),
                Event::MappingEnd | Event::SequenceEnd => {
                    levels.pop();
                    self.value_end(&mut levels)?;
                }
                Event::StreamEnd => break,
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
            }
            if levels.len() > DEPTH {
                return Err(format!("is nested more than {DEPTH} deep"));
            }
            if self.packages.is_full() {
                break;
            }
        }
        Ok(())
    }

    /// Takes a key, or a value that has no parts.
    fn scalar<'y>(&mut self, levels: &mut [Level<'y>], value: Cow<'y, str>) -> Result<(), String> {
        let Some(level) = levels.last_mut() else { return Ok(()) };
        if !level.is_mapping {
            return Ok(());
        }
        if level.key.is_none() {
            level.key = Some(value);
            return Ok(());
        }
        match keys(levels).as_slice() {
            ["lockfileVersion"] => self.version = major_version(&value),
            ["packages", _, "name"] => self.entry.name = Some(value.into_owned()),
            ["packages", _, "version"] => self.entry.version = Some(value.into_owned()),
            ["packages", _, "dev"] => self.entry.is_dev = value == "true",
            _ => {}
        }
        self.value_end(levels)
    }

    /// A value has ended; that of a key of `packages` is a package.
    fn value_end(&mut self, levels: &mut [Level<'_>]) -> Result<(), String> {
        if let ["packages", key] = keys(levels).as_slice() {
            let entry = std::mem::take(&mut self.entry);
            let version = self.version.ok_or("names no lockfileVersion that is known before its packages")?;
            entry.add(key, version, self.packages);
        }
        if let Some(level) = levels.last_mut() {
            // What has parts may also be a key, and is then one without a text.
            let is_key = level.is_mapping && level.key.is_none();
            level.key = is_key.then_some(Cow::Borrowed(""));
        }
        Ok(())
    }
}

/// The keys that lead to the value that comes now, as far as they can be of a package; none when a list is among them.
fn keys<'k>(levels: &'k [Level<'_>]) -> Vec<&'k str> {
    const MOST: usize = 3;
    if levels.len() > MOST {
        return Vec::new();
    }
    let keys: Option<Vec<&str>> = levels.iter().map(|level| level.key.as_deref()).collect();
    keys.unwrap_or_default()
}

/// 5 of `5.4`, `5.3-inlineSpecifiers` and `'5.4'`.
fn major_version(text: &str) -> Option<u32> {
    text.split('.').next()?.parse().ok()
}

impl Entry {
    fn add(self, key: &str, lock_version: u32, packages: &mut Once) {
        if self.is_dev {
            return;
        }
        let from_key = name_and_version(key, lock_version);
        // What comes from elsewhere than the registry has an address as its key, and says both in its fields.
        let name = self.name.as_deref().or(from_key.map(|(name, _)| name));
        let version = self.version.as_deref().or(from_key.map(|(_, version)| version));
        if let Some(name) = name {
            npm::add(packages, name, version, READER.id);
        } else {
            let key = excerpt(&paths::text(excerpt(key).as_bytes()));
            packages.problems().add(|| format!("names the package {key:?} in no way that is known"));
        }
    }
}

/// Name and version in the key of a package: `/NAME/VERSION_PEERS` in version 5, `/NAME@VERSION(PEERS)` in versions 6 and 7,
/// `NAME@VERSION` since. An address may stand before the first slash of older ones.
fn name_and_version(key: &str, lock_version: u32) -> Option<(&str, &str)> {
    let key = key.split('(').next().unwrap_or(key);
    if lock_version >= 9 {
        return npm::split_name(key);
    }
    // Without a slash at the beginning it is another registry, or the address of a repository or file.
    let path = match key.strip_prefix('/') {
        Some(path) => path,
        None => key.split_once('/').filter(|(host, _)| host.contains('.') && !host.contains(':'))?.1,
    };
    if lock_version >= 6 {
        return npm::split_name(path);
    }
    let (name, version) = path.rsplit_once('/')?;
    Some((name, version.split('_').next().unwrap_or(version)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reading::file;

    fn read_text(text: &str) -> Reading {
        read(&file("app/pnpm-lock.yaml", text.as_bytes()))
    }

    fn names(reading: &Reading) -> Vec<String> {
        reading.packages.iter().map(|package| format!("{}@{}", package.name, package.version)).collect()
    }

    #[test]
    fn version_5_separates_by_slashes() {
        let reading = read_text(
            "lockfileVersion: 5.4

specifiers:
  react: ^17.0.0

dependencies:
  react: 17.0.2

packages:

  /@babel/core/7.17.9:
    resolution: {integrity: sha512-x}
    engines: {node: '>=6.9.0'}
    dependencies:
      version: 9.9.9
      name: no-package
    dev: false

  /react-dom/17.0.2_react@17.0.2:
    resolution: {integrity: sha512-x}
    peerDependencies:
      react: 17.0.2

  /ts-node/10.7.0_fzn43tb6bdtdxy2s3aqevve2su:
    resolution: {integrity: sha512-x}

  /mocha/9.0.0:
    resolution: {integrity: sha512-x}
    hasBin: true
    dev: true

  registry.example.com/@s/private/1.0.0:
    resolution: {integrity: sha512-x, tarball: https://registry.example.com/x.tgz}

  github.com/a/forked/0a1b2c3d:
    resolution: {tarball: https://codeload.github.com/a/forked/tar.gz/0a1b2c3d}
    name: forked
    version: 1.0.1
    dev: false

  file:vendor/packed-2.0.0.tgz:
    resolution: {integrity: sha512-x, tarball: file:vendor/packed-2.0.0.tgz}
    name: packed
    version: 2.0.0
",
        );
        assert_eq!(
            names(&reading),
            [
                "@babel/core@7.17.9",
                "react-dom@17.0.2",
                "ts-node@10.7.0",
                "@s/private@1.0.0",
                "forked@1.0.1",
                "packed@2.0.0"
            ]
        );
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn version_6_separates_by_at_signs() {
        let reading = read_text(
            "lockfileVersion: '6.0'

settings:
  autoInstallPeers: true

importers:
  .:
    dependencies:
      react:
        specifier: ^18.0.0
        version: 18.2.0

packages:

  /@babel/helper@7.24.7(@babel/core@7.24.7):
    resolution: {integrity: sha512-x}
  /react@18.2.0:
    resolution: {integrity: sha512-x}
    dependencies:
      loose-envify: 1.4.0
    dev: false
  /mocha@10.0.0:
    resolution: {integrity: sha512-x}
    dev: true
  '@codeload.github.com/a/forked/tar.gz/0a1b2c3d':
    resolution: {tarball: https://codeload.github.com/a/forked/tar.gz/0a1b2c3d}
    name: forked
    version: 1.0.1
",
        );
        assert_eq!(names(&reading), ["@babel/helper@7.24.7", "react@18.2.0", "forked@1.0.1"]);
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn version_9_has_no_slash_and_repeats_its_packages_with_their_peers() {
        let reading = read_text(
            "---
lockfileVersion: '9.0'

packages:

  pnpm@11.0.0:
    resolution: {integrity: sha512-x}

---
lockfileVersion: '9.0'

importers:

  .:
    dependencies:
      react-dom:
        specifier: ^18.0.0
        version: 18.2.0(react@18.2.0)

packages:

  '@babel/core@7.24.7':
    resolution: {integrity: sha512-x}
    engines: {node: '>=6.9.0'}

  react-dom@18.2.0:
    resolution: {integrity: sha512-x}
    peerDependencies:
      react: ^18.2.0

  forked@https://codeload.github.com/a/forked/tar.gz/0a1b2c3d:
    resolution: {tarball: https://codeload.github.com/a/forked/tar.gz/0a1b2c3d}
    version: 1.0.1

snapshots:

  '@babel/core@7.24.7': {}

  react-dom@18.2.0(react@18.2.0):
    dependencies:
      react: 18.2.0
",
        );
        assert_eq!(
            names(&reading),
            ["pnpm@11.0.0", "@babel/core@7.24.7", "react-dom@18.2.0", "forked@1.0.1"]
        );
        assert!(reading.problems.is_empty());
    }

    #[test]
    fn a_package_that_cannot_be_told_is_a_problem_and_the_others_count() {
        let reading = read_text(
            "lockfileVersion: 5.3\npackages:\n  what/1.0.0: {}\n  /a/latest: {}\n  /b/1.0.0: null\n  [c]: {}\n  ? {d: 1}\n  : /e/1.0.0\n  /f/1.0.0: {}\n",
        );
        assert_eq!(names(&reading), ["b@1.0.0", "f@1.0.0"]);
        assert_eq!(
            reading.problems.into_reasons(),
            [
                r#"names the package "what/1.0.0" in no way that is known"#,
                r#"names no version of a, but "latest""#,
                r#"names the package "" in no way that is known"#,
                r#"names the package "" in no way that is known"#,
            ]
        );
    }

    #[test]
    fn a_file_without_packages_or_without_a_version_is_read_as_what_it_is() {
        assert_eq!(read_text("lockfileVersion: '9.0'\n\nimporters:\n  .: {}\n"), Reading::default());
        assert_eq!(read_text(""), Reading::default());
        for text in ["packages:\n  /a/1.0.0: {}\n", "lockfileVersion: x\npackages:\n  /a/1.0.0: {}\n"] {
            let reading = read_text(text);
            assert!(reading.packages.is_empty());
            assert_eq!(reading.problems.into_reasons().len(), 1);
        }
    }

    #[test]
    fn what_was_read_of_a_broken_file_counts() {
        let reading = read_text("lockfileVersion: 5.3\npackages:\n  /a/1.0.0: {}\n  /b/1.0.0: {x: [}\n");
        assert_eq!(names(&reading), ["a@1.0.0"]);
        assert!(reading.problems.into_reasons()[0].starts_with("is no YAML that can be read"));
    }

    #[test]
    fn no_alias_is_followed_and_no_depth_is_without_end() {
        let levels: Vec<String> = (1..30)
            .map(|level| {
                let last = level - 1;
                format!("a{level}: &a{level} [{}*a{last}]\n", format!("*a{last},").repeat(20))
            })
            .collect();
        let bomb =
            format!("a0: &a0 x\n{}lockfileVersion: '9.0'\npackages:\n  a@1.0.0: *a29\n", levels.concat());
        assert_eq!(names(&read_text(&bomb)), ["a@1.0.0"]);
        for deep in [
            "[".repeat(1_000_000),
            "{a: ".repeat(1_000_000),
            "- ".repeat(1_000_000),
            (0..2000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<Vec<_>>().concat(),
        ] {
            assert_eq!(read_text(&deep).problems.into_reasons().len(), 1);
        }
    }

    #[test]
    fn very_many_packages_and_huge_texts_are_read_in_good_time() {
        let entries: Vec<String> = (0..100_000).map(|number| format!("  p{number}@1.0.0: {{}}\n")).collect();
        let text = format!("lockfileVersion: '9.0'\npackages:\n{}", entries.concat());
        assert_eq!(read_text(&text).packages.len(), 100_000);
        let long = "x".repeat(4 << 20);
        for text in [
            format!("lockfileVersion: '9.0'\npackages:\n  ? {long}@1.0.0\n  : {{}}\n"),
            format!("lockfileVersion: '9.0'\npackages:\n  a@1.0.0: {{version: {long}}}\n"),
            format!(
                "lockfileVersion: '9.0'\npackages:\n  a@1.0.0: {{version: \"{}\"}}\n",
                "\\x41".repeat(1 << 20)
            ),
        ] {
            let reading = read_text(&text);
            assert!(reading.packages.is_empty());
            let reasons = reading.problems.into_reasons();
            assert_eq!(reasons.len(), 1);
            assert!(reasons[0].len() < 200);
        }
    }

    proptest! {
        #[test]
        fn no_yaml_makes_it_panic(text in "(lockfileVersion: [5-9]\n)?(packages:\n)?([-a1:/@ {}\\[\\]&*!?|>'\"#,%\n\t]|  /a@1: ){0,40}") {
            for package in read_text(&text).packages {
                prop_assert!(!package.name.is_empty() && !package.version.is_empty());
            }
        }
    }
}
