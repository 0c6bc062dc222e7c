//! The order of Python versions before PEP 440, as `setuptools` had it: numbers and words by turns, where a word that
//! sorts before `final` marks a pre-release.
//!
//! Specification: <https://setuptools.pypa.io/en/latest/pkg_resources.html#parsing-utilities>

use super::super::OrderError;
use super::super::number::{Number, split_digits};
use super::super::text::{Caseless, split_while};
use super::ORDER;

/// One part of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part<'a> {
    Word(Caseless<'a>),
    Number(Number<'a>),
}

/// What ends every version: words before it are those of pre-releases.
const FINAL: Part<'static> = Part::Word(Caseless("final"));
/// A hyphen.
const HYPHEN: Part<'static> = Part::Word(Caseless("final-"));

/// The parts of a version, in the order of which versions are ordered.
pub(super) fn parse(text: &str) -> Result<Vec<Part<'_>>, OrderError> {
    let version = text.trim_ascii();
    if version.is_empty() {
        return Err(OrderError::new(text, ORDER.name, "it is empty"));
    }
    if version.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
        return Err(OrderError::new(text, ORDER.name, "it holds a character that no version may hold"));
    }
    let mut parts = Vec::with_capacity(8);
    let mut rest = version;
    while !rest.is_empty() {
        let (part, after) = split_part(rest);
        if let Some(part) = part {
            push(&mut parts, part);
        }
        rest = after;
    }
    push(&mut parts, FINAL);
    Ok(parts)
}

/// Adds a part. A word drops the zeros before it, and that of a pre-release the hyphens too.
fn push<'a>(parts: &mut Vec<Part<'a>>, part: Part<'a>) {
    let mut drop_all = |dropped| {
        while parts.last() == Some(&dropped) {
            parts.pop();
        }
    };
    if matches!(part, Part::Word(_)) {
        if part < FINAL {
            drop_all(HYPHEN);
        }
        drop_all(Part::Number(Number::ZERO));
    }
    parts.push(part);
}

/// The first part of `text`, if it counts, and what follows it.
fn split_part(text: &str) -> (Option<Part<'_>>, &str) {
    let (digits, rest) = split_digits(text);
    if !digits.is_empty() {
        return (Some(Part::Number(Number::new(digits))), rest);
    }
    if let Some(rest) = text.strip_prefix('.') {
        return (None, rest);
    }
    if let Some(rest) = text.strip_prefix('-') {
        return (Some(HYPHEN), rest);
    }
    let (word, rest) = split_while(text, |byte| byte.is_ascii_alphabetic());
    if word.is_empty() {
        let is_other = |byte: u8| !byte.is_ascii_alphanumeric() && !matches!(byte, b'.' | b'-');
        let (other, rest) = split_while(text, is_other);
        return (Some(Part::Word(Caseless(other))), rest);
    }
    let is = |names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
    let word = match word {
        _ if is(&["pre", "preview", "rc"]) => "c",
        _ if is(&["dev"]) => "@",
        _ => word,
    };
    (Some(Part::Word(Caseless(word))), rest)
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::super::super::tests::{are_equal, are_in_order};
    use super::super::compare;
    use super::*;

    #[test]
    fn words_before_final_are_pre_releases() {
        are_in_order(
            compare,
            &["1.0-x.dev", "1.0-x.a1", "1.0-x.rc1", "1.0-x", "1.0-x-1", "1.0-x.1", "1.0-y", "1.0.1-x"],
        );
    }

    #[test]
    fn zeros_at_the_end_of_numbers_do_not_count() {
        are_equal(compare, &["1-x", "1.0-x", "1.0.0-x.0", "1-X"]);
        are_equal(compare, &["1x-pre", "1x--rc", "1x.c"]);
        assert_eq!(compare("1.0-x", "1.0.1-x"), Ok(Ordering::Less));
    }

    #[test]
    fn a_long_version_takes_no_longer_than_its_length() {
        let long = "0-".repeat(100_000);
        assert_eq!(parse(&format!("{long}x")).unwrap().len(), 100_002);
    }
}
