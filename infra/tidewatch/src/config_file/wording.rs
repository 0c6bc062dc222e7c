//! How values and types are called in messages, and which word was probably meant.

use std::borrow::Cow;

use serde_json::Value;

use super::document::{Content, Mapping, Node, Scalar};

/// What a mapping of YAML is for people.
pub(super) const KEYS_WITH_VALUES: &str = "keys with values (`key: value`)";
/// The longest value that a message repeats, in characters.
const VALUE_LIMIT: usize = 60;
/// How many words there may be for a hint that lists them all.
const LIST_LIMIT: usize = 20;
/// The longest message, in characters.
const MESSAGE_LIMIT: usize = 300;

/// A value of the file for a message: shortened, and without characters that steer a terminal.
pub(super) fn shortened(text: &str) -> String {
    printable(text, VALUE_LIMIT)
}

/// A message on one line, without the login of a URL. Of one with several lines, as regular expressions draw their errors, the first and the last
/// are kept, which say what was read and what is wrong.
pub(super) fn one_line(message: &str) -> String {
    let message = without_login(message);
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    match lines.next_back() {
        None => printable(first, MESSAGE_LIMIT),
        Some(last) => printable(&format!("{first} {last}"), MESSAGE_LIMIT),
    }
}

fn without_login(message: &str) -> Cow<'_, str> {
    let login = message.split_once("://").and_then(|(scheme, rest)| {
        let url = rest.split('"').next().unwrap_or(rest);
        Some((scheme, rest.get(url.rfind('@')?..)?))
    });
    login.map_or(Cow::Borrowed(message), |(scheme, rest)| Cow::Owned(format!("{scheme}://…{rest}")))
}

fn printable(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for (position, character) in text.chars().enumerate() {
        if position == limit {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The candidate that `word` was probably meant to be: the nearest one, if it is near.
pub(super) fn nearest<'a>(word: &str, candidates: &'a [String]) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate.as_str()))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Which word was probably meant, else which there are.
pub(super) fn suggestion(word: &str, known: &[String]) -> Option<String> {
    match (nearest(word, known), known) {
        (Some(near), _) => Some(format!("did you mean `{near}`?")),
        (None, []) => None,
        (None, [only]) => Some(format!("expected `{only}`")),
        (None, _) if known.len() > LIST_LIMIT => None,
        (None, _) => {
            let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            Some(format!("expected one of {}", known.join(", ")))
        }
    }
}

/// A value as serde's messages call it.
pub(super) fn in_words_of_serde(node: &Node) -> String {
    match &node.content {
        Content::List(_) => "sequence".to_owned(),
        Content::Mapping(_) => "map".to_owned(),
        Content::Scalar(Scalar { value, .. }) => match value {
            Value::Bool(boolean) => format!("boolean `{boolean}`"),
            Value::Number(number) if number.is_f64() => format!("floating point `{number}`"),
            Value::Number(number) => format!("integer `{number}`"),
            Value::String(text) => format!("string {text:?}"),
            _ => "null".to_owned(),
        },
    }
}

/// A value as people call it, as it is written in the file; with `secret` its content is left out.
pub(super) fn described(node: &Node, secret: bool) -> String {
    match &node.content {
        Content::List(_) => "a list".to_owned(),
        Content::Mapping(Mapping { entries, .. }) => {
            match (entries.iter().filter(|entry| !entry.value.is_null()).count(), entries.len()) {
                (0, 0) => "an empty mapping".to_owned(),
                (0, _) => "a key without a value".to_owned(),
                (1, _) => "a key with its value".to_owned(),
                (count, _) => format!("{count} keys with values"),
            }
        }
        Content::Scalar(Scalar { text, value }) => match value {
            Value::Bool(_) => format!("`{}`", shortened(text)),
            Value::Number(_) if secret => "a number".to_owned(),
            Value::Number(_) => format!("the number {}", shortened(text)),
            Value::String(_) if secret => "a text".to_owned(),
            Value::String(_) => format!("the text \"{}\"", shortened(text)),
            _ => "nothing".to_owned(),
        },
    }
}

/// A type as people call it, from what serde's messages say is expected.
pub(super) fn type_in_words(expected: &str) -> &str {
    match expected {
        "a string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "map with a single key" => "exactly one key with its value",
        "string or map" => "a text, or a key with its value",
        "newtype variant" => "a key with its value",
        other if other.starts_with("struct ") || other.starts_with("enum ") => KEYS_WITH_VALUES,
        other => other,
    }
}

/// How to make a value of the expected type out of the one that is there.
pub(super) fn conversion(node: &Node, expected: &str, secret: bool) -> Option<String> {
    let Scalar { text, value } = node.scalar()?;
    let shown = shortened(text);
    match (expected, value) {
        ("a string", Value::Bool(_) | Value::Number(_)) if secret => Some("write it in quotes".to_owned()),
        ("a string", Value::Bool(_) | Value::Number(_)) => Some(format!("write it in quotes: \"{shown}\"")),
        ("a boolean", Value::String(word)) => match word.to_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some("write `true`, without quotes".to_owned()),
            "false" | "no" | "off" | "n" => Some("write `false`, without quotes".to_owned()),
            _ => None,
        },
        ("a sequence", Value::String(_)) if !secret => Some(format!("write it as a list: [\"{shown}\"]")),
        (_, Value::String(number)) if number.parse::<f64>().is_ok() && is_number(expected) => {
            Some(format!("write it without quotes: {shown}"))
        }
        _ => None,
    }
}

fn is_number(expected: &str) -> bool {
    type_in_words(expected).contains("number")
}

/// The words in a message about what is expected, such as the keys of a form that it shows.
pub(super) fn words(message: &str) -> Vec<String> {
    message
        .split(|character: char| !(character.is_alphanumeric() || "_-".contains(character)))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_is_near_and_another_word_is_not() {
        let keys = ["include", "exclude", "registries"].map(str::to_owned);
        assert_eq!(nearest("incude", &keys), Some("include"));
        assert_eq!(nearest("Registires", &keys), Some("registries"));
        assert_eq!(nearest("schedule", &keys), None);
    }

    #[test]
    fn a_message_has_one_line_and_cannot_steer_a_terminal() {
        assert_eq!(one_line("a:\n   (\n   ^\nerror: b"), "a: error: b");
        assert_eq!(one_line("\"https://a:b@c\" is bad"), "\"https://…@c\" is bad");
        assert_eq!(one_line("\u{1b}[2J"), "\\u{1b}[2J");
        assert_eq!(one_line(&"x".repeat(1000)).chars().count(), MESSAGE_LIMIT + 1);
    }
}
