//! Licences: what a package says about its own, in the words of its ecosystem, as an SPDX expression.
//!
//! Every part of an expression has to be known. Where a known licence is joined with a name that is not, as in
//! `MIT and Inner-Net-Thing`, the latter becomes a `LicenseRef-…`; words that name no known licence at all stay what they
//! are. Specification: <https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/>.

mod names;
mod parse;

use crate::paths;
use crate::reading::TEXT_BYTES;
use parse::{Node, Unknown};

/// The most characters of a package's own words that are kept.
const OWN_WORDS_CHARACTERS: usize = 200;

/// The most lines at the beginning of a whole licence that are looked at for its name.
const TITLE_LINES: usize = 3;

/// The SPDX expression that `text` means: `GPL-2+ or Artistic` of Debian, `GPLv2+ and LGPLv2+` of RPM,
/// `License :: OSI Approved :: MIT License` of Python, `(MIT OR Apache-2.0)` of npm. `None` when it cannot be told.
pub(crate) fn expression(text: &str) -> Option<String> {
    parse::parse(text.trim(), Unknown::BesideKnown).and_then(Node::into_expression)
}

/// The SPDX expression of a name that stands for a licence whose text is given beside it, as in Debian's copyright files:
/// one that is not known becomes a `LicenseRef-…`.
pub(crate) fn expression_or_reference(text: &str) -> Option<String> {
    parse::parse(text.trim(), Unknown::Allowed).and_then(Node::into_expression)
}

/// The SPDX expression of all of `names`, each as [`expression_or_reference`] takes it; sorted, each once. `None` when there
/// is none, or one that cannot be told.
pub(crate) fn expression_of_all<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let nodes: Option<Vec<Node>> =
        names.into_iter().map(|name| parse::parse(name.trim(), Unknown::Allowed)).collect();
    nodes.filter(|nodes| !nodes.is_empty()).and_then(|nodes| Node::And(nodes).sorted().into_expression())
}

/// The licence that a package's metadata name: an SPDX expression where it can be told, else the package's own words, as
/// text that is fit for a terminal. Some give the whole text of the licence, of which the title counts. `None` where
/// nothing is said.
pub(crate) fn license_of(value: &[u8]) -> Option<String> {
    let value = value.get(..value.len().min(4 * TEXT_BYTES))?;
    let lines = value.split(|byte| b"\r\n".contains(byte)).map(<[u8]>::trim_ascii);
    let mut lines = lines.filter(|line| !line.is_empty()).map(paths::text).peekable();
    let first = lines.peek()?.clone();
    if ["unknown", "none", "null", "n/a", "-"].iter().any(|nothing| first.eq_ignore_ascii_case(nothing)) {
        return None;
    }
    let mut title = String::new();
    for line in lines.take(TITLE_LINES) {
        title.push_str(if title.is_empty() { "" } else { " " });
        title.push_str(&line);
        if let Some(expression) = expression(&title) {
            return Some(expression);
        }
    }
    Some(first.chars().take(OWN_WORDS_CHARACTERS).collect())
}

/// The most licences that are joined. No package has more; what is hostile stays small.
const MAX_JOINED: usize = 200;

/// The licence of what is under any one of `licenses`, each as [`license_of`] takes it: an expression where every one can
/// be told, else their own words. `None` when there is none.
pub(crate) fn any_of<T: AsRef<[u8]>>(licenses: impl IntoIterator<Item = T>) -> Option<String> {
    let mut words: Vec<String> =
        licenses.into_iter().take(MAX_JOINED).filter_map(|license| license_of(license.as_ref())).collect();
    words.sort_unstable();
    words.dedup();
    let nodes: Option<Vec<Node>> =
        words.iter().map(|words| parse::parse(words, Unknown::BesideKnown)).collect();
    match nodes.filter(|nodes| !nodes.is_empty()).and_then(|nodes| Node::Or(nodes).into_expression()) {
        Some(expression) => Some(expression),
        None if words.is_empty() => None,
        None => Some(words.join(" or ").chars().take(TEXT_BYTES / 4).collect()),
    }
}

#[cfg(test)]
mod tests;
