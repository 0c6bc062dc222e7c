//! Made-up versions of every scheme: short ones out of few characters, so that they are often equal or almost so.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

/// The form of the versions of each order, in the order of the table of orders.
pub(crate) const FORMS: [(&str, &str); 16] = [
    (
        "apk",
        "([0-2]{1,2}|a|\\.1)(\\.{1,2}[0-2]{1,2}){0,2}([abA][01]?b?)?(_(alpha|rc|git|p|foo)[01]?){0,2}(~[0a]{1,2})?((-|\\.|\\.-)r[0-2]|-r|--)?",
    ),
    ("bitnami", "v?[01]{1,2}(\\.[01]){0,3}(-((rc|b)[.-]?[0-2]{0,2}|[0-2]{1,2}(\\.a|-[ab1])?))?(-[0-2])?"),
    (
        "conda",
        "([01]!)?[0-2]{1,2}([._](a|rc|dev|post|\\*)?[01]{1,2}(a|B|dev|post)?){0,3}_?(\\+[01]\\.?[01a])?",
    ),
    ("cran", "[0-2]{1,2}([.-][0-2]{1,2}){0,3}"),
    ("dpkg", "([0-2]:)?[0-9][0-9a-b.+~]{0,4}(-[0-2a~+.]{1,3})?"),
    ("go", "(v|go)?[0-2]{1,2}(\\.[0-2]){0,2}(-0\\.[01]{2}-[0a]{2}|-?rc\\.?[0-2])?(\\+incompatible)?"),
    ("hackage", "[0-2]{1,2}(\\.[0-2]{1,2}){0,3}"),
    ("maven", "[0-1]?([.-]?(0|1|00|a|alpha|b1|rc|sp|final|ga|SNAPSHOT|x|Y)?){0,5}"),
    ("npm", " ?v?[01]{1,2}(\\.[01]){0,3}(-[01aA]{1,2}(\\.[01a-]{1,2}){0,2})?(\\+[01a])?"),
    ("nuget", "[01]{1,2}(\\.[01]{1,2}){0,3}(-[01aA]{1,2}(\\.[01a-]{1,2}){0,2})?(\\+[01a])?"),
    ("packagist", "v?[0-2]{1,2}([._-]?(0|1|a|b|rc|RC|dev|p|foo|x)){0,4}(\\+[01])?"),
    ("pub", "v?[01]{1,2}(\\.[01]){0,3}(-[01aA]{1,2}(\\.[01a-]{1,2}){0,2})?(\\+[01a]{1,2}(\\.[01])?)?"),
    (
        "pypi",
        "v?([01]!)?[01]{1,2}(\\.[01]){0,2}([.-]?(a|B|rc|pre)[.-]?[01]?)?([.-](post)?[01])?(\\.?dev[01]?)?(\\+[0a1.]{1,3}|-x|_)?",
    ),
    ("rpm", "([01]?:)?[0-2]{0,2}[0-2a.~^_-]{1,5}(-[0-2a.~^]{0,3})?"),
    ("rubygems", "[0-2]{1,2}(\\.([0-2]{1,2}|a|b1|rc|A)){0,4}(-[01a])?"),
    ("semver", "v?[01]{1,2}(\\.[01]){0,3}(-[01aA]{1,2}(\\.[01a-]{1,2}){0,2})?(\\+[01a])?"),
];

/// Versions of an order.
pub(crate) fn version(order: &str) -> BoxedStrategy<String> {
    let (_, form) = FORMS.iter().find(|(name, _)| *name == order).unwrap();
    proptest::string::string_regex(form).unwrap().boxed()
}

/// Pairs of versions of an order, always the same.
pub(crate) fn pairs(order: &str, count: usize) -> Vec<(String, String)> {
    pairs_of(&version(order), count)
}

/// Pairs of versions, always the same.
pub(crate) fn pairs_of(version: &impl Strategy<Value = String>, count: usize) -> Vec<(String, String)> {
    let mut runner = TestRunner::deterministic();
    let pair = (version, version);
    (0..count).map(|_| pair.new_tree(&mut runner).unwrap().current()).collect()
}
