//! Text that comes from images and registries, made harmless for a terminal.

use std::borrow::Cow;

/// The text on one line, with every character that a terminal obeys instead of showing it written as its escape:
/// control characters, and those that change the direction of what follows.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_obeyed(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// The same for a text of several lines, which stay lines.
pub(crate) fn visible_lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// See <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>; the last two separate lines.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(character, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(visible("\u{1b}[2Jhidden\r\n"), "\\u{1b}[2Jhidden\\r\\n");
        assert_eq!(visible("\u{9b}31m\u{7f}\u{202e}"), "\\u{9b}31m\\u{7f}\\u{202e}");
        assert_eq!(visible_lines("a\tb\nc\u{7}"), "a\\tb\nc\\u{7}");
    }

    #[test]
    fn what_can_be_shown_stays_as_it_is() {
        for text in ["libc6 2.41-12+deb13u1", "Größe: 30 µs", "日本語", ""] {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text));
        }
    }
}
