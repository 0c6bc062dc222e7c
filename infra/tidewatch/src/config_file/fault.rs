//! What an error message of serde, or of the domain, is about.
//!
//! Serde hands errors through conversions as texts only (parameters of policies, untagged forms), so the text is what
//! all of them share. A message that is not recognised is shown as it is.

use super::document::Node;
use super::wording;

/// What is wrong with a node or something below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A mapping has a key that is not known there.
    UnknownKey {
        /// The key.
        key: String,
        /// The keys that are known.
        known: Vec<String>,
    },
    /// A mapping lacks a key.
    MissingKey {
        /// The key.
        key: String,
    },
    /// A text is none of those that are possible.
    UnknownWord {
        /// The text.
        word: String,
        /// Those that are possible.
        known: Vec<String>,
    },
    /// A value is of another type than wanted.
    WrongType {
        /// The value, in the words of serde.
        found: String,
        /// The type, in the words of serde.
        expected: String,
    },
    /// Anything else.
    Other {
        /// The message.
        message: String,
    },
}

impl Fault {
    /// What `message` is about.
    pub(super) fn of(message: &str) -> Self {
        unknown(message, "unknown field `")
            .map(|(key, known)| Self::UnknownKey { key, known })
            .or_else(|| {
                unknown(message, "unknown variant `").map(|(word, known)| Self::UnknownWord { word, known })
            })
            .or_else(|| {
                let rest = after(message, "missing field `")?;
                Some(Self::MissingKey { key: rest.split_once('`')?.0.to_owned() })
            })
            .or_else(|| wrong_type(message))
            .unwrap_or_else(|| Self::Other { message: message.to_owned() })
    }

    /// Whether it names a key or word, which the node that it is about then must have.
    pub(super) const fn is_about_words(&self) -> bool {
        matches!(self, Self::UnknownKey { .. } | Self::UnknownWord { .. } | Self::MissingKey { .. })
    }

    /// Whether `node` itself, rather than something below it, is what the message speaks of.
    pub(super) fn is_about(&self, node: &Node) -> bool {
        let has_key = |key: &str| node.mapping().is_some_and(|mapping| mapping.get(key).is_some());
        let has_text = |wanted: &dyn Fn(&str) -> bool| {
            node.scalar().and_then(|scalar| scalar.value.as_str()).is_some_and(wanted)
        };
        match self {
            Self::UnknownKey { key, .. } => has_key(key),
            Self::MissingKey { .. } => node.mapping().is_some(),
            Self::UnknownWord { word, .. } => has_key(word) || has_text(&|text| text == word),
            Self::WrongType { found, .. } => wording::in_words_of_serde(node) == *found,
            // A message about what is expected shows examples, which are no values of the file.
            Self::Other { message } => {
                !message.starts_with("expected ")
                    && !node.repaired
                    && has_text(&|text| !text.is_empty() && message.contains(&format!("{text:?}")))
            }
        }
    }
}

/// Splits `TEXT; there are: a, b` into the text and the names.
pub(super) fn unknown_name(message: &str) -> Option<(&str, Vec<&str>)> {
    let (message, known) = message.rsplit_once("; there are: ")?;
    Some((message, known.split(", ").filter(|name| !name.is_empty()).collect()))
}

/// What follows the first `prefix`, unless it stands in a quoted value of the file.
fn after<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message.split_once(prefix).filter(|(lead, _)| !lead.contains('"')).map(|(_, rest)| rest)
}

/// Reads ``PREFIX NAME`, expected one of `a`, `b` ``.
fn unknown(message: &str, prefix: &str) -> Option<(String, Vec<String>)> {
    let rest = after(message, prefix)?;
    // From the end, since the name may have a quote in it.
    let (name, known) = rest
        .rsplit_once("`, expected ")
        .or_else(|| rest.rsplit_once("`, there are no "))
        .unwrap_or_else(|| (rest.trim_end_matches('`'), ""));
    Some((name.to_owned(), known.split('`').skip(1).step_by(2).map(str::to_owned).collect()))
}

/// Reads `invalid type: FOUND, expected EXPECTED`.
fn wrong_type(message: &str) -> Option<Fault> {
    let rest = after(message, "invalid type: ").or_else(|| after(message, "invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    Some(Fault::WrongType { found: found.to_owned(), expected: expected.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_a_message_are_not_taken_for_its_words() {
        let message = "failed to read \"invalid type: a, expected b\" as a platform";
        assert_eq!(Fault::of(message), Fault::Other { message: message.to_owned() });
    }

    #[test]
    fn messages_of_serde_are_understood() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            Fault::of("unknown field `a`, expected `b` or `c`"),
            Fault::UnknownKey { key: "a".to_owned(), known: texts(&["b", "c"]) }
        );
        assert_eq!(
            Fault::of("unknown field `a`, there are no fields"),
            Fault::UnknownKey { key: "a".to_owned(), known: texts(&[]) }
        );
        assert_eq!(
            Fault::of("failed to read: unknown variant `x`y`, expected one of `b`, `c`, `d`"),
            Fault::UnknownWord { word: "x`y".to_owned(), known: texts(&["b", "c", "d"]) }
        );
        assert_eq!(Fault::of("missing field `id`"), Fault::MissingKey { key: "id".to_owned() });
        assert_eq!(
            Fault::of("invalid type: string \"a, expected b\", expected u32"),
            Fault::WrongType { found: "string \"a, expected b\"".to_owned(), expected: "u32".to_owned() }
        );
    }
}
