//! The order of Dart packages: SemVer, but the build counts: `1.0.0 < 1.0.0+1 < 1.0.0+a`.
//!
//! Specification: <https://pub.dev/documentation/pub_semver/latest/pub_semver/Version-class.html>

use std::cmp::Ordering;

use super::semver::{Version, identifiers};
use super::{Order, OrderError};

/// The order of Dart packages.
pub static ORDER: Order = Order { name: "pub", compare };

/// Compares two versions by the precedence of SemVer, then by their builds. What is no version is an error.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    let read = |text| Version::parse(text).map_err(|reason| OrderError::new(text, ORDER.name, reason));
    let (a, b) = (read(a)?, read(b)?);
    Ok(a.precedence(&b).then_with(|| {
        let has_build = [&a, &b].map(|version| !version.build.is_empty());
        has_build[0].cmp(&has_build[1]).then_with(|| identifiers(a.build).cmp(identifiers(b.build)))
    }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_equal, are_in_order, are_refused};
    use super::*;

    #[test]
    fn builds_count_last() {
        are_in_order(
            compare,
            &[
                "1.0.0-a",
                "1.0.0-a+1",
                "1.0.0",
                "1.0.0+1",
                "1.0.0+2",
                "1.0.0+10",
                "1.0.0+a",
                "1.0.0+a.1",
                "1.0.1",
            ],
        );
        are_equal(compare, &["1.0.0+1", "1.0.0+01", "v1.0.0+1"]);
        are_refused(compare, &["", "1.0.0+", "any"]);
    }
}
