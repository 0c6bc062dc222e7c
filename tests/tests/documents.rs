//! What the documents say of the code is so: the page of the configuration is made from it, the environment variables
//! are those that it reads, and links lead somewhere.

// Test code: a broken set-up ends the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tidewatch_testkit::fixtures;
use tidewatch_tests::configuration_docs::{VARIABLES, Variable, anchor, page, place};

/// How the names of the variables begin that are Tidewatch's own, as they stand in code.
const LITERAL: &str = "\"TIDEWATCH_";

#[test]
fn the_page_of_the_configuration_is_what_the_types_say() {
    let (written, made) = (std::fs::read_to_string(place()).unwrap(), page().unwrap());
    let differs = written.lines().zip(made.lines()).position(|(written, made)| written != made);
    assert!(
        written == made,
        "docs/CONFIGURATION.md is not what the types say, from line {} on: run `make docs`",
        differs.unwrap_or_else(|| written.lines().count().min(made.lines().count())) + 1
    );
}

#[test]
fn every_variable_that_the_code_reads_is_documented_and_every_documented_one_is_read() {
    let found = variables_in_the_code();
    assert!(found.contains("TIDEWATCH_DATA"), "the search finds nothing: {found:?}");
    let undocumented: Vec<_> =
        found.iter().filter(|name| VARIABLES.iter().all(|row| row.beginning() != name.as_str())).collect();
    assert!(undocumented.is_empty(), "no row in tests/src/configuration_docs/variables.rs: {undocumented:?}");
    let documented = VARIABLES.iter().map(Variable::beginning);
    let unread: Vec<_> = documented.filter(|name| !found.contains(*name)).collect();
    assert!(unread.is_empty(), "documented, but not read: {unread:?}");
}

#[test]
fn the_metrics_of_the_page_are_those_of_the_fixtures() {
    let text = std::fs::read_to_string(checkout().join("docs/METRICS.md")).unwrap();
    let shown = |name: &str, label: &str, value: &str| {
        let beginning = format!("{name}{{");
        let label = format!("{label}=\"{value}\"");
        let mut lines = text.lines().filter(|line| line.starts_with(&beginning) && line.contains(&label));
        let line = lines.next().unwrap_or_else(|| panic!("{name} has no line of {value}"));
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let expected = fixtures::expected().streams;
    let numbers = &expected["latest-indexed"];
    for (id, policy) in &numbers.policies {
        assert_eq!(shown("scout_policy_compliant_images", "id", id), policy.compliant, "{id}");
        assert_eq!(shown("scout_policy_evaluated_images", "id", id), policy.evaluated, "{id}");
    }
    for (severity, count) in &numbers.severities {
        assert_eq!(
            shown("scout_stream_vulnerabilities", "severity", severity.as_str()),
            *count,
            "{severity}"
        );
    }
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let mut wrong = Vec::new();
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for target in links(&text) {
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            let found = match std::fs::read_to_string(&file) {
                Ok(text) => heading.is_empty() || headings(&text).any(|found| anchor(found) == heading),
                Err(_) => heading.is_empty() && file.exists(),
            };
            if !found {
                wrong.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files with this extension in a folder and below.
fn files(folder: &Path, extension: &'static str) -> impl Iterator<Item = PathBuf> + use<> {
    let mut folders = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.into_iter()
}

/// The names that stand as texts in the code of the programs, without their tests.
fn variables_in_the_code() -> BTreeSet<String> {
    let root = checkout();
    let is_test = |path: &Path| {
        path.file_name().is_some_and(|name| name == "tests.rs")
            || path.strip_prefix(&root).unwrap().iter().any(|part| part == "tests" || part == "testkit")
    };
    let code =
        ["functions", "infra", "shared"].into_iter().flat_map(|folder| files(&root.join(folder), "rs"));
    let mut found = BTreeSet::new();
    for file in code.filter(|path| !is_test(path)) {
        let text = std::fs::read_to_string(&file).unwrap();
        let program = text.split("#[cfg(test)]\nmod ").next().unwrap();
        for (position, _) in program.match_indices(LITERAL) {
            let name = program[position + 1..].split(|c: char| !c.is_ascii_uppercase() && c != '_');
            found.extend(name.take(1).map(str::to_owned));
        }
    }
    found
}

fn documents() -> Vec<PathBuf> {
    let root = checkout();
    let top = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
    let top = top.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let below = ["docs", "infra", "tests"].into_iter().flat_map(|folder| files(&root.join(folder), "md"));
    // The frame's links are those of the page that is made of it.
    let all: Vec<_> = top.chain(below).filter(|path| !path.ends_with("frame.md")).collect();
    assert!(all.len() > 5, "{all:?}");
    all
}

/// The targets of links to this checkout.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = prose(text).flat_map(|line| {
        line.match_indices("](").map(|(position, _)| line[position + 2..].split(')').next().unwrap())
    });
    targets.filter(|target| !target.contains("://"))
}

fn headings(text: &str) -> impl Iterator<Item = &str> {
    prose(text).filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim())
}

/// The lines that do not stand in a block of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}
