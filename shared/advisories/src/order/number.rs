//! Numbers of any length inside versions: dates, commit counts and hashes overflow every machine integer.

/// A run of decimal digits, ordered by its value; leading zeros do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number<'a> {
    // The order of the fields is the order of the values: of two numbers without leading zeros the longer is greater.
    length: usize,
    digits: &'a str,
}

impl<'a> Number<'a> {
    /// The number that `digits` writes; no digits at all are 0.
    pub(crate) fn new(digits: &'a str) -> Self {
        let digits = digits.trim_start_matches('0');
        Self { length: digits.len(), digits }
    }
}

/// Splits `text` after its leading ASCII digits.
pub(crate) fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
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
    }
}
