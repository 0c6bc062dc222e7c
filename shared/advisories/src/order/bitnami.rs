//! The order of Bitnami's packages: SemVer with a revision of the package after it: `17.2.0 < 17.2.0-8 < 17.2.1`.
//!
//! Specification: <https://github.com/bitnami/go-version>. A suffix that begins with a digit is a revision;
//! one that begins with a letter is a pre-release, which can have a revision too: `1.2.3-rc1 < 1.2.3-rc1-2 < 1.2.3`.
//! Advisories write `1.22.0-0` for `1.22.0`.

use std::cmp::Ordering;

use super::number::{compare_dotted, is_number, is_numbers};
use super::semver::{are_identifiers, identifiers};
use super::{Order, OrderError};

/// The order of Bitnami's packages.
pub static ORDER: Order = Order { name: "bitnami", compare };

/// Compares two versions: by their numbers, then a pre-release before the release, then by revision; no revision is the
/// revision 0. What does not begin with numbers, or has an empty or an unknown part, is an error.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    let (a, b) = (Version::parse(a)?, Version::parse(b)?);
    Ok(compare_dotted(a.numbers, b.numbers)
        .then_with(|| a.prerelease.is_empty().cmp(&b.prerelease.is_empty()))
        .then_with(|| identifiers(a.prerelease).cmp(identifiers(b.prerelease)))
        .then_with(|| (!a.revision.is_empty()).cmp(&!b.revision.is_empty()))
        .then_with(|| revisions(a.revision).cmp(revisions(b.revision))))
}

/// A version in its parts; one that is not there is empty.
struct Version<'a> {
    numbers: &'a str,
    prerelease: &'a str,
    revision: &'a str,
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Result<Self, OrderError> {
        let error = |reason| OrderError::new(text, ORDER.name, reason);
        let rest = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let (rest, build) = rest.split_once('+').map_or((rest, None), |(rest, build)| (rest, Some(build)));
        let (numbers, suffix) =
            rest.split_once('-').map_or((rest, None), |(numbers, suffix)| (numbers, Some(suffix)));
        if !is_numbers(numbers, b".") {
            return Err(error("it does not begin with numbers"));
        }
        if !suffix.is_none_or(are_identifiers) || !build.is_none_or(are_identifiers) {
            return Err(error("what follows the numbers is neither a revision nor a pre-release"));
        }
        let suffix = suffix.unwrap_or_default();
        let (prerelease, revision) = if suffix.starts_with(|first: char| first.is_ascii_digit()) {
            ("", suffix)
        } else {
            suffix.rsplit_once('-').filter(|(_, last)| is_number(last)).unwrap_or((suffix, ""))
        };
        let is_zero = revision.bytes().all(|byte| byte == b'0');
        Ok(Self { numbers, prerelease, revision: if is_zero { "" } else { revision } })
    }
}

/// The parts of a revision, which are almost always one number: `8`, `10.el8`, `20250806193240-9b0b5d4f345f`.
fn revisions(text: &str) -> impl Iterator<Item = super::semver::Identifier<'_>> {
    text.split('-').flat_map(identifiers)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_equal, are_in_order, are_refused};
    use super::*;

    #[test]
    fn a_revision_comes_after_the_release_and_a_pre_release_before_it() {
        are_in_order(
            compare,
            &[
                "17.2.0-beta.2",
                "17.2.0-rc1",
                "17.2.0-rc1-2",
                "17.2.0-rc1-10",
                "17.2.0-rc2",
                "17.2.0",
                "17.2.0-8",
                "17.2.0-10",
                "17.2.0-10.el8",
                "17.2.1",
            ],
        );
        are_equal(compare, &["1.22.0", "1.22.0-0", "v1.22", "1.22.0+build"]);
    }

    #[test]
    fn what_is_no_version_is_refused() {
        are_refused(
            compare,
            &["", "nightly.2026-03-10.0", "1.2.3-", "1.2.3-rc_1", "1..2", "latest", "1.2.3-a_b"],
        );
    }
}
