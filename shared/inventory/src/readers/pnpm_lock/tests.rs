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
    assert_eq!(names(&reading), ["pnpm@11.0.0", "@babel/core@7.24.7", "react-dom@18.2.0", "forked@1.0.1"]);
    assert!(reading.problems.is_empty());
}

#[test]
fn the_slash_of_older_versions_may_be_left_in_version_9() {
    let reading = read_text("lockfileVersion: '9.0'\npackages:\n  /@s/a@1.0.0(b@2.0.0): {}\n");
    assert_eq!(names(&reading), ["@s/a@1.0.0"]);
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
    let bomb = format!("a0: &a0 x\n{}lockfileVersion: '9.0'\npackages:\n  a@1.0.0: *a29\n", levels.concat());
    assert_eq!(names(&read_text(&bomb)), ["a@1.0.0"]);
    for deep in [
        "[".repeat(200_000),
        "{a: ".repeat(200_000),
        "- ".repeat(200_000),
        (0..500).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<Vec<_>>().concat(),
    ] {
        assert_eq!(read_text(&deep).problems.into_reasons().len(), 1);
    }
}

#[test]
fn very_many_packages_and_huge_texts_are_read() {
    let entries: Vec<String> = (0..20_000).map(|number| format!("  p{number}@1.0.0: {{}}\n")).collect();
    let text = format!("lockfileVersion: '9.0'\npackages:\n{}", entries.concat());
    assert_eq!(read_text(&text).packages.len(), 20_000);
    let long = "x".repeat(1 << 20);
    for text in [
        format!("lockfileVersion: '9.0'\npackages:\n  ? {long}@1.0.0\n  : {{}}\n"),
        format!("lockfileVersion: '9.0'\npackages:\n  a@1.0.0: {{version: {long}}}\n"),
        format!(
            "lockfileVersion: '9.0'\npackages:\n  a@1.0.0: {{version: \"{}\"}}\n",
            "\\x41".repeat(1 << 18)
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
