//! Types of a schema as Markdown, for people who write the file.

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value};

use super::schema::{Shape, Types, description};

/// The section of the type with this name: heading, comment, and a table of its keys, words or forms.
pub(super) fn section(types: &Types, name: &str) -> anyhow::Result<String> {
    let schema = types.named(name)?;
    let comment = description(schema);
    ensure!(!comment.is_empty(), "the type {name} has no comment");
    let body = match Types::shape(schema)? {
        Shape::Object(object) if types.keys(name, object).is_empty() => None,
        Shape::Object(object) => Some(keys_table(types, name, object).with_context(|| name.to_owned())?),
        Shape::Words(words) => Some(words_table(&words)),
        Shape::Forms(forms) => Some(forms_tables(types, name, &forms).with_context(|| name.to_owned())?),
        Shape::Text => text_form(schema),
        _ => bail!("the type {name} cannot be shown"),
    };
    let paragraphs = [format!("## {}", types.title(name)?), comment.to_owned()].into_iter().chain(body);
    Ok(paragraphs.collect::<Vec<_>>().join("\n\n"))
}

fn keys_table(types: &Types, name: &str, object: &Map<String, Value>) -> anyhow::Result<String> {
    let required: Vec<&str> = object
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut lines = vec!["| key | type | default | meaning |".to_owned(), "|---|---|---|---|".to_owned()];
    for (key, schema) in types.keys(name, object) {
        let comment = description(schema);
        ensure!(!comment.is_empty(), "the key {key} has no comment");
        ensure!(!comment.contains("\n\n"), "the comment of the key {key} has several paragraphs");
        let kind = kind(types, schema)?;
        let default = match schema.get("default").filter(|default| !default.is_null()) {
            _ if required.contains(&key) => "required".to_owned(),
            Some(default) => code(&yaml(default)),
            None => "none".to_owned(),
        };
        let meaning = [comment.to_owned(), examples(schema)].join(" ");
        lines.push(row(&[&code(key), &kind, &default, &meaning]));
    }
    Ok(lines.join("\n"))
}

fn words_table(words: &[(&str, &str)]) -> String {
    let head = ["| value | meaning |".to_owned(), "|---|---|".to_owned()];
    let rows = words.iter().map(|(word, meaning)| row(&[&code(word), meaning]));
    head.into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

/// The forms with their comments, and then the keys of those that have such with comments of their own.
fn forms_tables(types: &Types, name: &str, forms: &[&Value]) -> anyhow::Result<String> {
    let mut lines = vec!["| form | meaning |".to_owned(), "|---|---|".to_owned()];
    let mut tables = Vec::new();
    for form in forms {
        match Types::shape(form)? {
            Shape::Words(words) => {
                let meaning = description(form);
                lines.extend(words.iter().map(|(word, _)| row(&[&code(word), meaning])));
            }
            Shape::Object(object) => {
                let example = form.get("examples").and_then(|examples| examples.get(0));
                let example = example.with_context(|| format!("a form shows no example: {form}"))?;
                lines.push(row(&[&code(&yaml(example)), description(form)]));
                if types.keys(name, object).iter().any(|(_, schema)| !description(schema).is_empty()) {
                    tables.push(keys_table(types, name, object)?);
                }
            }
            _ => bail!("this form cannot be shown: {form}"),
        }
    }
    ensure!(lines.len() > 2, "there are no forms");
    // One table for the keys of all forms: only one of them is there at a time.
    let keys = tables.iter().enumerate().map(|(position, table)| {
        table.lines().skip(if position == 0 { 0 } else { 2 }).collect::<Vec<_>>().join("\n")
    });
    let keys = keys.collect::<Vec<_>>().join("\n");
    Ok(if keys.is_empty() { lines.join("\n") } else { format!("{}\n\n{keys}", lines.join("\n")) })
}

/// The form of a text: its pattern and examples, where the schema has such.
fn text_form(schema: &Value) -> Option<String> {
    let pattern = schema.get("pattern").and_then(Value::as_str);
    let pattern = pattern.map(|pattern| format!("Pattern: {}.", code(pattern)));
    let parts: Vec<String> =
        pattern.into_iter().chain(Some(examples(schema)).filter(|examples| !examples.is_empty())).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn examples(schema: &Value) -> String {
    let examples = schema.get("examples").and_then(Value::as_array);
    let examples: Vec<String> = examples.into_iter().flatten().map(|example| code(&yaml(example))).collect();
    if examples.is_empty() { String::new() } else { format!("Examples: {}.", examples.join(", ")) }
}

/// What a value is, in words, with links to the types that have a section.
fn kind(types: &Types, schema: &Value) -> anyhow::Result<String> {
    Ok(match Types::shape(schema)? {
        Shape::Reference(name) => {
            let title = types.title(name)?;
            format!("[{}](#{})", title.to_lowercase(), anchor(&title))
        }
        Shape::List(items) => format!("list of {}", kind(types, items)?),
        Shape::Words(words) => words.iter().map(|(word, _)| code(word)).collect::<Vec<_>>().join(" or "),
        Shape::Forms(forms) => {
            let kinds: Vec<String> = forms.iter().map(|form| kind(types, form)).collect::<Result<_, _>>()?;
            kinds.join(" or ")
        }
        Shape::Text => "text".to_owned(),
        Shape::Number => "whole number".to_owned(),
        Shape::Boolean => "`true` or `false`".to_owned(),
        Shape::Object(object) => {
            let title = object.get("title").and_then(Value::as_str);
            title.with_context(|| format!("an object without a name: {schema}"))?.to_owned()
        }
    })
}

/// The anchor that GitHub gives a heading: in lower case, with dashes for spaces and without punctuation.
pub(super) fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// A row of a table; line breaks become spaces, and bars are escaped.
pub(super) fn row(cells: &[&str]) -> String {
    let cell = |cell: &&str| {
        let words: Vec<&str> = cell.split_whitespace().collect();
        words.join(" ").replace('|', "\\|")
    };
    format!("| {} |", cells.iter().map(cell).collect::<Vec<_>>().join(" | "))
}

pub(super) fn code(text: &str) -> String {
    format!("`{text}`")
}

/// A value as people write it in the file, on one line.
fn yaml(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(yaml).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{key}: {}", yaml(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Whether a text means itself in YAML without quotes, by a rule that is stricter than YAML's.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_written_as_yaml_reads_it() {
        let value = json!({"cron": "0 2 * * *", "timezone": "Asia/Tokyo", "list": ["a", "**/b", true, 7]});
        assert_eq!(yaml(&value), r#"{cron: "0 2 * * *", list: [a, "**/b", true, 7], timezone: Asia/Tokyo}"#);
    }

    #[test]
    fn a_link_leads_to_the_anchor_of_its_heading() {
        assert_eq!(
            anchor("Parameters of `fixable-vulnerabilities`"),
            "parameters-of-fixable-vulnerabilities"
        );
    }

    #[test]
    fn a_cell_stays_on_its_line_and_in_its_column() {
        assert_eq!(row(&["`a|b`", "two\nlines "]), "| `a\\|b` | two lines |");
    }
}
