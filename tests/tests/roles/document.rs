//! The document about deployment against the template: its tables name every parameter and output, with the defaults.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::needs::{Code, Needs, every_queue};
use super::template::Template;

/// The first two cells of each row of the table below the heading `heading`.
fn rows(document: &str, heading: &str) -> BTreeSet<(String, String)> {
    let (_, section) = document.split_once(&format!("\n## {heading}\n")).expect(heading);
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    let cells = lines.map(|line| {
        let mut cells = line.split('|').skip(1).map(|cell| cell.trim().trim_matches('`').to_owned());
        (cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
    });
    cells.collect()
}

fn document() -> String {
    fs::read_to_string(super::root().join("docs/DEPLOY.md")).unwrap()
}

#[test]
fn the_document_names_every_parameter_with_its_default() {
    let template = Template::read(&super::text());
    let parameters = template.document["Parameters"].as_object().unwrap().iter().map(|(name, parameter)| {
        let default = match &parameter["Default"] {
            Value::String(text) if text.is_empty() => "none".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (name.clone(), default)
    });
    assert_eq!(rows(&document(), "Parameters"), parameters.collect());
}

/// What a function may do, as a row of the table in the document.
fn row(name: &str, needs: &Needs) -> String {
    let listed =
        |names: Vec<String>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let joined = |parts: [(&str, Vec<String>); 3]| {
        let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
        let parts: Vec<_> = parts.map(|(verb, names)| format!("{verb} {}", listed(names))).collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join("; ") }
    };
    let stored = || needs.stored.keys();
    let table =
        stored().filter_map(|(action, _)| action.strip_prefix("dynamodb:")).map(str::to_owned).collect();
    let folders = |wanted: &str| {
        let resources = stored().filter(|(action, _)| action == wanted).map(|(_, resource)| resource);
        let folders = resources.filter_map(|resource| resource.split('/').nth(1));
        folders.map(str::to_owned).collect::<Vec<_>>()
    };
    let objects = joined([
        ("reads", folders("s3:GetObject")),
        ("writes", folders("s3:PutObject")),
        ("deletes", folders("s3:DeleteObject")),
    ]);
    let queues = |ids: &BTreeSet<String>| ids.iter().map(|id| id.to_ascii_lowercase()).collect::<Vec<_>>();
    let used =
        joined([("reads", queues(&needs.reads)), ("sends to", queues(&needs.sends)), ("", Vec::new())]);
    let asked = if needs.asks == every_queue() {
        "asks all how much is in them".to_owned()
    } else {
        format!("asks {} how much is in it", listed(queues(&needs.asks)))
    };
    let queues = match (needs.asks.is_empty(), used.as_str()) {
        (true, _) => used,
        (false, "none") => asked,
        (false, _) => format!("{used}; {asked}"),
    };
    let secrets = if needs.reads_secrets { "reads" } else { "none" };
    let ecr = if needs.ecr.is_empty() { "none" } else { "reads" };
    format!("| {name} | {} | {objects} | {queues} | {secrets} | {ecr} |", listed(table))
}

#[test]
fn the_document_says_what_each_function_may_do() {
    let rows: Vec<_> =
        Code::read(&super::root()).functions.iter().map(|(name, needs)| row(name, needs)).collect();
    assert!(document().contains(&rows.join("\n")), "the rows are\n{}", rows.join("\n"));
}

#[test]
fn every_parameter_and_output_is_described() {
    let template = Template::read(&super::text());
    for section in ["Parameters", "Outputs"] {
        for (name, entry) in template.document[section].as_object().unwrap() {
            let description = entry["Description"].as_str().unwrap_or_default();
            assert!(description.ends_with('.'), "{section}: {name} is not described");
        }
    }
}
