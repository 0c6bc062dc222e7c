//! The parts of a series: its name, its labels, and the value behind them.

use super::SeriesError;

/// Name, labels, and the value, empty where there is none.
type Parts<'a> = (&'a str, Vec<(String, String)>, &'a str);

/// Reads the parts of a series.
pub(super) fn read(text: &str) -> Result<Parts<'_>, SeriesError> {
    let text = text.trim();
    let (name, rest) = split_name(text);
    let mut reader = Reader { rest: rest.trim_start(), quoted_name: None };
    let labels = if reader.rest.starts_with('{') { reader.labels()? } else { Vec::new() };
    // Prometheus writes the name within the braces where it is no plain one; so may people.
    let meta = labels.iter().find(|(label, _)| label == "__name__").map(|(_, value)| value.as_str());
    let within = reader.quoted_name.or_else(|| meta.and_then(|meta| find(text, meta)));
    let name = if name.is_empty() { within.unwrap_or_default() } else { name };
    if name.is_empty() {
        return Err(syntax(text, "the name of a family"));
    }
    let mut after = reader.rest.split_ascii_whitespace();
    let value = after.next().unwrap_or_default();
    if !value.is_empty() && value.parse::<f64>().is_err() {
        return Err(syntax(reader.rest, "a value, or nothing"));
    }
    Ok((name, labels, value))
}

/// The part of `text` that is `wanted`, so that it lives as long.
fn find<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    let start = text.find(wanted)?;
    text.get(start..start + wanted.len())
}

/// What can be a name at the beginning of `text`, and the rest.
fn split_name(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    text.split_at(end.unwrap_or(text.len()))
}

fn syntax(rest: &str, expected: &'static str) -> SeriesError {
    SeriesError::Syntax { rest: rest.chars().take(40).collect(), expected }
}

struct Reader<'a> {
    rest: &'a str,
    /// A name that stands alone within the braces.
    quoted_name: Option<&'a str>,
}

impl Reader<'_> {
    /// Takes one character, and what is blank after it.
    fn take(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.map_or(self.rest, str::trim_start);
        rest.is_some()
    }

    fn labels(&mut self) -> Result<Vec<(String, String)>, SeriesError> {
        let mut labels = Vec::new();
        self.take('{');
        while !self.take('}') {
            if self.rest.starts_with('"') && self.quoted_name.is_none() {
                let quoted = self.rest;
                let name = self.quoted()?;
                self.quoted_name = find(quoted, &name);
            } else {
                labels.push(self.label()?);
            }
            if !self.take(',') && !self.rest.starts_with('}') {
                return Err(syntax(self.rest, "`,` or `}`"));
            }
        }
        Ok(labels)
    }

    fn label(&mut self) -> Result<(String, String), SeriesError> {
        let (name, rest) = split_name(self.rest);
        if name.is_empty() {
            return Err(syntax(self.rest, "a label"));
        }
        self.rest = rest.trim_start();
        if !self.take('=') {
            return Err(syntax(self.rest, "`=`"));
        }
        Ok((name.to_owned(), self.quoted()?))
    }

    /// A value in quotes, with its escapes undone.
    fn quoted(&mut self) -> Result<String, SeriesError> {
        let begin = self.rest;
        let mut characters = begin.char_indices();
        let Some((_, quote @ ('"' | '\''))) = characters.next() else {
            return Err(syntax(begin, "a value in quotes"));
        };
        let mut value = String::new();
        while let Some((position, character)) = characters.next() {
            match character {
                character if character == quote => {
                    self.rest = begin[position + 1..].trim_start();
                    return Ok(value);
                }
                '\\' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, escaped)) => value.push(escaped),
                    None => break,
                },
                character => value.push(character),
            }
        }
        Err(syntax(begin, "a closing quote"))
    }
}
