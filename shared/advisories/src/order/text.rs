//! Words inside versions whose capitals do not count, and the characters that a version is made of.

use std::cmp::Ordering;

/// A word that is compared as if its ASCII capitals were small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caseless<'a>(pub(crate) &'a str);

impl Ord for Caseless<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let [a, b] = [self, other].map(|word| word.0.bytes().map(|byte| byte.to_ascii_lowercase()));
        a.cmp(b)
    }
}

impl PartialOrd for Caseless<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Caseless<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }
}

impl Eq for Caseless<'_> {}

/// Splits `text` before its first byte that does not belong.
pub(crate) fn split_while(text: &str, belongs: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|byte| !belongs(byte)).unwrap_or(text.len());
    text.split_at(end)
}

/// Whether `text` is not empty, and each of its bytes is an ASCII letter, an ASCII digit or one of `others`.
pub(crate) fn is_made_of(text: &str, others: &[u8]) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_do_not_count() {
        assert_eq!(Caseless("BETA").cmp(&Caseless("beta")), Ordering::Equal);
        assert!(Caseless("Beta") < Caseless("rc") && Caseless("beta") < Caseless("RC"));
        assert!(Caseless("a") < Caseless("AB"));
    }
}
