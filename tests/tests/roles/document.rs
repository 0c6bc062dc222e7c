//! The document about deployment against the template: its tables name every parameter and output, with the defaults.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

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

#[test]
fn every_parameter_and_output_is_described_and_used() {
    let template = Template::read(&super::text());
    for section in ["Parameters", "Outputs"] {
        for (name, entry) in template.document[section].as_object().unwrap() {
            let description = entry["Description"].as_str().unwrap_or_default();
            assert!(description.ends_with('.'), "{section}: {name} is not described");
        }
    }
}
