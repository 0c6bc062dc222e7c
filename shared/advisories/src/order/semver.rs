//! The order of Semantic Versioning 2.0.0: `1.2.3-rc.1+build`, where the build does not count.
//!
//! Specification: <https://semver.org/spec/v2.0.0.html#spec-item-11>. Many ecosystems name their versions so and do not
//! enforce it; therefore a `v` may stand before the numbers, there may be fewer of them (the others are 0) or more, and
//! they may begin with zeros.

use std::cmp::Ordering;

use super::number::{Number, compare_dotted, is_number, is_numbers};
use super::{Order, OrderError};

/// The order of crates.io, Hex, Swift and others.
pub static ORDER: Order = Order { name: "semver", compare };

/// Compares two versions by the precedence of SemVer.
///
/// What does not begin with numbers is an error, and so is a pre-release or a build with an empty identifier or with
/// characters that none may hold.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    let read = |text| Version::parse(text).map_err(|reason| OrderError::new(text, ORDER.name, reason));
    Ok(read(a)?.precedence(&read(b)?))
}

/// A version in its three parts; a part that is not there is empty.
pub(super) struct Version<'a> {
    /// Numbers with dots between them.
    pub(super) numbers: &'a str,
    /// Identifiers with dots between them.
    pub(super) prerelease: &'a str,
    /// Identifiers with dots between them.
    pub(super) build: &'a str,
}

impl<'a> Version<'a> {
    /// Reads a version, or says why it is none.
    pub(super) fn parse(text: &'a str) -> Result<Self, &'static str> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        let (numbers, prerelease) =
            text.split_once('-').map_or((text, None), |(numbers, identifiers)| (numbers, Some(identifiers)));
        if !is_numbers(numbers, b".") {
            return Err("it does not begin with numbers");
        }
        if !prerelease.is_none_or(are_identifiers) {
            return Err("the pre-release is not made of identifiers");
        }
        if !build.is_none_or(are_identifiers) {
            return Err("the build is not made of identifiers");
        }
        let [prerelease, build] = [prerelease, build].map(Option::unwrap_or_default);
        Ok(Self { numbers, prerelease, build })
    }

    /// The order by precedence: the build does not count.
    pub(super) fn precedence(&self, other: &Self) -> Ordering {
        compare_dotted(self.numbers, other.numbers).then_with(|| {
            // A version without a pre-release comes after all that have one.
            let is_release = [self, other].map(|version| version.prerelease.is_empty());
            let releases = is_release[0].cmp(&is_release[1]);
            releases.then_with(|| identifiers(self.prerelease).cmp(identifiers(other.prerelease)))
        })
    }
}

/// One identifier of a pre-release or build: numbers come before texts, and are compared by value.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identifier<'a> {
    Number(Number<'a>),
    Text(&'a str),
}

/// The identifiers of a pre-release or build.
pub(super) fn identifiers(text: &str) -> impl Iterator<Item = Identifier<'_>> {
    text.split('.').map(|identifier| {
        if is_number(identifier) {
            Identifier::Number(Number::new(identifier))
        } else {
            Identifier::Text(identifier)
        }
    })
}

/// Whether `text` is identifiers with dots between them.
pub(super) fn are_identifiers(text: &str) -> bool {
    let is_identifier = |identifier: &str| {
        !identifier.is_empty() && identifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.split('.').all(is_identifier)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_equal, are_in_order, are_refused};
    use super::*;

    #[test]
    fn precedence_is_that_of_the_specification() {
        are_in_order(
            compare,
            &[
                "1.0.0-alpha",
                "1.0.0-alpha.1",
                "1.0.0-alpha.beta",
                "1.0.0-beta",
                "1.0.0-beta.2",
                "1.0.0-beta.11",
                "1.0.0-rc.1",
                "1.0.0",
                "2.0.0",
                "2.1.0",
                "2.1.1",
            ],
        );
        are_equal(compare, &["1.0.0", "1.0.0+1", "1.0.0+build.2", "v1.0.0", "1.0", "1", "01.0.0"]);
    }

    #[test]
    fn numbers_of_any_length_count() {
        let long = "9".repeat(300);
        are_in_order(compare, &["18446744073709551615.0.0", "18446744073709551616.0.0", &long]);
        are_in_order(compare, &["1.0.0-18446744073709551616", "1.0.0-18446744073709551617", "1.0.0-a"]);
    }

    #[test]
    fn what_is_no_version_is_refused() {
        are_refused(
            compare,
            &[
                "",
                "v",
                "1.",
                ".1",
                "1..2",
                "x",
                "1.2.3-",
                "1.2.3-a..b",
                "1.2.3-a_b",
                "1.2.3+",
                "1.2.3 ",
                "1.x",
            ],
        );
    }
}
