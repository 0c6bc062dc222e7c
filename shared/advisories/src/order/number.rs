//! Numbers of any length inside versions: dates, commit counts and hashes overflow every machine integer.

use std::cmp::Ordering;

/// A run of decimal digits, ordered by its value; leading zeros do not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number<'a> {
    /// The digits without leading zeros.
    digits: &'a [u8],
}

impl<'a> Number<'a> {
    /// The number 0.
    pub(crate) const ZERO: Self = Self { digits: b"" };

    /// The number that `digits` writes; no digits at all are 0.
    pub(crate) fn new(digits: &'a str) -> Self {
        let digits = digits.as_bytes();
        let zeros = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
        Self { digits: &digits[zeros..] }
    }

    /// Whether it is 0.
    pub(crate) fn is_zero(self) -> bool {
        self.digits.is_empty()
    }
}

impl Ord for Number<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Without leading zeros the longer one is greater. The digits are few, so that a loop is faster than `memcmp`.
        self.digits.len().cmp(&other.digits.len()).then_with(|| {
            let differing = self.digits.iter().zip(other.digits).find(|(a, b)| a != b);
            differing.map_or(Ordering::Equal, |(a, b)| a.cmp(b))
        })
    }
}

impl PartialOrd for Number<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number<'_> {}

/// Splits `text` after its leading ASCII digits.
pub(crate) fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// Whether `text` is ASCII digits, at least one.
pub(crate) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `text` is numbers with one of `separators` between them, at least one number.
pub(crate) fn is_numbers(text: &str, separators: &[u8]) -> bool {
    let mut after_digit = false;
    for byte in text.bytes() {
        let is_digit = byte.is_ascii_digit();
        let is_separator = after_digit && separators.contains(&byte);
        if !is_digit && !is_separator {
            return false;
        }
        after_digit = is_digit;
    }
    after_digit
}

/// Compares numbers with dots between them, such as `1.2.3`; numbers that only one of them has are compared with 0.
pub(crate) fn compare_dotted(mut a: &str, mut b: &str) -> Ordering {
    loop {
        let (left, rest_a) = split_digits(a);
        let (right, rest_b) = split_digits(b);
        let order = Number::new(left).cmp(&Number::new(right));
        if order.is_ne() || (rest_a.is_empty() && rest_b.is_empty()) {
            return order;
        }
        (a, b) = (rest_a.get(1..).unwrap_or_default(), rest_b.get(1..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ordered_by_value_at_any_length() {
        let long = "1".repeat(60);
        assert!(Number::new("9") < Number::new("10"));
        assert!(Number::new("20191127") < Number::new(&long));
        assert_eq!(Number::new("007"), Number::new("7"));
        assert_eq!(Number::new(""), Number::new("0"));
        assert!(Number::new("000").is_zero() && Number::new("00") == Number::ZERO);
    }

    #[test]
    fn a_number_that_is_not_there_is_0() {
        assert_eq!(compare_dotted("1", "1.0.0"), Ordering::Equal);
        assert_eq!(compare_dotted("1.0.1", "1"), Ordering::Greater);
        assert_eq!(compare_dotted("1.9", "1.10"), Ordering::Less);
    }

    #[test]
    fn separators_stand_between_numbers() {
        for good in ["1", "1.2", "01.2.33"] {
            assert!(is_numbers(good, b"."), "{good:?}");
        }
        for bad in ["", ".", "1.", ".1", "1..2", "1-2", "1.a", "١"] {
            assert!(!is_numbers(bad, b"."), "{bad:?}");
        }
    }
}
