//! The order of Composer packages: that of PHP's `version_compare`, where a `v` before the version and the build do not
//! count.
//!
//! Specifications: <https://www.php.net/manual/en/function.version-compare.php>,
//! <https://github.com/composer/semver/blob/main/src/VersionParser.php>

use std::cmp::Ordering;

use super::number::{Number, split_digits};
use super::text::{is_made_of, split_while};
use super::{Order, OrderError};

/// The order of Composer packages.
pub static ORDER: Order = Order { name: "packagist", compare };

/// Compares two versions as PHP does, where `1.0 < 1.0.0`, and all words that it does not know are equal and older than
/// those that it knows.
///
/// As in PHP, a part `#` is equal to each number and to the end of a version, so only versions without it have a total
/// order; Composer allows it in none. A version that is empty or holds characters that none may hold is an error.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    let (mut a, mut b) = (Parts::of(a)?, Parts::of(b)?);
    loop {
        let (left, right) = (a.take(), b.take());
        if left == Part::End && right == Part::End {
            return Ok(Ordering::Equal);
        }
        let order = compare_part(left, right);
        if order.is_ne() {
            return Ok(order);
        }
    }
}

/// One part of a version. The order of the variants is the order of versions that differ in a part for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Unknown,
    Dev,
    Alpha,
    Beta,
    ReleaseCandidate,
    End,
    Number(Number<'a>),
    Patch,
    /// `#`, which stands for every number; see [`compare_part`].
    AnyNumber,
}

/// What `x` stands for in the name of a branch, `1.2.x-dev`: Composer writes it so.
const BRANCH: &str = "9999999";

fn compare_part(a: Part<'_>, b: Part<'_>) -> Ordering {
    let is_number = |part| matches!(part, Part::AnyNumber | Part::Number(_) | Part::End);
    match (a, b) {
        (Part::AnyNumber, other) | (other, Part::AnyNumber) if is_number(other) => Ordering::Equal,
        (Part::AnyNumber, other) => Part::End.cmp(&other),
        (other, Part::AnyNumber) => other.cmp(&Part::End),
        (a, b) => a.cmp(&b),
    }
}

/// What is left of a version; its parts end with [`Part::End`], which repeats.
struct Parts<'a>(&'a str);

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, OrderError> {
        if !is_made_of(text, b".-_+#/") {
            let reason = "it is empty or holds a character that no version may hold";
            return Err(OrderError::new(text, ORDER.name, reason));
        }
        let version = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let version = version.split_once('+').map_or(version, |(version, _)| version);
        if !version.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
            return Err(OrderError::new(text, ORDER.name, "it has neither a number nor a word"));
        }
        Ok(Self(version))
    }

    fn take(&mut self) -> Part<'a> {
        let is_separator = |byte: u8| matches!(byte, b'.' | b'-' | b'_');
        let text = split_while(self.0, is_separator).1;
        let (digits, rest) = split_digits(text);
        if !digits.is_empty() {
            self.0 = rest;
            return Part::Number(Number::new(digits));
        }
        let (word, rest) = split_while(text, |byte| !byte.is_ascii_digit() && !is_separator(byte));
        self.0 = rest;
        Self::word(word)
    }

    /// What a word is: as in PHP, only its beginning is looked at.
    fn word(word: &str) -> Part<'a> {
        let begins = |name| word.starts_with(name);
        match word {
            "" => Part::End,
            "x" => Part::Number(Number::new(BRANCH)),
            _ if begins("dev") => Part::Dev,
            _ if begins("a") => Part::Alpha,
            _ if begins("b") => Part::Beta,
            _ if begins("RC") || begins("rc") => Part::ReleaseCandidate,
            _ if begins("p") => Part::Patch,
            _ if begins("#") => Part::AnyNumber,
            _ => Part::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_equal, are_in_order, are_refused};
    use super::*;

    #[test]
    fn words_keep_their_order() {
        are_in_order(
            compare,
            &[
                "1.0-foo",
                "1.0-dev",
                "1.0a1",
                "1.0-alpha2",
                "1.0-beta.1",
                "1.0RC1",
                "v1.0",
                "1.0.0",
                "1.0.1",
                "1.0-p1",
                "1.0-post2",
            ],
        );
        are_in_order(compare, &["dev-main", "0.1", "1.2.3", "1.2.x-dev", "1.3.0"]);
    }

    #[test]
    fn separators_builds_and_unknown_words_do_not_count() {
        are_equal(compare, &["1.0.0-beta2", "v1.0.0beta2", "V1.0.0_b.2", "1.0.0-b2+build"]);
        are_equal(compare, &["1.0-pl1", "1.0-p1", "1.0-patch1"]);
        are_equal(compare, &["1.0-foo", "1.0-stable", "1.0-BETA"]);
        are_equal(compare, &["dev-main", "dev-feature/a#b"]);
    }

    #[test]
    fn a_hash_stands_for_every_number() {
        are_equal(compare, &["1.#", "1.#"]);
        for (a, b, order) in [
            ("1.#", "1", Ordering::Equal),
            ("1.#", "1.7", Ordering::Equal),
            ("1.#.1", "1", Ordering::Greater),
            ("1.#.beta", "1", Ordering::Less),
            ("1.#", "1.rc", Ordering::Greater),
            ("1.#", "1.p", Ordering::Less),
        ] {
            assert_eq!(compare(a, b), Ok(order), "{a} {b}");
            assert_eq!(compare(b, a), Ok(order.reverse()), "{b} {a}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        are_refused(compare, &["", "v", ".", "^1.0", "1.0 || 2.0", "1.0 as 2.0", "1.*", "1.0\n", "+1"]);
    }
}
