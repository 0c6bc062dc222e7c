//! The order of Go modules and of the toolchain: SemVer with a `v` before it, also for pseudo-versions, and
//! `go1.21rc2`.
//!
//! Specifications: <https://go.dev/ref/mod#versions>, <https://go.dev/doc/toolchain#version>. Advisories about the
//! standard library write the toolchain's versions as SemVer: `go1.21rc2` is `1.21.0-rc.2` there.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::number::is_number;
use super::semver::Version;
use super::text::split_while;
use super::{Order, OrderError};

/// The order of Go modules and of the toolchain.
pub static ORDER: Order = Order { name: "go", compare };

/// Compares two versions of a module or of the toolchain; `+incompatible` and other builds do not count.
///
/// `(devel)`, which a program that was built from a working copy says of itself, and whatever else is no version, is an
/// error.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    let texts = [a, b].map(as_semver);
    let read =
        |semver, text| Version::parse(semver).map_err(|reason| OrderError::new(text, ORDER.name, reason));
    Ok(read(&texts[0], a)?.precedence(&read(&texts[1], b)?))
}

/// The version as SemVer, if it is one at all.
fn as_semver(text: &str) -> Cow<'_, str> {
    let release = match text.strip_prefix("go") {
        // A toolchain can name its maker and its experiments: `go1.21.3-acme`, `go1.21.3 X:boringcrypto`.
        Some(toolchain) => split_while(toolchain, |byte| !matches!(byte, b'-' | b' ')).0,
        None => text,
    };
    let (numbers, rest) = split_while(release, |byte| byte.is_ascii_digit() || byte == b'.');
    let (stage, number) = split_while(rest, |byte| byte.is_ascii_lowercase());
    if !numbers.is_empty() && matches!(stage, "alpha" | "beta" | "rc") && is_number(number) {
        return Cow::Owned(format!("{numbers}-{stage}.{number}"));
    }
    Cow::Borrowed(release)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_equal, are_in_order, are_refused};
    use super::*;

    #[test]
    fn pseudo_versions_are_ordered_by_their_time() {
        are_in_order(
            compare,
            &[
                "v0.0.0-20180101000000-ffffffffffff",
                "v0.0.0-20190101000000-0123456789ab",
                "v0.0.1",
                "v1.2.3",
                "v1.2.4-0.20190101000000-0123456789ab",
                "v1.2.4-pre",
                "v1.2.4-pre.0.20190101000000-0123456789ab",
                "v1.2.4",
                "v2.0.0+incompatible",
            ],
        );
        are_equal(compare, &["v2.0.0+incompatible", "v2.0.0", "2.0.0", "v2.0.0+dirty"]);
    }

    #[test]
    fn versions_of_the_toolchain_are_ordered_among_those_of_advisories() {
        are_in_order(
            compare,
            &[
                "go1.9.7",
                "1.21.0-0",
                "go1.21beta1",
                "1.21.0-rc.1",
                "go1.21rc2",
                "1.21.0-rc.3",
                "go1.21.0",
                "go1.21.10",
            ],
        );
        are_equal(compare, &["go1.21", "1.21.0", "go1.21.0-acme", "go1.21.0 X:boringcrypto"]);
        are_equal(compare, &["go1.21rc2", "1.21rc2", "1.21.0-rc.2"]);
    }

    #[test]
    fn what_is_no_version_is_refused() {
        are_refused(
            compare,
            &[
                "",
                "(devel)",
                "go",
                "gotip",
                "devel go1.22-abcdef",
                "v",
                "master",
                "go1.21rc",
                "go1.21x1",
                "rc1",
            ],
        );
    }
}
