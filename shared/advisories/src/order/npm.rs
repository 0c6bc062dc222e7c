//! The order of npm packages: SemVer, where white space around a version does not count.
//!
//! Specification: <https://github.com/npm/node-semver#versions>

use std::cmp::Ordering;

use super::semver::Version;
use super::{Order, OrderError};

/// The order of npm packages.
pub static ORDER: Order = Order { name: "npm", compare };

/// Compares two versions as npm's own library does, without its option `loose`; what has more or fewer than three
/// numbers, or longer ones than npm allows, is ordered all the same. What is no version is an error.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    Ok(read(a)?.precedence(&read(b)?))
}

fn read(text: &str) -> Result<Version<'_>, OrderError> {
    Version::parse(text.trim_ascii()).map_err(|reason| OrderError::new(text, ORDER.name, reason))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_equal, are_refused};
    use super::*;

    #[test]
    fn white_space_and_builds_do_not_count() {
        are_equal(compare, &["1.2.3", "  v1.2.3+build", "1.2.3+other\n"]);
    }

    #[test]
    fn what_only_looks_like_a_version_is_refused() {
        are_refused(
            compare,
            &["", " ", "hello, world", "xyz", "^1.2.3", "latest", "1.2.3 || 2", "git+ssh://host"],
        );
    }
}
