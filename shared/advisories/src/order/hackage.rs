//! The order of Haskell packages: a list of numbers, of which the longer one is greater: `1.0 < 1.0.0`.
//!
//! Specification: <https://hackage.haskell.org/package/base/docs/Data-Version.html>

use std::cmp::Ordering;

use super::number::{Number, is_numbers};
use super::{Order, OrderError};

/// The order of Haskell packages.
pub static ORDER: Order = Order { name: "hackage", compare };

/// Compares two versions number by number. What is not numbers with dots between them is an error.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    for text in [a, b] {
        if !is_numbers(text, b".") {
            return Err(OrderError::new(text, ORDER.name, "it is not made of numbers and dots"));
        }
    }
    Ok(a.split('.').map(Number::new).cmp(b.split('.').map(Number::new)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_equal, are_in_order, are_refused};
    use super::*;

    #[test]
    fn the_longer_list_is_greater() {
        are_in_order(compare, &["0", "0.9", "0.10", "1", "1.0", "1.0.0", "1.0.1", "1.1"]);
        are_equal(compare, &["1.01", "1.1"]);
        are_refused(compare, &["", "1.", "1.0-tag", "v1", "1_0"]);
    }
}
