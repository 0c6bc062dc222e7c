//! The order of NuGet packages: SemVer with up to four numbers, where capitals do not count.
//!
//! Specification: <https://learn.microsoft.com/en-us/nuget/concepts/package-versioning>

use std::cmp::Ordering;

use super::number::{Number, compare_dotted, is_number, is_numbers};
use super::semver::are_identifiers;
use super::text::Caseless;
use super::{Order, OrderError};

/// The order of NuGet packages.
pub static ORDER: Order = Order { name: "nuget", compare };

/// Compares two versions as NuGet does: numbers that are not there are 0, and the build does not count. What is no
/// version, or has more than four numbers, is an error.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    let (a, b) = (Version::parse(a)?, Version::parse(b)?);
    Ok(compare_dotted(a.numbers, b.numbers)
        .then_with(|| a.prerelease.is_empty().cmp(&b.prerelease.is_empty()))
        .then_with(|| labels(a.prerelease).cmp(labels(b.prerelease))))
}

struct Version<'a> {
    numbers: &'a str,
    /// Labels with dots between them; empty for a release.
    prerelease: &'a str,
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Result<Self, OrderError> {
        let error = |reason| OrderError::new(text, ORDER.name, reason);
        let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
        let (numbers, prerelease) =
            rest.split_once('-').map_or((rest, None), |(numbers, labels)| (numbers, Some(labels)));
        if !is_numbers(numbers, b".") {
            return Err(error("it does not begin with numbers"));
        }
        if numbers.bytes().filter(|byte| *byte == b'.').count() > 3 {
            return Err(error("it has more than four numbers"));
        }
        if !prerelease.is_none_or(are_identifiers) || !build.is_none_or(are_identifiers) {
            return Err(error("the pre-release or the build is not made of labels"));
        }
        Ok(Self { numbers, prerelease: prerelease.unwrap_or_default() })
    }
}

/// One label of a pre-release: numbers come before texts, and are compared by value.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Label<'a> {
    Number(Number<'a>),
    Text(Caseless<'a>),
}

fn labels(text: &str) -> impl Iterator<Item = Label<'_>> {
    text.split('.').map(|label| {
        if is_number(label) { Label::Number(Number::new(label)) } else { Label::Text(Caseless(label)) }
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_equal, are_in_order, are_refused};
    use super::*;

    #[test]
    fn four_numbers_and_a_pre_release_without_regard_to_capitals() {
        are_in_order(
            compare,
            &[
                "1.0.0-1",
                "1.0.0-ALPHA",
                "1.0.0-alpha.2",
                "1.0.0-Alpha.10",
                "1.0.0-beta",
                "1.0.0",
                "1.0.0.1",
                "1.0.1",
            ],
        );
        are_equal(compare, &["1", "1.0", "1.0.0.0", "01.0", "1.0+build"]);
        are_equal(compare, &["1.0-RC.1", "1.0.0-rc.01"]);
    }

    #[test]
    fn what_is_no_version_is_refused() {
        are_refused(compare, &["", "v1.0", "1.2.3.4.5", "1.*", "[1.0,2.0)", "1.0-", "1.0 ", "1.0-a_b"]);
    }
}
