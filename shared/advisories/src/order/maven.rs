//! The order of Maven artifacts: numbers and qualifiers, where what follows a hyphen weighs less than what follows a
//! dot: `1-rc1 < 1 < 1-sp < 1-other < 1-1 < 1.1`.
//!
//! Specification: <https://maven.apache.org/pom.html#version-order-specification>. What it says is no total order:
//! `2.9.0.RC1 < 2.9.0 < 2.9.0-1 < 2.9.0.RC1`, as a 0 weighs more than what follows a hyphen. Here whether a version is
//! older than one that ends before weighs most, so the last of these is not so.

use std::cmp::Ordering;

use super::number::{Number, split_digits};
use super::text::{Caseless, split_while};
use super::{Order, OrderError};

/// The order of Maven artifacts.
pub static ORDER: Order = Order { name: "maven", compare };

/// Compares two versions by the specification of Maven. A version that is empty or holds a character that Maven allows
/// in none, such as those of ranges and of properties that were not replaced, is an error.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    let (mut a, mut b) = (Tokens::of(a)?, Tokens::of(b)?);
    loop {
        let (left, right) = (a.take(), b.take());
        let order = left.cmp(&right);
        if order.is_ne() || left.0 == Side::End {
            return Ok(order);
        }
    }
}

/// How what begins with a token compares with the end of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Older,
    End,
    Newer,
}

/// One token. The order of the variants is the order of versions that differ in a token for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Token<'a> {
    End,
    WordAfterDot(Word<'a>),
    WordAfterHyphen(Word<'a>),
    NumberAfterHyphen(Number<'a>),
    NumberAfterDot(Number<'a>),
}

/// A qualifier. Up to a snapshot they come before the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Word<'a> {
    Alpha,
    Beta,
    Milestone,
    ReleaseCandidate,
    Snapshot,
    ServicePack,
    Other(Caseless<'a>),
}

impl<'a> Word<'a> {
    /// The qualifier; `None` for those that say nothing.
    fn of(word: &'a str, before_digit: bool) -> Option<Self> {
        let is = |names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
        let is_short = |name| before_digit && word.eq_ignore_ascii_case(name);
        Some(match word {
            _ if is(&["final", "ga", "release"]) => return None,
            _ if is(&["alpha"]) || is_short("a") => Self::Alpha,
            _ if is(&["beta"]) || is_short("b") => Self::Beta,
            _ if is(&["milestone"]) || is_short("m") => Self::Milestone,
            _ if is(&["rc", "cr"]) => Self::ReleaseCandidate,
            _ if is(&["snapshot"]) => Self::Snapshot,
            _ if is(&["sp"]) => Self::ServicePack,
            _ => Self::Other(Caseless(word)),
        })
    }
}

impl Token<'_> {
    /// Whether it is 0, which counts only when something follows that is no hyphen.
    fn is_null(self) -> bool {
        matches!(self, Self::NumberAfterHyphen(number) | Self::NumberAfterDot(number) if number.is_zero())
    }

    /// The side of what begins with this token, when it is not null.
    fn side(self) -> Side {
        match self {
            Self::End => Side::End,
            Self::WordAfterDot(word) | Self::WordAfterHyphen(word) if word <= Word::Snapshot => Side::Older,
            _ => Side::Newer,
        }
    }
}

/// The tokens of a version, each with its side, without those that are trimmed: what is null at the end and before
/// hyphens. They end with [`Token::End`], which repeats.
struct Tokens<'a> {
    rest: Scanner<'a>,
    /// How many of the next tokens are null and not trimmed, and their side.
    nulls: (usize, Side),
}

impl<'a> Tokens<'a> {
    fn of(text: &'a str) -> Result<Self, OrderError> {
        if text.is_empty() || text.bytes().any(is_illegal) {
            let reason = "it is empty or holds a character that no version may hold";
            return Err(OrderError::new(text, ORDER.name, reason));
        }
        Ok(Self { rest: Scanner { text, separator: Separator::Dot }, nulls: (0, Side::End) })
    }

    /// The next token. Each is scanned at most twice: once to see whether the null ones before it are trimmed.
    fn take(&mut self) -> (Side, Token<'a>) {
        if self.nulls.0 > 0 {
            self.nulls.0 -= 1;
            return (self.nulls.1, self.rest.take());
        }
        let mut before = self.rest;
        let mut token = self.rest.take();
        let mut nulls = 0;
        while token.is_null() {
            nulls += 1;
            let before_next = self.rest;
            let next = self.rest.take();
            match next {
                Token::NumberAfterDot(number) if number.is_zero() => {}
                Token::NumberAfterDot(_) | Token::WordAfterDot(_) => {
                    self.rest = before;
                    self.nulls = (nulls, next.side());
                    return self.take();
                }
                _ => (before, token, nulls) = (before_next, next, 0),
            }
        }
        (token.side(), token)
    }
}

/// Whether Maven allows this character in no version: those of paths, of ranges and of properties.
fn is_illegal(byte: u8) -> bool {
    match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'.' | b'-' | b'_' | b'+' => false,
        _ => byte <= b' ' || byte == 0x7f || br#"\/:"<>|?*[](){},$"#.contains(&byte),
    }
}

/// What stands before a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Separator {
    Dot,
    /// Also where digits follow letters, or letters digits.
    Hyphen,
    /// There is no token any more.
    End,
}

/// Cuts a version into all its tokens.
#[derive(Clone, Copy, Debug)]
struct Scanner<'a> {
    text: &'a str,
    /// What stands before `text`.
    separator: Separator,
}

impl<'a> Scanner<'a> {
    fn take(&mut self) -> Token<'a> {
        let separator = self.separator;
        // Between two separators there is a 0.
        let (digits, rest) = split_digits(self.text);
        let (word, rest) = match digits {
            "" => split_while(rest, |byte| !byte.is_ascii_digit() && !matches!(byte, b'.' | b'-')),
            _ => ("", rest),
        };
        let next = rest.bytes().next();
        self.separator = match next {
            None => Separator::End,
            Some(b'.') => Separator::Dot,
            Some(_) => Separator::Hyphen,
        };
        self.text = rest.strip_prefix(['.', '-']).unwrap_or(rest);
        let is_before_digit = next.is_some_and(|byte| byte.is_ascii_digit());
        let word = if word.is_empty() { None } else { Word::of(word, is_before_digit) };
        match (separator, word) {
            (Separator::Dot, Some(word)) => Token::WordAfterDot(word),
            (Separator::Dot, None) => Token::NumberAfterDot(Number::new(digits)),
            (Separator::Hyphen, Some(word)) => Token::WordAfterHyphen(word),
            (Separator::Hyphen, None) => Token::NumberAfterHyphen(Number::new(digits)),
            (Separator::End, _) => Token::End,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_equal, are_in_order, are_refused};
    use super::*;

    #[test]
    fn qualifiers_keep_their_order() {
        are_in_order(
            compare,
            &[
                "1-alpha2snapshot",
                "1-alpha2",
                "1-alpha-123",
                "1-beta-2",
                "1-beta123",
                "1-M2",
                "1-m11",
                "1-rc",
                "1-cr2",
                "1-rc123",
                "1-SNAPSHOT",
                "1",
                "1-sp",
                "1-sp2",
                "1-sp123",
                "1-abc",
                "1-def",
                "1-pom-1",
                "1-1-snapshot",
                "1-1",
                "1-2",
                "1-123",
                "1.0.1",
                "1.1",
            ],
        );
    }

    #[test]
    fn a_qualifier_after_a_dot_comes_before_one_after_a_hyphen() {
        are_in_order(
            compare,
            &["11.a2", "11.b11", "11.m2", "11-a1", "11", "11.a", "11.x", "11b", "11-c", "11m"],
        );
        are_in_order(
            compare,
            &["2.9-RC9", "2.9.0.Beta1", "2.9.0.RC1", "2.9.0.Final", "2.9.0-1", "2.9.0.SP1", "2.9.1"],
        );
    }

    #[test]
    fn what_says_nothing_does_not_count() {
        are_equal(compare, &["1", "1.0", "1.0.0.Final", "1.ga", "1.", "1-", "01", "1-0.0", "1.0-release.0"]);
        are_equal(compare, &["1-foo", "1.0.0-foo", "1foo.0", "1.0.0FOO-0"]);
        are_equal(compare, &["1-1", "1.0-1", "1-ga-1", "1.0-final.0-1"]);
    }

    #[test]
    fn zeros_count_before_what_follows_a_dot() {
        are_in_order(compare, &["0.0.rc", "0", "0.0.0-1", "0.0.sp", "0.0.1", "0.1", "0.1.0.1", "1"]);
        are_in_order(compare, &["1-0.rc", "1", "1-0.1", "1-1", "1.0.1"]);
        are_equal(compare, &["1-0.0.1", "1-.0.1", "1-ga.final.1"]);
    }

    #[test]
    fn what_is_no_version_is_refused() {
        are_refused(compare, &["", "${project.version}", "[1.0,2.0)", "1 2", "1.*"]);
    }
}
