//! The order of Python packages: PEP 440, `[epoch!]release[pre][post][dev][+local]`; what does not follow it is older
//! than all that does.
//!
//! Specification: <https://packaging.python.org/en/latest/specifications/version-specifiers/#version-scheme>

use std::cmp::Ordering;

use super::number::{Number, compare_dotted, is_number, is_numbers, split_digits};
use super::text::{Caseless, split_while};
use super::{Order, OrderError};

mod legacy;

/// The order of Python packages.
pub static ORDER: Order = Order { name: "pypi", compare };

/// Compares two versions as the library `packaging` does; versions that do not follow PEP 440 are ordered as it did
/// before its version 22, and as pip and `setuptools` did. A version that is empty, or holds white space or control
/// characters inside, is an error.
pub fn compare(a: &str, b: &str) -> Result<Ordering, OrderError> {
    let [a, b] = [a, b].map(|text| (text, Version::parse(text)));
    match (a, b) {
        ((_, Some(a)), (_, Some(b))) => Ok(a.cmp(&b)),
        ((a, None), (b, None)) => Ok(legacy::parse(a)?.cmp(&legacy::parse(b)?)),
        ((a, None), (_, Some(_))) => legacy::parse(a).map(|_| Ordering::Less),
        ((_, Some(_)), (b, None)) => legacy::parse(b).map(|_| Ordering::Greater),
    }
}

/// A version by PEP 440.
struct Version<'a> {
    epoch: Number<'a>,
    /// Numbers with dots between them.
    release: &'a str,
    pre: Pre<'a>,
    post: Option<Number<'a>>,
    dev: Dev<'a>,
    /// Segments with `.`, `-` or `_` between them.
    local: Option<&'a str>,
}

/// The pre-release. A development release that is nothing else comes before every pre-release.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Pre<'a> {
    DevelopmentOnly,
    Release(Stage, Number<'a>),
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Alpha,
    Beta,
    Candidate,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Dev<'a> {
    Number(Number<'a>),
    None,
}

/// Spellings of the stages, a longer one before what it begins with.
const STAGES: [(&str, Stage); 8] = [
    ("alpha", Stage::Alpha),
    ("a", Stage::Alpha),
    ("beta", Stage::Beta),
    ("b", Stage::Beta),
    ("preview", Stage::Candidate),
    ("pre", Stage::Candidate),
    ("rc", Stage::Candidate),
    ("c", Stage::Candidate),
];
/// Spellings of a post-release, likewise.
const POST: [&str; 3] = ["post", "rev", "r"];

impl<'a> Version<'a> {
    /// The version, when it follows PEP 440.
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_ascii();
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let (mut release, mut rest) = split_release(text);
        let mut epoch = Number::ZERO;
        if let Some(after) = rest.strip_prefix('!').filter(|_| is_number(release)) {
            epoch = Number::new(release);
            (release, rest) = split_release(after);
        }
        if !is_numbers(release, b".") {
            return None;
        }
        if rest.is_empty() {
            return Some(Self { epoch, release, pre: Pre::None, post: None, dev: Dev::None, local: None });
        }
        let (rest, local) = rest.split_once('+').map_or((rest, None), |(rest, local)| (rest, Some(local)));
        if !local.is_none_or(is_local) {
            return None;
        }
        let (pre, rest) = split_pre(rest);
        let (post, rest) = split_post(rest);
        let (dev, rest) = split_tag(rest, "dev").map_or((None, rest), |(number, rest)| (Some(number), rest));
        if !rest.is_empty() {
            return None;
        }
        let pre = match pre {
            None if post.is_none() && dev.is_some() => Pre::DevelopmentOnly,
            pre => pre.unwrap_or(Pre::None),
        };
        Some(Self { epoch, release, pre, post, dev: dev.map_or(Dev::None, Dev::Number), local })
    }

    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_dotted(self.release, other.release))
            .then_with(|| self.pre.cmp(&other.pre))
            .then_with(|| self.post.cmp(&other.post))
            .then_with(|| self.dev.cmp(&other.dev))
            .then_with(|| match (self.local, other.local) {
                (Some(a), Some(b)) => segments(a).cmp(segments(b)),
                (a, b) => a.is_some().cmp(&b.is_some()),
            })
    }
}

/// Splits after the numbers at the beginning; a dot that no digit follows belongs to the rest.
fn split_release(text: &str) -> (&str, &str) {
    let (release, _) = split_while(text, |byte| byte.is_ascii_digit() || byte == b'.');
    text.split_at(release.trim_end_matches('.').len())
}

fn split_pre(text: &str) -> (Option<Pre<'_>>, &str) {
    let found = STAGES.iter().find_map(|(word, stage)| Some((stage, split_tag(text, word)?)));
    found.map_or((None, text), |(stage, (number, rest))| (Some(Pre::Release(*stage, number)), rest))
}

fn split_post(text: &str) -> (Option<Number<'_>>, &str) {
    if let Some((digits, rest)) =
        text.strip_prefix('-').map(split_digits).filter(|(digits, _)| !digits.is_empty())
    {
        return (Some(Number::new(digits)), rest);
    }
    let found = POST.iter().find_map(|word| split_tag(text, word));
    found.map_or((None, text), |(number, rest)| (Some(number), rest))
}

/// Splits off `word` in any case, with the number after it and the separators before each; no number is 0.
fn split_tag<'a>(text: &'a str, word: &str) -> Option<(Number<'a>, &'a str)> {
    let text = text.strip_prefix(['.', '-', '_']).unwrap_or(text);
    let (found, rest) = text.split_at_checked(word.len())?;
    if !found.eq_ignore_ascii_case(word) {
        return None;
    }
    let (digits, rest) = split_digits(rest.strip_prefix(['.', '-', '_']).unwrap_or(rest));
    Some((Number::new(digits), rest))
}

/// One segment of a local version: texts come before numbers, which are compared by value.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Segment<'a> {
    Text(Caseless<'a>),
    Number(Number<'a>),
}

fn segments(local: &str) -> impl Iterator<Item = Segment<'_>> {
    local.split(['.', '-', '_']).map(|segment| {
        if is_number(segment) {
            Segment::Number(Number::new(segment))
        } else {
            Segment::Text(Caseless(segment))
        }
    })
}

fn is_local(text: &str) -> bool {
    let is_segment =
        |segment: &str| !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.split(['.', '-', '_']).all(is_segment)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_equal, are_in_order, are_refused};
    use super::*;

    #[test]
    fn the_parts_of_a_version_keep_their_order() {
        are_in_order(
            compare,
            &[
                "1.dev0",
                "1.0.dev456",
                "1.0a1",
                "1.0a2.dev456",
                "1.0a12.dev456",
                "1.0a12",
                "1.0b1.dev456",
                "1.0b2",
                "1.0b2.post345.dev456",
                "1.0b2.post345",
                "1.0rc1.dev456",
                "1.0rc1",
                "1.0",
                "1.0+abc.5",
                "1.0+abc.7",
                "1.0+5",
                "1.0.post456.dev34",
                "1.0.post456",
                "1.0.15",
                "1.1.dev1",
                "1!0.1",
            ],
        );
    }

    #[test]
    fn spellings_of_one_version_are_equal() {
        are_equal(compare, &["1.0rc1", "1.0-RC.1", "v1.0c1", "1_pre1", "1.0.0.preview-1", " 1.0rc01\n"]);
        are_equal(compare, &["1.0.post1", "1-1", "1.0-r1", "1.0.rev.1", "1.POST1"]);
        are_equal(compare, &["1.0a0.dev0", "1.0a.dev", "1.0a-.dev", "1alpha_dev"]);
        are_equal(compare, &["1.0+ubuntu.1", "1+Ubuntu-01", "0!1.0+ubuntu_1"]);
    }

    #[test]
    fn what_does_not_follow_the_specification_is_older_than_all_that_does() {
        are_in_order(
            compare,
            &["-class.-pre", "0.1-bulbasaur", "0.9-doduo", "99.x", "2004d", "0.0.1.dev1", "0.9", "2004.1"],
        );
    }

    #[test]
    fn what_is_no_version_is_refused() {
        are_refused(compare, &["", " ", "1.0 beta", "1.0\u{0}", "a\tb"]);
    }
}
