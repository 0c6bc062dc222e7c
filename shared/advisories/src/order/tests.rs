//! What the tests of all orders share, and the tests of their table.

use std::cmp::Ordering;

use super::{Compare, ORDERS, Order};

/// That each version is older than all that follow it.
pub(super) fn are_in_order(compare: Compare, versions: &[&str]) {
    for (place, older) in versions.iter().enumerate() {
        assert_eq!(compare(older, older), Ok(Ordering::Equal), "{older:?}");
        for newer in &versions[place + 1..] {
            assert_eq!(compare(older, newer), Ok(Ordering::Less), "{older:?} {newer:?}");
            assert_eq!(compare(newer, older), Ok(Ordering::Greater), "{newer:?} {older:?}");
        }
    }
}

/// That all versions are equal.
pub(super) fn are_equal(compare: Compare, versions: &[&str]) {
    for a in versions {
        for b in versions {
            assert_eq!(compare(a, b), Ok(Ordering::Equal), "{a:?} {b:?}");
        }
    }
}

/// That none of these can be ordered, on either side.
pub(super) fn are_refused(compare: Compare, versions: &[&str]) {
    for version in versions {
        for result in [compare(version, "1"), compare("1", version), compare(version, version)] {
            let error = result.expect_err(&format!("{version:?} was ordered"));
            assert_eq!(error.version(), *version);
        }
    }
}

#[test]
fn the_table_lists_every_order_once_and_in_order() {
    assert!(ORDERS.is_sorted_by(|a, b| a.name < b.name));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/order");
    let shared = ["ecosystems", "mod", "number", "tests", "text"];
    let names =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = names
        .map(|name| name.trim_end_matches(".rs").replace("pub_dev", "pub"))
        .filter(|name| !shared.contains(&name.as_str()))
        .collect();
    files.sort();
    let table: Vec<_> = ORDERS.iter().map(|order| order.name).collect();
    assert_eq!(files, table, "a file without its line in the table, or a line without its file");
}

#[test]
fn an_order_is_found_by_its_name() {
    for order in ORDERS {
        assert_eq!(Order::of_name(&order.name.to_uppercase()).map(|found| found.name), Some(order.name));
    }
    assert!(Order::of_name("debian").is_none());
}

#[test]
fn an_error_names_the_version_the_scheme_and_the_reason() {
    for order in ORDERS {
        let error = (order.compare)("1", "").unwrap_err().to_string();
        let begin = format!("failed to order \"\" as a version of {}: ", order.name);
        assert!(error.starts_with(&begin) && error.len() > begin.len(), "{error}");
    }
}
