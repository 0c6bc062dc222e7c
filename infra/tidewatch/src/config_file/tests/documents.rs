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
    let documents: Vec<PathBuf> =
        std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut found = 0;
    for document in documents.iter().chain([&root.join("README.md")]) {
        let text = std::fs::read_to_string(document).unwrap();
        let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        for block in blocks.filter(|block| block.starts_with("org:")) {
            found += 1;
            if let Err(problems) = parse(block) {
                panic!("{}: {problems:?}\n{block}", document.display());
            }
        }
    }
    assert!(found >= 2, "{found} configurations were found");
}
