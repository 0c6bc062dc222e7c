//! The packages of Swift, by the URL of their repository without a scheme: GitHub's records.

use super::{Family, LANGUAGE};
use crate::order::semver;

pub(super) static FAMILY: Family = Family {
    id: "swift",
    ecosystem: "SwiftURL",
    name: |name| without_scheme(name).into(),
    compare: semver::compare,
    ..LANGUAGE
};

/// `github.com/apple/swift-nio` of `https://github.com/apple/swift-nio.git`.
fn without_scheme(name: &str) -> String {
    let name = name.split_once("://").map_or(name, |(_, name)| name);
    name.trim_end_matches('/').trim_end_matches(".git").to_lowercase()
}
