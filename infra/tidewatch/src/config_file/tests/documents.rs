//! The configurations in the documents are ones.

use std::path::{Path, PathBuf};

use tidewatch_tests::configuration_docs::{EXAMPLE, not_shown};

use super::{parse, yaml};

#[test]
fn the_example_of_the_page_is_a_configuration_and_shows_every_key() {
    parse(EXAMPLE).unwrap();
    let document = yaml::load(EXAMPLE).document.unwrap().to_json();
    assert_eq!(not_shown(&document).unwrap(), [""; 0]);
    let less = yaml::load("org: acme\nrules: [{id: r, schedule: {every: 6h}}]").document.unwrap().to_json();
    let missing = not_shown(&less).unwrap();
    assert!(
        missing.iter().any(|key| key == "Schedule.cron")
            && !missing.iter().any(|key| key == "Schedule.every")
    );
}

#[test]
fn every_configuration_in_the_documents_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = ["docs", "docs/registries"].map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let documents: Vec<PathBuf> = folders
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    let mut found = 0;
    for document in documents.iter().chain([&root.join("README.md")]) {
        let text = std::fs::read_to_string(document).unwrap();
        let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        // Those that are about registries leave the organisation out.
        let whole = |block: &str| match block {
            _ if block.starts_with("org:") => Some(block.to_owned()),
            _ if block.starts_with("registries:") => Some(format!("org: acme\n{block}")),
            _ => None,
        };
        for block in blocks.filter_map(whole) {
            found += 1;
            if let Err(problems) = parse(&block) {
                panic!("{}: {problems:?}\n{block}", document.display());
            }
        }
    }
    assert!(found >= 10, "{found} configurations were found");
}
