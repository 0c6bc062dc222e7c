//! The order of R packages, of CRAN and Bioconductor: a list of numbers with dots or hyphens between them, of which the
//! longer one is greater: `1.0 < 1.0-1 = 1.0.1`.
//!
//! Specification: <https://stat.ethz.ch/R-manual/R-devel/library/base/html/numeric_version.html>

use std::cmp::Ordering;

use super::number::{Number, is_numbers};
use super::{Order, OrderError};

/// The order of R packages.
pub static ORDER: Order = Order { name: "cran", compare };

/// Compares two versions number by number. What is not numbers with dots or hyphens between them is an error.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    for text in [a, b] {
        if !is_numbers(text, b".-") {
            return Err(OrderError::new(text, ORDER.name, "it is not made of numbers, dots and hyphens"));
        }
    }
    Ok(numbers(a).cmp(numbers(b)))
}

fn numbers(text: &str) -> impl Iterator<Item = Number<'_>> {
    text.split(['.', '-']).map(Number::new)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_equal, are_in_order, are_refused};
    use super::*;

    #[test]
    fn hyphens_are_dots_and_the_longer_list_is_greater() {
        are_in_order(compare, &["0.1", "0.1-0", "0.1-4", "0.1.18", "0.9", "0.75", "1.0", "1.0-0"]);
        are_equal(compare, &["0.01.0", "0.1-0"]);
        are_refused(compare, &["", "1.", "1.0-rc1", "1--1", "v1"]);
    }
}
