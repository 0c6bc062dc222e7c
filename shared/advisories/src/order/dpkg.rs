//! The order of Debian versions: `[epoch:]upstream[-revision]`, where `~` sorts before everything, even the end.
//!
//! Specification: <https://manpages.debian.org/stable/dpkg-dev/deb-version.7.en.html>

use std::cmp::Ordering;

use super::number::{Number, split_digits};
use super::text::split_while;
use super::{Order, OrderError};

/// The order of Debian and of the distributions that use its packages.
pub static ORDER: Order = Order { name: "dpkg", compare };

/// Compares two Debian versions as `dpkg --compare-versions` does.
///
/// As in dpkg, an upstream part that does not begin with a digit is ordered all the same; a version that is empty,
/// has an empty or too large part, or holds characters that no version may hold is an error.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    let (a, b) = (Version::parse(a)?, Version::parse(b)?);
    Ok(a.epoch
        .cmp(&b.epoch)
        .then_with(|| compare_part(a.upstream, b.upstream))
        .then_with(|| compare_part(a.revision, b.revision)))
}

struct Version<'a> {
    epoch: u32,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Result<Self, OrderError> {
        let error = |reason| OrderError::new(text, ORDER.name, reason);
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (parse_epoch(epoch).ok_or_else(|| error("the epoch is no number"))?, rest),
            None => (0, text),
        };
        let (upstream, revision) = match rest.rsplit_once('-') {
            Some((_, "")) => return Err(error("the revision is empty")),
            Some(parts) => parts,
            // No revision is the same as the revision 0, as an empty text and "0" compare equal.
            None => (rest, ""),
        };
        if upstream.is_empty() {
            return Err(error("the upstream version is empty"));
        }
        let is_in_revision = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'~');
        if !upstream.bytes().all(|byte| is_in_revision(byte) || matches!(byte, b'-' | b':')) {
            return Err(error("the upstream version holds a character that no version may hold"));
        }
        if !revision.bytes().all(is_in_revision) {
            return Err(error("the revision holds a character that no version may hold"));
        }
        Ok(Self { epoch, upstream, revision })
    }
}

/// An epoch: decimal digits up to the largest `int`, as dpkg has it.
fn parse_epoch(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|epoch| *epoch <= i32::MAX.unsigned_abs())
}

/// Compares by turns a run of other characters by their weight and a run of digits by its value.
fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    while !(a.is_empty() && b.is_empty()) {
        let (text_a, rest_a) = split_while(a, |byte| !byte.is_ascii_digit());
        let (text_b, rest_b) = split_while(b, |byte| !byte.is_ascii_digit());
        let (digits_a, rest_a) = split_digits(rest_a);
        let (digits_b, rest_b) = split_digits(rest_b);
        let order =
            compare_text(text_a, text_b).then_with(|| Number::new(digits_a).cmp(&Number::new(digits_b)));
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

fn compare_text(a: &str, b: &str) -> Ordering {
    let weight_at = |text: &str, place| text.as_bytes().get(place).map_or(END, |byte| weight(*byte));
    let mut orders = (0..a.len().max(b.len())).map(|place| weight_at(a, place).cmp(&weight_at(b, place)));
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// The weight of the end of a run, and of the digit after it.
const END: u16 = 1;

/// `~` before the end, the end before letters, letters before all else.
fn weight(byte: u8) -> u16 {
    match byte {
        b'~' => 0,
        letter if letter.is_ascii_alphabetic() => u16::from(letter),
        other => u16::from(other) + 256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_sorts_before_the_end_of_the_version() {
        assert_eq!(compare("1.0~rc1-1", "1.0-1"), Ok(Ordering::Less));
        assert_eq!(compare("1.0-1~deb12u1", "1.0-1"), Ok(Ordering::Less));
        assert_eq!(compare("1.0~~", "1.0~"), Ok(Ordering::Less));
    }

    #[test]
    fn letters_sort_before_other_characters() {
        assert_eq!(compare("1.0a", "1.0+"), Ok(Ordering::Less));
        assert_eq!(compare("1.0", "1.0a"), Ok(Ordering::Less));
    }

    #[test]
    fn an_epoch_outweighs_everything() {
        assert_eq!(compare("1:0.1", "9.9"), Ok(Ordering::Greater));
        assert_eq!(compare("0:9.9-0", "9.9"), Ok(Ordering::Equal));
    }

    #[test]
    fn what_is_not_a_debian_version_is_an_error() {
        for bad in
            ["", "1:", ":1", "a:1", "-1:1", "1.0-", "-1", "1 0", "1_0", "4294967296:1", "1.0-1_2", "1.0é"]
        {
            assert!(compare(bad, "1").is_err(), "{bad:?} was ordered");
            assert!(compare("1", bad).is_err(), "{bad:?} was ordered");
        }
    }
}
