//! Whether what a package says of its licence is an SPDX expression, or its own words.
//!
//! Specification: <https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/>

use std::collections::BTreeSet;

use spdx::{Expression, LicenseItem, ParseMode};
use tidewatch_core::Digest;

/// Expressions as they are in packages that are some years old: what the list of SPDX calls deprecated is still on it.
const MODE: ParseMode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };

/// Characters of own words that stand in an id.
const WORDS: usize = 40;

/// A licence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum License {
    /// An SPDX expression, with the licences in it that are not on the list of SPDX: `LicenseRef-…`.
    Expression { text: String, references: BTreeSet<String> },
    /// The package's own words.
    Words(String),
}

impl License {
    /// What `text` is; `None` when it says nothing.
    pub(super) fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let words = Self::Words(text.to_owned());
        let Ok(expression) = Expression::parse_mode(text, MODE) else { return Some(words) };
        let mut references = BTreeSet::new();
        for requirement in expression.requirements() {
            // Exceptions of one's own came with version 3, and other documents are none that we name.
            let is_on_list = requirement.req.addition.as_ref().is_none_or(|addition| addition.id().is_some());
            match &requirement.req.license {
                _ if !is_on_list => return Some(words),
                LicenseItem::Spdx { .. } => {}
                LicenseItem::Other(other) if other.doc_ref.is_none() => {
                    references.insert(format!("LicenseRef-{}", other.lic_ref));
                }
                LicenseItem::Other(_) => return Some(words),
            }
        }
        Some(Self::Expression { text: text.to_owned(), references })
    }

    /// The id of own words within a document of SPDX.
    pub(super) fn id_of_words(words: &str) -> String {
        let readable: String = words
            .chars()
            .take(WORDS)
            .map(|letter| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' })
            .collect();
        let hash = Digest::of(words.as_bytes()).hex();
        format!("LicenseRef-{}-{}", readable.trim_matches('-'), hash.get(..8).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_told_from_own_words() {
        let is_expression = |text| matches!(License::of(text), Some(License::Expression { .. }));
        for text in [
            "MIT",
            "GPL-2.0-or-later WITH Classpath-exception-2.0",
            "(MIT OR Apache-2.0) AND BSD-3-Clause",
            "GPL-2.0",
            "LicenseRef-own AND MIT",
        ] {
            assert!(is_expression(text), "{text}");
        }
        for text in
            ["GPL", "The MIT License", "public domain", "DocumentRef-a:LicenseRef-b", "BSD, see LICENSE"]
        {
            assert!(!is_expression(text), "{text}");
        }
        assert_eq!(License::of("  "), None);
    }

    #[test]
    fn own_words_have_an_id_of_the_letters_that_ids_have() {
        assert_eq!(License::id_of_words("Größe & Co., v1.0"), "LicenseRef-Gr--e---Co.--v1.0-a1c17a62");
        assert_ne!(License::id_of_words("a b"), License::id_of_words("a-b"));
    }
}
