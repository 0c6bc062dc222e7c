//! The order of Alpine versions:
//! `digits{.digits}[letter]{_suffix[digits]}[~commit][-r digits]`, by the rules of apk-tools 3.
//!
//! Specification: <https://gitlab.alpinelinux.org/alpine/apk-tools/-/blob/master/doc/apk-package.5.scd>. The rules
//! agree with those of apk-tools 2 on every version that both call valid. Some that are invalid are there all the same,
//! such as `6.6.2p1` of opensmtpd, and every release of apk-tools orders them; see [`compare`].

use std::cmp::Ordering;

use super::number::{Number, split_digits};
use super::text::{is_made_of, split_while};
use super::{Order, OrderError};

/// The order of Alpine and of the distributions that use its packages.
pub static ORDER: Order = Order { name: "apk", compare };

/// Suffixes that come before the version without a suffix, in order.
const BEFORE: [&str; 4] = ["alpha", "beta", "pre", "rc"];
/// Suffixes that come after the version without a suffix, in order.
const AFTER: [&str; 5] = ["cvs", "svn", "git", "hg", "p"];

/// Compares two Alpine versions as `apk version -t` does.
///
/// Of invalid versions those are ordered that are read alike everywhere. Digits after the letter are a component, as in
/// apk-tools 2, and capital letters are letters. A number that is missing before a dot or a letter comes before the end
/// of a version, and so does what begins with an unknown suffix, with a second letter or after the revision, whatever
/// it is. `1.-r1` and `1.r1` are slips of the pen for `1-r1`, and `1-r` is `1-r0`. Every other version is an error.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    let (mut left, mut right) = (Parts::of(a)?, Parts::of(b)?);
    let error = |text| move |reason| OrderError::new(text, ORDER.name, reason);
    loop {
        let part = left.take().map_err(error(a))?;
        let order = part.cmp(&right.take().map_err(error(b))?);
        if order.is_ne() || part.is_last() {
            // What has not been looked at may be an error.
            left.finish().map_err(error(a))?;
            right.finish().map_err(error(b))?;
            return Ok(order);
        }
    }
}

/// Whether the version is valid, as `apk version --check` has it.
pub fn is_valid(version: &str) -> bool {
    Parts::of(version).is_ok_and(|mut parts| parts.finish().is_ok() && parts.valid)
}

/// One part of a version. The order of the variants is the order of versions that differ in the kind of a part for the
/// first time: a pre-release is older than the end of the version, and the end is older than all that can follow.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Before(usize),
    /// Invalid, with all that follows.
    Invalid,
    /// No number where there must be one.
    Missing,
    End,
    Revision(Number<'a>),
    Commit(&'a str),
    SuffixNumber(Number<'a>),
    After(usize),
    Letter(u8),
    Component(Component<'a>),
    First(Number<'a>),
}

impl Part<'_> {
    fn is_last(&self) -> bool {
        matches!(self, Self::Invalid | Self::End)
    }
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

/// What was read last. The order of the variants is that in a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Begin,
    Component,
    Letter,
    Suffix,
    SuffixNumber,
    Commit,
    Revision,
}

/// What is left of a version; its parts end with [`Part::End`] or [`Part::Invalid`], which repeat.
struct Parts<'a> {
    rest: &'a str,
    place: Place,
    /// Whether all that was read is valid.
    valid: bool,
}

/// A part, or why there is none.
type Taken<'a> = Result<Part<'a>, &'static str>;

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, OrderError> {
        if is_made_of(text, b"._~-") {
            return Ok(Self { rest: text, place: Place::Begin, valid: true });
        }
        Err(OrderError::new(text, ORDER.name, "it is empty or holds a character that no version may hold"))
    }

    /// Takes all parts that are left.
    fn finish(&mut self) -> Result<(), &'static str> {
        while !self.take()?.is_last() {}
        Ok(())
    }

    fn take(&mut self) -> Taken<'a> {
        let Some(first) = self.rest.bytes().next() else { return Ok(Part::End) };
        match (self.place, first) {
            (Place::Begin, _) => self.first(),
            (Place::Component, b'.') => self.component(),
            (Place::Component, letter) if letter.is_ascii_alphabetic() => {
                self.valid &= letter.is_ascii_lowercase();
                self.found(Part::Letter(letter), Place::Letter, &self.rest[1..])
            }
            (Place::Letter, letter) if letter.is_ascii_alphabetic() => self.invalid(),
            (Place::Letter, digit) if digit.is_ascii_digit() => {
                self.valid = false;
                let (digits, rest) = split_digits(self.rest);
                self.found(Part::Component(Component::new(digits)), Place::Component, rest)
            }
            (Place::Suffix, digit) if digit.is_ascii_digit() => {
                let (digits, rest) = split_digits(self.rest);
                self.found(Part::SuffixNumber(Number::new(digits)), Place::SuffixNumber, rest)
            }
            (place, b'_') if place <= Place::SuffixNumber => self.suffix(),
            (place, b'~') if place < Place::Commit => self.commit(),
            (place, b'-') if place < Place::Revision => self.revision(),
            (Place::Revision, b'-') => self.invalid(),
            _ => Err("something follows that is not part of a version"),
        }
    }

    /// Gives the part, and goes on to `rest`, at `place`.
    #[expect(clippy::unnecessary_wraps, reason = "it ends the functions that take a part")]
    fn found(&mut self, part: Part<'a>, place: Place, rest: &'a str) -> Taken<'a> {
        (self.place, self.rest) = (place, rest);
        Ok(part)
    }

    #[expect(clippy::unnecessary_wraps, reason = "it ends the functions that take a part")]
    fn invalid(&mut self) -> Taken<'a> {
        self.valid = false;
        Ok(Part::Invalid)
    }

    fn first(&mut self) -> Taken<'a> {
        let (digits, rest) = split_digits(self.rest);
        if !digits.is_empty() {
            return self.found(Part::First(Number::new(digits)), Place::Component, rest);
        }
        if rest.starts_with(|first: char| first == '.' || first.is_ascii_alphabetic()) {
            self.valid = false;
            return self.found(Part::Missing, Place::Component, rest);
        }
        Err("it does not begin with a number")
    }

    /// A dot and what follows it.
    fn component(&mut self) -> Taken<'a> {
        let (digits, rest) = split_digits(&self.rest[1..]);
        if !digits.is_empty() {
            return self.found(Part::Component(Component::new(digits)), Place::Component, rest);
        }
        self.valid = false;
        match rest.bytes().next() {
            Some(b'.') => self.found(Part::Missing, Place::Component, rest),
            Some(b'_' | b'~' | b'-') | None => {
                self.rest = rest;
                self.take()
            }
            Some(b'r') => match split_digits(&rest[1..]) {
                ("", _) => Err("a component is no number"),
                (digits, rest) => self.found(Part::Revision(Number::new(digits)), Place::Revision, rest),
            },
            Some(_) => Err("a component is no number"),
        }
    }

    fn suffix(&mut self) -> Taken<'a> {
        let (name, rest) = split_while(&self.rest[1..], |byte| byte.is_ascii_lowercase());
        let position = |names: &[&str]| names.iter().position(|known| *known == name);
        match position(&BEFORE).map(Part::Before).or_else(|| position(&AFTER).map(Part::After)) {
            Some(suffix) => self.found(suffix, Place::Suffix, rest),
            None if name.is_empty() => Err("a suffix is empty"),
            None => self.invalid(),
        }
    }

    fn commit(&mut self) -> Taken<'a> {
        let is_in_commit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match split_while(&self.rest[1..], is_in_commit) {
            ("", _) => Err("the commit is no lower-case hexadecimal number"),
            (commit, rest) => self.found(Part::Commit(commit), Place::Commit, rest),
        }
    }

    fn revision(&mut self) -> Taken<'a> {
        let Some(rest) = self.rest.strip_prefix("-r") else {
            return if self.rest.starts_with("--") {
                self.invalid()
            } else {
                Err("the revision is no number")
            };
        };
        let (digits, rest) = split_digits(rest);
        match rest.bytes().next() {
            Some(letter) if digits.is_empty() && letter.is_ascii_alphabetic() => self.invalid(),
            Some(other) if digits.is_empty() && other != b'-' => Err("the revision is no number"),
            _ => {
                self.valid &= !digits.is_empty();
                self.found(Part::Revision(Number::new(digits)), Place::Revision, rest)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_equal, are_in_order, are_refused};
    use super::*;

    #[test]
    fn suffixes_before_a_release_and_after_it_keep_their_order() {
        are_in_order(
            compare,
            &[
                "1.2_alpha",
                "1.2_alpha1",
                "1.2_beta",
                "1.2_pre",
                "1.2_rc",
                "1.2_rc2",
                "1.2",
                "1.2-r0",
                "1.2-r1",
                "1.2~0a",
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
            ],
        );
    }

    #[test]
    fn a_component_with_a_leading_zero_is_a_fraction() {
        are_in_order(compare, &["8.2.0015", "8.2.002", "8.2.1"]);
        are_equal(compare, &["08.2", "8.2"]);
    }

    #[test]
    fn what_is_invalid_comes_before_the_end_of_a_version() {
        are_in_order(
            compare,
            &["1.2_rc", "1.2_foo", "1.2..1", "1.2", "1.2-r1-r2", "1.2-r1", "1.2bc", "1.2b"],
        );
        are_in_order(compare, &["B1", "a", "b", "b1", ".1", ".2", "0", "1"]);
        are_equal(compare, &["1.2_foo", "1.2_bar1", "1.2--1", "1.2-rx"]);
    }

    #[test]
    fn slips_of_the_pen_are_read_as_they_are_meant() {
        are_equal(compare, &["1.2-r1", "1.2.-r1", "1.2.r1"]);
        are_equal(compare, &["1.2-r0", "1.2-r", "1.2.-r"]);
        are_equal(compare, &["1.2_p1", "1.2._p1"]);
    }

    #[test]
    fn versions_by_the_grammar_are_valid() {
        for good in ["1", "1.2.03", "1.2a", "1.2a_rc1_p", "1.2_git20240101~0af", "1.2~0af-r1", "1-r0"] {
            assert!(is_valid(good), "{good:?}");
        }
        for bad in [
            "", "a", ".1", "1.", "1..2", "1.0bc", "1.0A", "1.0a1", "1_", "1_post", "1-r", "1-1", "1-r1-r2",
            "1~", "1~xy", "1 ", "1.é", "1.r1",
        ] {
            assert!(!is_valid(bad), "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        are_refused(compare, &["", "1 ", ">=1", "1.é", "1:1", "1\n"]);
        are_refused(compare, &["-r1", "_rc", "1-1", "2.7.16-33", "57-1-r2", "2.15.r-r1", "1.x", "1.b2"]);
        are_refused(compare, &["1_", "1~", "1~xy", "1-r1_p1", "1-foo", "1-r_", "1~0a.1"]);
    }
}
