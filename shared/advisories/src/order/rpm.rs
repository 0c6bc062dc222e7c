//! The order of RPM versions: `[epoch:]version[-release]`, where `~` sorts before the end and `^` after it.
//!
//! Specification: <https://rpm-software-management.github.io/rpm/man/rpm-version.7>

use std::cmp::Ordering;

use super::number::{Number, split_digits};
use super::text::split_while;
use super::{Order, OrderError};

/// The order of the distributions that use RPM.
pub static ORDER: Order = Order { name: "rpm", compare };

/// Compares two RPM versions as rpm does: no epoch is 0, and no release comes before every release.
///
/// As in rpm, characters that are neither ASCII letters nor digits only separate. An empty version, or one with white
/// space or control characters, is an error.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    let (a, b) = (Evr::parse(a)?, Evr::parse(b)?);
    Ok(a.epoch
        .cmp(&b.epoch)
        .then_with(|| Parts(a.version).cmp(Parts(b.version)))
        .then_with(|| a.release.is_some().cmp(&b.release.is_some()))
        .then_with(|| Parts(a.release.unwrap_or_default()).cmp(Parts(b.release.unwrap_or_default()))))
}

/// Epoch, version and release.
struct Evr<'a> {
    epoch: Number<'a>,
    version: &'a str,
    release: Option<&'a str>,
}

impl<'a> Evr<'a> {
    fn parse(text: &'a str) -> Result<Self, OrderError> {
        let error = |reason| Err(OrderError::new(text, ORDER.name, reason));
        if text.is_empty() {
            return error("it is empty");
        }
        if text.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
            return error("it holds a character that no version may hold");
        }
        // Only digits before a colon are an epoch; modules have colons elsewhere.
        let (digits, rest) = split_digits(text);
        let (epoch, rest) =
            rest.strip_prefix(':').map_or((Number::ZERO, text), |rest| (Number::new(digits), rest));
        let (version, release) =
            rest.rsplit_once('-').map_or((rest, None), |(version, release)| (version, Some(release)));
        Ok(Self { epoch, version, release })
    }
}

/// One part of a version or a release. The order of the variants is the order of versions that differ in the kind of a
/// part for the first time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Tilde,
    End,
    Caret,
    Letters(&'a str),
    Number(Number<'a>),
}

/// What is left of a version or a release; its parts end with [`Part::End`], which repeats.
struct Parts<'a>(&'a str);

impl Parts<'_> {
    fn cmp(mut self, mut other: Self) -> Ordering {
        loop {
            let (a, b) = (self.take(), other.take());
            let order = a.cmp(&b);
            if order.is_ne() || a == Part::End {
                return order;
            }
        }
    }
}

impl<'a> Parts<'a> {
    fn take(&mut self) -> Part<'a> {
        let belongs = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'~' | b'^');
        let (_, text) = split_while(self.0, |byte| !belongs(byte));
        let (part, rest) = match text.as_bytes().first() {
            None => (Part::End, text),
            Some(b'~') => (Part::Tilde, &text[1..]),
            Some(b'^') => (Part::Caret, &text[1..]),
            Some(byte) if byte.is_ascii_digit() => {
                let (digits, rest) = split_digits(text);
                (Part::Number(Number::new(digits)), rest)
            }
            Some(_) => {
                let (letters, rest) = split_while(text, |byte| byte.is_ascii_alphabetic());
                (Part::Letters(letters), rest)
            }
        };
        self.0 = rest;
        part
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_equal, are_in_order, are_refused};
    use super::*;

    #[test]
    fn a_tilde_comes_before_the_end_and_a_caret_after_it() {
        are_in_order(
            compare,
            &["1.0~rc1", "1.0~rc1^git1", "1.0~rc2", "1.0", "1.0^git1", "1.0a", "1.0.1", "1.01"],
        );
        are_in_order(compare, &["1-1~bootstrap", "1-1", "1-1^20240101", "1-1.el9"]);
    }

    #[test]
    fn an_epoch_outweighs_everything_and_only_digits_are_one() {
        are_in_order(compare, &["9", "1:0.1", "2:0.1"]);
        are_equal(compare, &["0:1-1", "1-1", "00:1-1", ":1-1"]);
        are_in_order(compare, &["1.module+el9.4.0:1", "4.module+el9.3.0:1"]);
    }

    #[test]
    fn no_release_comes_before_every_release() {
        are_in_order(compare, &["1", "1-", "1-0", "1-1", "1-1.el9", "1-2"]);
        are_in_order(compare, &["1-2-1", "1-2-2", "1-3-1"]);
    }

    #[test]
    fn separators_and_leading_zeros_do_not_count() {
        are_equal(compare, &["1.0-1", "1_0-1", "1..0-1", "1.0.-01", "1.α0-1"]);
    }

    #[test]
    fn what_no_version_may_hold_is_refused() {
        are_refused(compare, &["", "1 0", "1\n", "\u{0}"]);
    }
}
