//! Texts that come from outside, made fit for a record: one line, and not too long.

/// The most characters of a reason.
pub const REASON: usize = 500;

/// The most characters of the name of a distribution.
pub const DISTRIBUTION: usize = 200;

/// `text` without control characters, each of which becomes U+FFFD, and at most `most` characters of it, the last of
/// which is `…` where something was left out.
pub fn line(text: &str, most: usize) -> String {
    let plain =
        |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
    let mut line: String = text.chars().take(most).map(plain).collect();
    if text.chars().nth(most).is_some() {
        line.pop();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_control_characters_and_says_when_something_was_left_out() {
        assert_eq!(line("Debian\u{1b}[31m\n13", 40), "Debian\u{fffd}[31m\u{fffd}13");
        assert_eq!((line("ääää", 4), line("äääää", 4)), ("ääää".to_owned(), "äää…".to_owned()));
    }
}
