//! The order of Conda packages: `[epoch!]version[+local]`, in components of numbers and words, where `dev` comes first
//! and `post` last: `1.0.dev1 < 1.0a1 < 1.0 < 1.0.post1`.
//!
//! Specification:
//! <https://github.com/conda/conda/blob/main/conda/models/version.py>

use std::cmp::Ordering;

use super::number::{Number, is_number, split_digits};
use super::text::{Caseless, is_made_of, split_while};
use super::{Order, OrderError};

/// The order of Conda packages.
pub static ORDER: Order = Order { name: "conda", compare };

/// Compares two versions as conda does. What conda refuses is an error: other characters than letters, digits and
/// `.-_+!*`, hyphens beside underscores, empty components, an epoch that is no number.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    let (a, b) = (Version::parse(a)?, Version::parse(b)?);
    Ok(a.epoch
        .cmp(&b.epoch)
        .then_with(|| compare_components(a.public, b.public))
        .then_with(|| compare_components(a.local, b.local)))
}

struct Version<'a> {
    epoch: Number<'a>,
    public: Components<'a>,
    local: Components<'a>,
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Result<Self, OrderError> {
        let error = |reason| Err(OrderError::new(text, ORDER.name, reason));
        let version = text.trim_ascii();
        if !is_made_of(version, b".-_+!*") {
            return error("it is empty or holds a character that no version may hold");
        }
        if version.contains('-') && version.contains('_') {
            return error("it holds both hyphens and underscores");
        }
        let (epoch, version) = version.split_once('!').unwrap_or(("0", version));
        if !is_number(epoch) {
            return error("the epoch is no number");
        }
        let (version, local) =
            version.split_once('+').map_or((version, None), |(version, local)| (version, Some(local)));
        let components =
            (Components::of(version), local.map_or(Some(Components::NONE), Components::of_local));
        let (Some(public), Some(local)) = components else { return error("a component is empty") };
        Ok(Self { epoch: Number::new(epoch), public, local })
    }
}

/// Components with `.`, `-` or `_` between them.
#[derive(Clone, Copy)]
struct Components<'a> {
    text: Option<&'a str>,
    /// How many bytes of separators at the end belong to the last component: `1.1.1_` is older than `1.1.1a`.
    underscore: usize,
}

impl<'a> Components<'a> {
    const NONE: Self = Self { text: None, underscore: 0 };

    fn of(text: &'a str) -> Option<Self> {
        let underscore = usize::from(text.ends_with(['-', '_']));
        Self { text: Some(text), underscore }.checked()
    }

    fn of_local(text: &'a str) -> Option<Self> {
        Self { text: Some(text), underscore: 0 }.checked()
    }

    fn checked(self) -> Option<Self> {
        let is_component = |component: &str| !component.is_empty() && !component.contains(['!', '+']);
        self.iter().all(is_component).then_some(self)
    }

    fn iter(self) -> impl Iterator<Item = &'a str> {
        let mut rest = self.text;
        std::iter::from_fn(move || {
            let text = rest?;
            let (searched, _) = text.split_at(text.len() - self.underscore);
            let end = searched.find(['.', '-', '_']);
            rest = end.map(|end| &text[end + 1..]);
            Some(&text[..end.unwrap_or(text.len())])
        })
    }
}

/// One part of a component. The order of the variants is that of different kinds.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Stars(&'a str),
    Dev,
    Word(Caseless<'a>),
    Number(Number<'a>),
    Post,
}

/// Compares component by component; one that is not there is 0.
fn compare_components(a: Components<'_>, b: Components<'_>) -> Ordering {
    let (mut a, mut b) = (a.iter(), b.iter());
    loop {
        let (left, right) = (a.next(), b.next());
        if left.is_none() && right.is_none() {
            return Ordering::Equal;
        }
        let [left, right] = [left, right].map(Option::unwrap_or_default);
        let order = compare_parts(left, right);
        if order.is_ne() {
            return order;
        }
    }
}

/// Compares part by part; one that is not there is 0, and so is one before a word at the beginning.
fn compare_parts(a: &str, b: &str) -> Ordering {
    let [(mut a, first_a), (mut b, first_b)] = [a, b].map(|component| {
        let (digits, rest) = split_digits(component);
        (rest, Number::new(digits))
    });
    let mut order = first_a.cmp(&first_b);
    while order.is_eq() && !(a.is_empty() && b.is_empty()) {
        let (left, rest_a) = split_part(a);
        let (right, rest_b) = split_part(b);
        order = left.cmp(&right);
        (a, b) = (rest_a, rest_b);
    }
    order
}

fn split_part(text: &str) -> (Part<'_>, &str) {
    let (digits, rest) = split_digits(text);
    if !digits.is_empty() || text.is_empty() {
        return (Part::Number(Number::new(digits)), rest);
    }
    let (stars, rest) = split_while(text, |byte| byte == b'*');
    if !stars.is_empty() {
        return (Part::Stars(stars), rest);
    }
    let (word, rest) = split_while(text, |byte| !byte.is_ascii_digit() && byte != b'*');
    let part = match word {
        _ if word.eq_ignore_ascii_case("dev") => Part::Dev,
        _ if word.eq_ignore_ascii_case("post") => Part::Post,
        // The hyphen at the end of a version stands for an underscore.
        "-" => Part::Word(Caseless("_")),
        _ => Part::Word(Caseless(word)),
    };
    (part, rest)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_equal, are_in_order, are_refused};
    use super::*;

    #[test]
    fn versions_are_ordered_as_the_specification_shows() {
        are_in_order(
            compare,
            &[
                "0.4",
                "0.4.1.rc",
                "0.4.1",
                "0.5a1",
                "0.5b3",
                "0.5C1",
                "0.5",
                "0.9.6",
                "0.960923",
                "1.0",
                "1.1dev1",
                "1.1_",
                "1.1a1",
                "1.1.0dev1",
                "1.1.a1",
                "1.1.0rc1",
                "1.1.0",
                "1.1.0post1",
                "1.1post1",
                "1996.07.12",
                "1!0.4.1",
                "1!3.1.1.6",
                "2!0.4.1",
            ],
        );
        are_in_order(compare, &["1.0.1_", "1.0.1a", "1.0.1"]);
        are_in_order(compare, &["1.*", "1.dev", "1.a", "1", "1+0.1", "1+1", "1.1"]);
    }

    #[test]
    fn spellings_of_one_version_are_equal() {
        are_equal(compare, &["0.4", "0.4.0", "0.4.0.0", "00.04", "0!0.4", "0-4", "0_4"]);
        are_equal(compare, &["1.1.0dev1", "1.1.dev1", "1.1.DEV1"]);
        are_equal(compare, &["1.1.0post1", "1.1.post1"]);
        are_equal(compare, &["1.1_", "1.1-"]);
        are_equal(compare, &["1.0", "1.0+0"]);
    }

    #[test]
    fn what_is_no_version_is_refused() {
        are_refused(
            compare,
            &[
                "", "1..2", ".1", "1.", "1.0-a_b", "a!1", "!1", "1!2!3", "1+2+3", "1+", "+1", "5.5.mw~1",
                "1 2", "1!",
            ],
        );
    }
}
