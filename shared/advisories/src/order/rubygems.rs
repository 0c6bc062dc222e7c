//! The order of gems: numbers and words by turns, where a word comes before every number: `1.0.a < 1.0.b1 < 1.0`.
//!
//! Specification: <https://docs.ruby-lang.org/en/master/Gem/Version.html>

use std::cmp::Ordering;

use super::number::{Number, split_digits};
use super::text::{is_made_of, split_while};
use super::{Order, OrderError};

/// The order of gems.
pub static ORDER: Order = Order { name: "rubygems", compare };

/// Compares two versions as `Gem::Version` does: zeros at the end do not count, nor zeros before the first word, and
/// `-` means `.pre.`.
///
/// A version that does not begin with a digit, or holds other characters than letters, digits, dots and hyphens, is an
/// error.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    let (mut a, mut b) = (Segments::of(a)?, Segments::of(b)?);
    loop {
        let (left, right) = (a.next(), b.next());
        if left.is_none() && right.is_none() {
            return Ok(Ordering::Equal);
        }
        let [left, right] = [left, right].map(|segment| segment.unwrap_or(Segment::Number(Number::ZERO)));
        let order = left.cmp(&right);
        if order.is_ne() {
            return Ok(order);
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment<'a> {
    Word(&'a str),
    Number(Number<'a>),
}

/// What is left of a version: its numbers without the zeros at their end, then what begins with the first word.
struct Segments<'a> {
    numbers: &'a str,
    rest: &'a str,
}

impl<'a> Segments<'a> {
    fn of(text: &'a str) -> Result<Self, OrderError> {
        if !text.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(OrderError::new(text, ORDER.name, "it does not begin with a digit"));
        }
        if !is_made_of(text, b".-") {
            return Err(OrderError::new(text, ORDER.name, "it holds a character that no version may hold"));
        }
        let (numbers, rest) = split_while(text, |byte| byte.is_ascii_digit() || byte == b'.');
        Ok(Self { numbers: without_zeros(numbers), rest })
    }
}

/// Numbers with dots between them, without those at the end that are 0.
fn without_zeros(mut numbers: &str) -> &str {
    loop {
        let before = numbers.trim_end_matches('0');
        if before.is_empty() {
            return before;
        }
        // A zero after another digit belongs to its number.
        match before.strip_suffix('.') {
            Some(before) => numbers = before,
            None => return numbers,
        }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        self.numbers = self.numbers.trim_start_matches('.');
        if !self.numbers.is_empty() {
            let (digits, numbers) = split_digits(self.numbers);
            self.numbers = numbers;
            return Some(Segment::Number(Number::new(digits)));
        }
        let rest = self.rest.trim_start_matches('.');
        if let Some(rest) = rest.strip_prefix('-') {
            self.rest = rest;
            return Some(Segment::Word("pre"));
        }
        let (digits, after) = split_digits(rest);
        if !digits.is_empty() {
            self.rest = after;
            return Some(Segment::Number(Number::new(digits)));
        }
        let (word, after) = split_while(rest, |byte| byte.is_ascii_alphabetic());
        self.rest = after;
        (!word.is_empty()).then_some(Segment::Word(word))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_equal, are_in_order, are_refused};
    use super::*;

    #[test]
    fn words_come_before_numbers() {
        are_in_order(
            compare,
            &[
                "0.9", "1.0.a.2", "1.0.a10", "1.0.b1", "1.0.b1.1", "1.0-rc1", "1.0.rc1", "1.0", "1.0.0.1",
                "1.0.1", "1.1",
            ],
        );
        are_in_order(compare, &["1", "1.1.A", "1.1.a", "1.1"]);
    }

    #[test]
    fn zeros_at_the_end_and_before_the_first_word_do_not_count() {
        are_equal(compare, &["1", "1.0", "1.0.0", "1.00"]);
        are_equal(compare, &["1.a", "1.0.a", "1.0.0.a", "1a", "1.a0", "1.a.0.0"]);
        are_equal(compare, &["10", "10.0"]);
        are_equal(compare, &["0.a", "0.0.a"]);
        are_equal(compare, &["1-1", "1.pre.1", "1.0.pre1"]);
    }

    #[test]
    fn what_is_no_version_is_refused() {
        are_refused(compare, &["", "a1", ".1", "1 2", "1.0_1", "1.0-x86_64-linux", "-1"]);
    }
}
