//! The order of Alpine versions:
//! `digits{.digits}[letter]{_suffix[digits]}[~commit][-r digits]`, by the rules of apk-tools 3.
//!
//! Specification: <https://gitlab.alpinelinux.org/alpine/apk-tools/-/blob/master/doc/apk-package.5.scd>. The rules
//! agree with those of apk-tools 2 on every version that both call valid. Digits after the letter (`6.6.2p1`) are
//! valid only in apk-tools 2, and are ordered as there: Alpine has released such packages (opensmtpd, sudo). All other
//! invalid versions were ordered differently by each release of apk-tools, so they are errors here.

use std::cmp::Ordering;

use super::OrderError;
use super::number::{Number, split_digits};

const SCHEME: &str = "apk";

/// Suffixes that come before the version without a suffix, in order.
const BEFORE: [&str; 4] = ["alpha", "beta", "pre", "rc"];
/// Suffixes that come after the version without a suffix, in order.
const AFTER: [&str; 5] = ["cvs", "svn", "git", "hg", "p"];

/// Compares two Alpine versions as `apk version -t` does. A version that does not follow the grammar is an error.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    Ok(parse(a)?.cmp(&parse(b)?))
}

/// One part of a version. The order of the variants is the order of versions that differ in the kind of a part for the
/// first time: a pre-release is older than the end of the version, and the end is older than all that can follow.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Before(usize),
    End,
    Revision(Number<'a>),
    Commit(&'a str),
    SuffixNumber(Number<'a>),
    After(usize),
    Letter(u8),
    Component(Component<'a>),
    First(Number<'a>),
}

/// A component after the first. One with a leading zero is a decimal fraction: it is compared as text, and is smaller
/// than one without.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Component<'a> {
    Fraction(&'a str),
    Whole(Number<'a>),
}

impl<'a> Component<'a> {
    fn new(digits: &'a str) -> Self {
        if digits.starts_with('0') { Self::Fraction(digits) } else { Self::Whole(Number::new(digits)) }
    }
}

fn parse(text: &str) -> Result<Vec<Part<'_>>, OrderError> {
    let error = |reason| OrderError::new(text, SCHEME, reason);
    let mut parts = Vec::with_capacity(8);
    let (first, mut rest) = digits(text).ok_or_else(|| error("it does not begin with a digit"))?;
    parts.push(Part::First(Number::new(first)));
    loop {
        if let Some(after) = rest.strip_prefix('.') {
            let (component, after) = digits(after).ok_or_else(|| error("a component is no number"))?;
            parts.push(Part::Component(Component::new(component)));
            rest = after;
        } else if let Some(letter) = rest.bytes().next().filter(u8::is_ascii_lowercase) {
            parts.push(Part::Letter(letter));
            rest = &rest[1..];
            let Some((component, after)) = digits(rest) else { break };
            parts.push(Part::Component(Component::new(component)));
            rest = after;
        } else {
            break;
        }
    }
    while let Some(after) = rest.strip_prefix('_') {
        let (name, after) = split_while(after, |byte| byte.is_ascii_lowercase());
        parts.push(suffix(name).ok_or_else(|| error("a suffix is not known"))?);
        rest = after;
        if let Some((number, after)) = digits(rest) {
            parts.push(Part::SuffixNumber(Number::new(number)));
            rest = after;
        }
    }
    if let Some(after) = rest.strip_prefix('~') {
        let (commit, after) = split_while(after, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if commit.is_empty() {
            return Err(error("the commit is no lower-case hexadecimal number"));
        }
        parts.push(Part::Commit(commit));
        rest = after;
    }
    if let Some(after) = rest.strip_prefix("-r") {
        let (revision, after) = digits(after).ok_or_else(|| error("the revision is no number"))?;
        parts.push(Part::Revision(Number::new(revision)));
        rest = after;
    }
    if !rest.is_empty() {
        return Err(error("something follows that is not part of a version"));
    }
    parts.push(Part::End);
    Ok(parts)
}

fn suffix(name: &str) -> Option<Part<'static>> {
    let position = |names: &[&str]| names.iter().position(|known| *known == name);
    position(&BEFORE).map(Part::Before).or_else(|| position(&AFTER).map(Part::After))
}

/// The leading digits of `text`, at least one, and what follows them.
fn digits(text: &str) -> Option<(&str, &str)> {
    Some(split_digits(text)).filter(|(digits, _)| !digits.is_empty())
}

fn split_while(text: &str, belongs: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|byte| !belongs(byte)).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_before_a_release_and_after_it_keep_their_order() {
        let ordered = [
            "1.2_alpha",
            "1.2_alpha1",
            "1.2_beta",
            "1.2_pre",
            "1.2_rc",
            "1.2_rc2",
            "1.2",
            "1.2-r0",
            "1.2-r1",
            "1.2_cvs1",
            "1.2_svn1",
            "1.2_git1",
            "1.2_hg1",
            "1.2_p1",
            "1.2a",
            "1.2a1",
            "1.2a2",
            "1.2.0",
            "1.2.05",
            "1.2.1",
            "1.2.10",
        ];
        for pair in ordered.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ok(Ordering::Less), "{pair:?}");
        }
    }

    #[test]
    fn a_component_with_a_leading_zero_is_a_fraction() {
        assert_eq!(compare("8.2.0015", "8.2.002"), Ok(Ordering::Less));
        assert_eq!(compare("08.2", "8.2"), Ok(Ordering::Equal));
    }

    #[test]
    fn what_is_not_an_alpine_version_is_an_error() {
        for bad in [
            "", "a", ".1", "1..2", "1.0bc", "1_", "1_post", "1-r", "1-1", "1-r1-r2", "1~", "1~xy", "1 ",
            "1.é",
        ] {
            assert!(compare(bad, "1").is_err(), "{bad:?} was ordered");
        }
    }
}
