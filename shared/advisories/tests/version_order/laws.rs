//! The laws of a total order, over made-up versions and over real ones, and what hostile versions cost.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::time::Instant;

use proptest::prelude::*;
use tidewatch_advisories::order::{Compare, ORDERS};

use crate::strategies::{FORMS, version};
use crate::tables::compare_of;
use crate::versions::{of_records, of_tables};

/// Three versions of one order.
fn three() -> impl Strategy<Value = (&'static str, [String; 3])> {
    prop::sample::select(ORDERS).prop_flat_map(|order| {
        let versions = [version(order.name), version(order.name), version(order.name)];
        (Just(order.name), versions)
    })
}

/// That `compare` is reflexive, antisymmetric and transitive on three versions, and equal ones are interchangeable.
fn is_a_total_order(compare: Compare, [a, b, c]: [&str; 3]) -> Result<(), TestCaseError> {
    let order = |a: &str, b: &str| compare(a, b).map_err(|error| TestCaseError::fail(error.to_string()));
    prop_assert_eq!(order(a, a)?, Ordering::Equal);
    prop_assert_eq!(order(a, b)?, order(b, a)?.reverse());
    if order(a, b)?.is_le() && order(b, c)?.is_le() {
        prop_assert!(order(a, c)?.is_le());
    }
    if order(a, b)?.is_eq() {
        prop_assert_eq!(order(a, c)?, order(b, c)?);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn versions_of_every_scheme_have_a_total_order((order, [a, b, c]) in three()) {
        let compare = compare_of(order);
        let orderable = [&a, &b, &c].iter().all(|version| compare(version, version).is_ok());
        if orderable {
            is_a_total_order(compare, [&a, &b, &c])?;
        }
    }

    #[test]
    fn any_text_is_ordered_or_refused_by_itself_whatever_the_other_is(
        a in ".{0,12}", b in "[0-9a-zA-Z.:~_r+!*#^ -]{0,12}", order in prop::sample::select(ORDERS)
    ) {
        let accepts = |version: &str| (order.compare)(version, version).is_ok();
        prop_assert_eq!((order.compare)(&a, &b).is_ok(), accepts(&a) && accepts(&b));
        prop_assert_eq!((order.compare)(&b, &a).is_ok(), accepts(&a) && accepts(&b));
    }
}

#[test]
fn every_order_has_a_form_of_versions_and_orders_half_of_their_pairs() {
    assert!(FORMS.iter().map(|(name, _)| *name).eq(ORDERS.iter().map(|order| order.name)));
    for order in ORDERS {
        let pairs = crate::strategies::pairs(order.name, 500);
        let ordered = pairs.iter().filter(|(a, b)| (order.compare)(a, b).is_ok()).count();
        assert!(ordered >= 250, "{}: {ordered} of 500", order.name);
    }
}

/// Orders with real versions of theirs: tables, ecosystems of OSV.
const REAL: [(&str, &[&str], &[&str]); 16] = [
    ("apk", &["alpine-versions", "alpine-versions-generated"], &["Alpine"]),
    ("bitnami", &[], &["Bitnami"]),
    ("conda", &["pypi-versions-generated"], &[]),
    ("cran", &["cran-versions", "cran-versions-generated"], &[]),
    ("dpkg", &["debian-versions", "debian-versions-generated"], &["Debian", "Ubuntu"]),
    ("go", &["semver-versions"], &["Go"]),
    ("hackage", &["hackage-versions"], &[]),
    ("maven", &["maven-versions", "maven-versions-generated"], &["Maven"]),
    ("npm", &["semver-versions"], &["npm"]),
    ("nuget", &["nuget-versions"], &[]),
    ("packagist", &["packagist-versions", "packagist-versions-generated"], &["Packagist"]),
    ("pub", &["pub-versions"], &[]),
    ("pypi", &["pypi-versions", "pypi-versions-generated"], &["PyPI"]),
    ("rpm", &["redhat-versions"], &["AlmaLinux"]),
    ("rubygems", &["rubygems-versions", "rubygems-versions-generated"], &["RubyGems"]),
    ("semver", &["semver-versions"], &["crates.io"]),
];

/// How many real versions may be refused, of a thousand: records of npm name ranges such as `1.3.0-*` as versions.
const REFUSED: [(&str, usize); 4] = [("apk", 1), ("bitnami", 1), ("conda", 5), ("npm", 20)];

/// The real versions that an order orders, sorted by it.
fn sorted(order: &str, tables: &[&str], ecosystems: &[&str]) -> Vec<String> {
    let compare = compare_of(order);
    let tables: Vec<String> = tables.iter().map(|table| format!("osv-scalibr/{table}.txt")).collect();
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    let mut versions: BTreeSet<String> = of_tables(&tables);
    versions.extend(ecosystems.iter().flat_map(|ecosystem| of_records(ecosystem)));
    // In PHP it is equal to every number, so it has no place among them.
    versions.retain(|version| order != "packagist" || !version.contains('#'));
    let (mut ordered, refused): (Vec<_>, Vec<_>) =
        versions.into_iter().partition(|version| compare(version, version).is_ok());
    eprintln!("{order}: {} real versions, and refused {refused:?}", ordered.len());
    let allowed = REFUSED.iter().find(|(name, _)| *name == order).map_or(0, |(_, allowed)| *allowed);
    assert!(refused.len() * 1000 <= (ordered.len() + refused.len()) * allowed, "{order}: {refused:?}");
    ordered.sort_by(|a, b| compare(a, b).unwrap());
    ordered
}

#[test]
fn real_versions_have_a_total_order() {
    for (order, tables, ecosystems) in REAL {
        let compare = compare_of(order);
        let versions = sorted(order, tables, ecosystems);
        for (place, older) in versions.iter().enumerate() {
            for distance in [1, 2, 7, 211, 5003] {
                let Some(newer) = versions.get(place + distance) else { break };
                let between = compare(older, newer).unwrap();
                assert!(between.is_le(), "{order}: {older} {newer}");
                assert_eq!(compare(newer, older), Ok(between.reverse()), "{order}: {older} {newer}");
                if between.is_eq() {
                    let third = &versions[(place * 7919) % versions.len()];
                    assert_eq!(
                        compare(older, third),
                        compare(newer, third),
                        "{order}: {older} {newer} {third}"
                    );
                }
            }
        }
    }
}

#[test]
fn hostile_versions_take_time_by_their_length_alone() {
    let begun = Instant::now();
    let units = [
        "1", "0", "0.", "1.", "a", "a1", "-", "1-", "1-0.", "~", "^", "_p", "+", "!", ".a", "é", "1a.",
        "0-0.", "-r",
    ];
    for unit in units {
        for begin in ["", "1", "1-", "1+"] {
            let long = begin.to_owned() + &unit.repeat(10_000 / unit.len());
            let longer = format!("{long}1");
            for order in ORDERS {
                let one = (order.compare)(&long, &longer);
                let other = (order.compare)(&longer, &long);
                assert_eq!(one.is_ok(), other.is_ok(), "{}: {begin}{unit}…", order.name);
            }
        }
    }
    // Quadratic time would be many minutes.
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
